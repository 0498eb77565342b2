//! Content identifiers: names that are hashes, as gateways to content-addressed stores spell them in
//! a host's label or a path's segment (the CID and multibase specifications of multiformats.io).

use data_encoding::BASE32_NOPAD;

/// The version of a CID that may stand in a label.
const VERSION: u8 = 1;

/// The codecs of what is addressed: raw bytes, DAG-PB, DAG-CBOR, a public key, DAG-JSON, and Swarm's
/// manifests and feeds, each as a varint.
const CODECS: [&[u8]; 7] = [
    &[0x55],
    &[0x70],
    &[0x71],
    &[0x72],
    &[0xa9, 0x02],
    &[0xfa, 0x01],
    &[0xfb, 0x01],
];

/// The hashes: SHA2-256, Keccak-256, BLAKE3 and BLAKE2b-256, each as a varint. All have 32 bytes.
const HASHES: [&[u8]; 4] = [&[0x12], &[0x1b], &[0x1e], &[0xa0, 0xe4, 0x02]];
const HASH_BYTES: u8 = 32;

/// How an Ed25519 public key in base 36 begins: all that comes before its 32 bytes is always the same.
const KEY_PREFIX: &[u8] = b"k51qzi5uqu5";
const KEY_BYTES: usize = 62;

/// Whether a text is one content identifier and nothing else. It is told by its structure: but for
/// the hash there is nothing in it to choose.
pub(crate) fn is_content_id(text: &[u8]) -> bool {
    match text.first() {
        Some(b'b') => is_hash(&text[1..]),
        Some(b'k') => is_key(text),
        Some(_) | None => false,
    }
}

/// Base 32 in small letters without padding (RFC 4648, section 6); unused bits are zero.
fn is_hash(text: &[u8]) -> bool {
    let decoded = BASE32_NOPAD.decode(&text.to_ascii_uppercase());
    let is_small = !text.iter().any(u8::is_ascii_uppercase);
    let Some((&VERSION, rest)) = decoded.as_ref().ok().and_then(|own| own.split_first()) else {
        return false;
    };
    let after = |prefixes: &'static [&[u8]], bytes: &[u8]| {
        let found = prefixes.iter().find(|prefix| bytes.starts_with(prefix));
        found.map(|prefix| bytes[prefix.len()..].to_vec())
    };
    let digest = after(&CODECS, rest).and_then(|rest| after(&HASHES, &rest));
    is_small
        && digest.is_some_and(|digest| {
            digest.first() == Some(&HASH_BYTES) && digest.len() == usize::from(HASH_BYTES) + 1
        })
}

fn is_key(text: &[u8]) -> bool {
    let is_digit = |b: &u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    text.len() == KEY_BYTES && text.starts_with(KEY_PREFIX) && text.iter().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::is_content_id;

    #[test]
    fn identifiers_are_told_by_their_structure() {
        for (text, is_one) in [
            // Files, raw blocks, DAG-CBOR and a key, from the specifications' own examples.
            (
                "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
                true,
            ),
            (
                "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
                true,
            ),
            (
                "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8",
                true,
            ),
            // One character more, one less, capitals, another base, another version, another codec.
            (
                "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdia",
                false,
            ),
            (
                "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzd",
                false,
            ),
            (
                "bAFYBEIGDYRZT5SFP7UDM7HU76UH7Y26NF3EFUYLQABF3OCLGTQY55FBZDI",
                false,
            ),
            (
                "zafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
                false,
            ),
            (
                "bajybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
                false,
            ),
            (
                "bafzbeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
                true,
            ),
            (
                "baf4beigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi",
                false,
            ),
            (
                "bmzxw6ytboi2dcmjsgm3tqojqmfrggzdfmztwq2lknnwg23tpobyxe43uae",
                false,
            ),
            (
                "k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v",
                false,
            ),
            (
                "k52qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8",
                false,
            ),
            ("", false),
            ("b", false),
        ] {
            assert_eq!(is_content_id(text.as_bytes()), is_one, "{text}");
        }
    }
}
