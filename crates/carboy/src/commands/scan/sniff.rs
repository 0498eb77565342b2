//! What a content is, by its first bytes: a name can say anything.

/// Content that holds other content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Members behind a directory at the end (PKWARE's APPNOTE, section 4.3): also jar, whl, docx.
    Zip,
    /// Members one after the other (POSIX `ustar`).
    Tar,
    /// One content, made smaller.
    Packed(Packing),
    /// An archive that is not opened: 7z, rar.
    Closed,
}

/// How one content was made smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Xz,
    Zstd,
    Bzip2,
}

impl Packing {
    /// The name among the decodings that led to a finding.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
        }
    }
}

/// So many first bytes tell all kinds.
pub(crate) const HEAD_BYTES: u64 = 512;

/// Where `ustar` stands in a tar header.
const TAR_MAGIC_AT: usize = 257;

/// What the first bytes say; nothing for plain content.
pub(crate) fn kind(head: &[u8]) -> Option<Kind> {
    let begins = |magic: &[u8]| head.starts_with(magic);
    match () {
        () if begins(b"PK\x03\x04") || begins(b"PK\x05\x06") => Some(Kind::Zip),
        () if begins(b"\x1f\x8b\x08") => Some(Kind::Packed(Packing::Gzip)),
        () if begins(b"\xfd7zXZ\0") => Some(Kind::Packed(Packing::Xz)),
        () if begins(b"\x28\xb5\x2f\xfd") => Some(Kind::Packed(Packing::Zstd)),
        () if is_bzip2(head) => Some(Kind::Packed(Packing::Bzip2)),
        () if begins(b"7z\xbc\xaf\x27\x1c") || begins(b"Rar!\x1a\x07") => Some(Kind::Closed),
        () if head
            .get(TAR_MAGIC_AT..)
            .is_some_and(|rest| rest.starts_with(b"ustar")) =>
        {
            Some(Kind::Tar)
        }
        () => None,
    }
}

/// `BZh`, a level, and the digits of pi that begin a block, or of its root that end a stream.
fn is_bzip2(head: &[u8]) -> bool {
    let block = head.get(4..10);
    head.starts_with(b"BZh")
        && head
            .get(3)
            .is_some_and(|level| (b'1'..=b'9').contains(level))
        && (block == Some(b"1AY&SY") || block == Some(b"\x17\x72\x45\x38\x50\x90"))
}

#[cfg(test)]
mod tests {
    use super::{Kind, Packing, kind};

    #[test]
    fn kinds_are_told_by_their_first_bytes() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (head, expected) in [
            (&b"PK\x03\x04rest"[..], Some(Kind::Zip)),
            (b"\x1f\x8b\x08\0", Some(Kind::Packed(Packing::Gzip))),
            (b"\xfd7zXZ\0\0", Some(Kind::Packed(Packing::Xz))),
            (b"\x28\xb5\x2f\xfd\0", Some(Kind::Packed(Packing::Zstd))),
            (b"BZh91AY&SY", Some(Kind::Packed(Packing::Bzip2))),
            (b"BZh9 is not", None),
            (b"Rar!\x1a\x07\x01", Some(Kind::Closed)),
            (&tar, Some(Kind::Tar)),
            (b"PK is a name", None),
            (b"", None),
        ] {
            assert_eq!(kind(head), expected, "{head:?}");
        }
    }
}
