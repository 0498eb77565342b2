//! The trust store: the system's certificates and the bottle's own, as PEM and as Java's format.

use data_encoding::BASE64;
use sha1::{Digest, Sha1};

use crate::Error;

/// Where distributions keep the bundle of all certificates, below `/etc`; the first that exists
/// is read, and all that exist are replaced.
pub(crate) const BUNDLES: &[&str] = &[
    "ssl/certs/ca-certificates.crt",
    "pki/tls/certs/ca-bundle.crt",
    "pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "ca-certificates/extracted/tls-ca-bundle.pem",
    "ssl/ca-bundle.pem",
    "ssl/cert.pem",
    "pki/tls/cert.pem",
    "pki/tls/cacert.pem",
    "ssl/certs/ca-bundle.crt",
];

/// Where distributions keep Java's trust store, below `/etc`.
pub(crate) const JAVA_STORES: &[&str] = &[
    "ssl/certs/java/cacerts",
    "pki/java/cacerts",
    "pki/ca-trust/extracted/java/cacerts",
];

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The system's bundle, empty when there is none.
pub(crate) fn system_roots() -> Vec<u8> {
    let paths = BUNDLES
        .iter()
        .map(|name| std::path::Path::new("/etc").join(name));
    paths
        .into_iter()
        .find_map(|path| std::fs::read(path).ok())
        .unwrap_or_default()
}

/// The system's certificates followed by the bottle's own.
pub(crate) fn bundle(system: &[u8], own: &[u8]) -> Vec<u8> {
    let mut all = system.to_vec();
    if !all.is_empty() && !all.ends_with(b"\n") {
        all.push(b'\n');
    }
    all.extend_from_slice(own);
    all
}

/// The certificates of a PEM bundle, DER. Blocks that are not base64 of one whole DER sequence
/// are left out: Java refuses a store with one bad entry.
pub(crate) fn certificates(pem: &[u8]) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(pem);
    let blocks = text
        .split(BEGIN)
        .skip(1)
        .filter_map(|rest| rest.split(END).next());
    blocks
        .filter_map(|block| {
            let digits: Vec<u8> = block
                .bytes()
                .filter(|byte| !byte.is_ascii_whitespace())
                .collect();
            BASE64
                .decode(&digits)
                .ok()
                .filter(|der| is_whole_sequence(der))
        })
        .collect()
}

/// Whether `der` is a sequence whose length is that of the rest (ITU-T X.690, section 8.1).
fn is_whole_sequence(der: &[u8]) -> bool {
    const SEQUENCE: u8 = 0x30;
    const LONG_FORM: u8 = 0x80;
    let [SEQUENCE, first, rest @ ..] = der else {
        return false;
    };
    if first & LONG_FORM == 0 {
        return usize::from(*first) == rest.len();
    }
    let digits = usize::from(first & !LONG_FORM);
    match rest.split_at_checked(digits) {
        Some((length, content)) if digits <= size_of::<u32>() => {
            let length = length
                .iter()
                .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
            length == content.len()
        }
        _ => false,
    }
}

/// # Errors
/// [`Error::Certificate`] when `pem` holds no certificate.
pub(crate) fn check(pem: &[u8]) -> Result<(), Error> {
    if certificates(pem).is_empty() {
        Err(Error::Certificate)
    } else {
        Ok(())
    }
}

/// A trust store in the `JKS` format, with the password that Java's own store has.
///
/// The format is a magic number, version 2, the number of entries, and of each entry its kind
/// (2: a trusted certificate), alias, time, certificate type and DER; then a SHA-1 digest of the
/// password, a fixed phrase and all of the above (`sun.security.provider.JavaKeyStore`). The
/// digest guards against accidents only: the store holds nothing secret.
pub(crate) fn java_store(pem: &[u8]) -> Vec<u8> {
    const MAGIC: u32 = 0xFEED_FEED;
    const VERSION: u32 = 2;
    const TRUSTED_CERTIFICATE: u32 = 2;
    const PASSWORD: &str = "changeit";
    const PHRASE: &[u8] = b"Mighty Aphrodite";
    let certificates = certificates(pem);
    let mut store = Vec::new();
    for word in [MAGIC, VERSION, certificates.len() as u32] {
        store.extend_from_slice(&word.to_be_bytes());
    }
    for (index, der) in certificates.iter().enumerate() {
        store.extend_from_slice(&TRUSTED_CERTIFICATE.to_be_bytes());
        text(&mut store, &format!("carboy-{index}"));
        store.extend_from_slice(&0_u64.to_be_bytes());
        text(&mut store, "X.509");
        store.extend_from_slice(&(der.len() as u32).to_be_bytes());
        store.extend_from_slice(der);
    }
    let mut digest = Sha1::new();
    digest.update(
        PASSWORD
            .encode_utf16()
            .flat_map(u16::to_be_bytes)
            .collect::<Vec<_>>(),
    );
    digest.update(PHRASE);
    digest.update(&store);
    store.extend_from_slice(&digest.finalize());
    store
}

/// A string as Java's `DataOutput.writeUTF` writes it; all of ours are short ASCII.
fn text(into: &mut Vec<u8>, text: &str) {
    into.extend_from_slice(&(text.len() as u16).to_be_bytes());
    into.extend_from_slice(text.as_bytes());
}
