//! Tells encoded data from names, and says how much of it a place holds.
//!
//! What a place normally holds decides: words and numbers in a host name, a path, a query or a header.
//! Runs of letters and digits that would surprise there are encoded. Shannon entropy alone cannot
//! tell the two apart at these lengths. Hashes, identifiers and pictures pass by their structure.

use crate::content_id::is_content_id;
use crate::finding::Severity;
use crate::shape::unescaped;
use crate::structure::{Encoded, encoded_text, is_hash, is_known, is_picture, is_uuid};
use crate::surprise::{RUN_BYTES_MIN, is_encoded_label, is_encoded_run};

/// One label of this many encoded bytes is data: longer than a 40-digit hash.
const LABEL_BYTES_MAX: usize = 41;
/// The same of a label that is no hexadecimal number: longer than the identifiers of cloud services.
const LABEL_SYMBOLS_MAX: usize = 35;
/// As many encoded bytes in all labels of a name together.
const NAME_BYTES_MAX: usize = 48;
/// So many bytes of text in a name are no coincidence.
const NAME_TEXT_BYTES_MIN: usize = 12;
/// Path segments and query values are judged from this length: a 32-digit identifier passes.
const VALUE_BYTES_MIN: usize = 40;
/// As many bytes of a value must stand in encoded runs.
const VALUE_ENCODED_BYTES_MIN: usize = 32;
/// A value with more is a load and no identifier, cursor or click's trace: those have hundreds.
const VALUE_ENCODED_BYTES_MAX: usize = 1024;
/// The same for JSON, which clients do put into a query.
const VALUE_JSON_BYTES_MAX: usize = 2048;
/// Lines of text this long are a load; shorter ones may be a label or a name with spaces.
const VALUE_LINES_BYTES_MAX: usize = 48;
/// Encoded text in a header that normally holds words: less than one secret's worth.
const WORDS_TEXT_BYTES_MAX: usize = 16;
/// Encoded bytes in such a header: some clients add three anonymous identifiers.
const WORDS_ENCODED_BYTES_MAX: usize = 96;
/// The longest piece that is decoded to see whether it is text. The rest is more of the same.
const PIECE_BYTES_MAX: usize = 4096;
/// The shortest piece that is.
const PIECE_BYTES_MIN: usize = 20;

/// What a value holds beside names, words and numbers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Bytes in runs that look encoded and are no hash.
    pub(crate) encoded: usize,
    /// Bytes of lines or prose that were encoded, as decoded.
    pub(crate) lines: usize,
    /// Bytes of JSON that was encoded, as decoded.
    pub(crate) json: usize,
    /// Bytes of other text that was encoded, as decoded.
    pub(crate) compact: usize,
}

/// Where a value stands, and so what is normal there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    /// A segment of a path.
    Segment,
    /// A query item that no one expects to be opaque.
    Item,
    /// A query item that is a token, a cursor or a challenge by its name, or part of a signature.
    OpaqueItem,
    /// A header that holds words and versions, such as `user-agent`.
    Words,
    /// A header that holds tokens, or whose use is not known.
    OpaqueHeader,
}

impl Load {
    /// What a value holds. `visit` sees each encoded run: what budgets count, once each.
    pub(crate) fn of(value: &[u8], visit: &mut impl FnMut(&[u8])) -> Self {
        let mut load = Self::default();
        if value.len() < RUN_BYTES_MIN {
            return load;
        }
        let value = &*unescaped(value);
        if is_known(value) {
            return load;
        }
        load.read_runs(value, visit);
        if is_picture(value) {
            return Self::default();
        }
        if load.encoded > 0 || value.len() >= PIECE_BYTES_MIN {
            load.read_pieces(value);
        }
        load
    }

    fn read_runs(&mut self, value: &[u8], visit: &mut impl FnMut(&[u8])) {
        for run in value.split(|b| !b.is_ascii_alphanumeric()) {
            if is_encoded_run(run) && !is_hash(run) {
                self.encoded += run.len();
                visit(run);
            }
        }
    }

    fn read_pieces(&mut self, value: &[u8]) {
        for piece in value.split(|b| !is_base64ish(b)) {
            if piece.len() < PIECE_BYTES_MIN || !has_encoded_look(piece) {
                continue;
            }
            match encoded_text(&piece[..piece.len().min(PIECE_BYTES_MAX)]) {
                Some(Encoded::Lines(bytes)) => self.lines += bytes,
                Some(Encoded::Json(bytes)) => self.json += bytes,
                Some(Encoded::Compact(bytes)) => self.compact += bytes,
                None => {}
            }
        }
    }

    /// How bad it is to see this here; none where it is normal.
    pub(crate) fn severity(&self, place: Where, length: usize) -> Option<Severity> {
        let is_load = self.lines >= VALUE_LINES_BYTES_MAX
            || self.json >= VALUE_JSON_BYTES_MAX
            || (self.encoded >= VALUE_ENCODED_BYTES_MAX && self.json == 0);
        let is_odd = length >= VALUE_BYTES_MIN && self.encoded >= VALUE_ENCODED_BYTES_MIN;
        let (is_surely, is_perhaps) = match place {
            Where::Segment | Where::Item => (is_load, is_odd && self.json == 0),
            Where::OpaqueItem | Where::OpaqueHeader => (self.lines >= VALUE_LINES_BYTES_MAX, false),
            Where::Words => {
                let text = self.lines + self.json + self.compact >= WORDS_TEXT_BYTES_MAX;
                (text || self.encoded >= WORDS_ENCODED_BYTES_MAX, is_odd)
            }
        };
        match (is_surely, is_perhaps) {
            (true, _) => Some(Severity::High),
            (false, true) => Some(Severity::Medium),
            (false, false) => None,
        }
    }
}

fn is_base64ish(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_')
}

/// Whether a piece could be encoded at all: not words with dashes between.
fn has_encoded_look(piece: &[u8]) -> bool {
    let mut runs = piece.split(|b| !b.is_ascii_alphanumeric());
    runs.any(is_encoded_run) || is_encoded_label(piece)
}

/// Whether a host name's labels below its site look like encoded data.
pub(crate) fn is_encoded_name(below_site: &str) -> bool {
    let (mut whole, mut ids) = (0, 0);
    for label in below_site.split('.') {
        let is_id = is_content_id(label.as_bytes());
        ids += usize::from(is_id);
        let encoded = match (is_id, ids) {
            (true, 1) => 0,
            (true, _) => label.len(),
            (false, _) => encoded_bytes(label),
        };
        whole += encoded;
        let is_hex = label.bytes().all(|b| b.is_ascii_hexdigit());
        if encoded >= LABEL_BYTES_MAX || (encoded >= LABEL_SYMBOLS_MAX && !is_hex) {
            return true;
        }
    }
    whole >= NAME_BYTES_MAX || is_encoded_text(below_site)
}

/// Whether a label, or all labels in one piece, decode to text.
fn is_encoded_text(below_site: &str) -> bool {
    let is_text = |piece: &[u8]| {
        has_encoded_look(piece)
            && encoded_text(piece).is_some_and(|text| match text {
                Encoded::Lines(bytes) | Encoded::Json(bytes) | Encoded::Compact(bytes) => {
                    bytes >= NAME_TEXT_BYTES_MIN
                }
            })
    };
    if below_site.len() < PIECE_BYTES_MIN {
        return false;
    }
    let labels = below_site.split('.').filter(|label| label.len() > 3);
    let whole: String = labels.collect();
    below_site.split('.').any(|label| is_text(label.as_bytes())) || is_text(whole.as_bytes())
}

/// How many bytes of a label look encoded. A UUID has none.
fn encoded_bytes(label: &str) -> usize {
    if label.len() < RUN_BYTES_MIN || is_uuid(label.as_bytes()) {
        return 0;
    }
    labelled_bytes(label.as_bytes())
}

/// How many bytes of a label a tunnel could have filled: what looks encoded, and identifiers too.
pub(crate) fn labelled_bytes(label: &[u8]) -> usize {
    if is_uuid(label) || is_content_id(label) {
        return label.len();
    }
    let runs = label.split(|b| !b.is_ascii_alphanumeric());
    let encoded: usize = runs
        .filter(|run| is_encoded_run(run))
        .map(<[u8]>::len)
        .sum();
    match encoded == 0 && is_encoded_label(label) {
        true => label.len(),
        false => encoded,
    }
}

/// Query items that are tokens, challenges or cursors by their names: OAuth, paging, click traces.
/// What they hold is counted all the same.
pub(crate) fn is_opaque_item(key: &[u8]) -> bool {
    const KEYS: [&[u8]; 40] = [
        b"token",
        b"code",
        b"state",
        b"nonce",
        b"code_challenge",
        b"code_verifier",
        b"hmac",
        b"hash",
        b"digest",
        b"cursor",
        b"page_token",
        b"pagetoken",
        b"next_token",
        b"nexttoken",
        b"after",
        b"before",
        b"start_cursor",
        b"starting_after",
        b"continuation-token",
        b"continuationtoken",
        b"$skiptoken",
        b"scroll_id",
        b"etag",
        b"jwt",
        b"verify",
        b"session_state",
        b"client_id",
        b"id_token_hint",
        b"samlrequest",
        b"samlresponse",
        b"relaystate",
        b"logout_token",
        b"login_challenge",
        b"consent_challenge",
        b"csrf_token",
        b"authenticity_token",
        b"gclid",
        b"fbclid",
        b"msclkid",
        b"mkt_tok",
    ];
    KEYS.iter().any(|own| own.eq_ignore_ascii_case(key))
}

/// What is normal in a header. Lengths, dates and versions are words too.
pub(crate) fn place_of_header(name: &str) -> Where {
    const WORDS: [&str; 16] = [
        "user-agent",
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-disposition",
        "content-language",
        "from",
        "origin",
        "pragma",
        "via",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-requested-with",
    ];
    let is_words = WORDS.iter().any(|own| own.eq_ignore_ascii_case(name));
    match is_words {
        true => Where::Words,
        false => Where::OpaqueHeader,
    }
}

#[cfg(test)]
mod tests {
    use super::{Load, Where, is_encoded_name};
    use crate::finding::Severity;

    #[test]
    fn honest_names() {
        let names = [
            "api",
            "r3---sn-4g5e6nsz",
            "ec2-203-0-113-25.compute-1",
            "d111111abcdef8",
            "550e8400-e29b-41d4-a716-446655440000",
            "0123456789abcdef0123456789abcdef.r2",
            "a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4-1234567890.us-east-1.elb",
            "k8s-default-ingressn-3f2a1b9c0d-1234567890abcdef",
            "internationalisation-and-localisation-service-production",
            "my-very-long-preview-deployment-name-git-feature-branch-team",
            "deploy-preview-1234--some-site-name",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "xn--bcher-kva",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.ipfs.",
            "k3v9x0q2w8z7abcdefghij0123456789.lambda-url.us-east-1.",
            "vpce-0123456789abcdef0-abcdefgh.s3.us-east-1.vpce.",
            "productionresultssa12",
            "mainnet-beta-validators-europe-west",
        ];
        for name in names {
            assert!(!is_encoded_name(name), "{name}");
        }
    }

    #[test]
    fn tunnelling_names() {
        let names = [
            "mzxw6ytboi2dcmjsgm3tqojqmfrggzdfmztwq2lknnwg23tpobyxe43u",
            "4d5a90000300000004000000ffff0000b800000000000000400000000000",
            "mzxw6ytboi2dcmjsgm3tqojq.mfrggzdfmztwq2lknnwg23tp.t1",
            "q7x2kd9vz1p4.w8j3nf6bt5y0.h2c9xq4rm7gk.z6v1pd8ws3lj",
            // Text, in base 32 and in hexadecimal, in one label and over two.
            "nbswy3dpeb3w64tmmqqhi2djomqgs4za.t",
            "68656c6c6f20776f726c642074686973.t",
            "nbswy3dpeb3w64tm.mqqhi2djomqgs4za.t",
            // An identifier passes by itself: not twice, and not beside other data.
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.\
             bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy.ipfs.",
            "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi.\
             mzxw6ytboi2dcmjsgm3tqojqmfrggzdfmztwq2lknnwg23tpobyxe43u.",
        ];
        for name in names {
            assert!(is_encoded_name(name), "{name}");
        }
    }

    fn severity(value: &str, place: Where) -> Option<Severity> {
        Load::of(value.as_bytes(), &mut |_| {}).severity(place, value.len())
    }

    #[test]
    fn values() {
        let honest = [
            "the-quick-brown-fox-jumps-over-the-lazy-dog-again",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709",
            "550e8400-e29b-41d4-a716-446655440000",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
            "numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "SELECT name FROM people WHERE born BETWEEN 1990 AND 2000 ORDER BY name",
            "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==",
            "0ldfwk9zrqzdnpmd4q1ghlhgx5nlg6y8.narinfo",
        ];
        for value in honest {
            for place in [Where::Segment, Where::Item, Where::Words] {
                assert_eq!(severity(value, place), None, "{value}");
            }
        }
        let encoded = "q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4rM7gkZ6v1Pd8wS3ljB5tR";
        assert_eq!(severity(encoded, Where::Item), Some(Severity::Medium));
        assert_eq!(severity(encoded, Where::OpaqueItem), None);
        let lines = "cm9vdDp4OjA6MDpyb290Oi9yb290Oi9iaW4vYmFzaApkYWVtb246eDoxOjE6ZGFlbW9uOi91c3I";
        for place in [
            Where::Segment,
            Where::Item,
            Where::OpaqueItem,
            Where::Words,
            Where::OpaqueHeader,
        ] {
            assert_eq!(severity(lines, place), Some(Severity::High), "{place:?}");
        }
        let json = "eyJyZXR1cm5fdG8iOiIvc2V0dGluZ3MvcHJvZmlsZSIsIm5vbmNlIjoiNDJhYiIsICJ4IjogMX0";
        assert_eq!(severity(json, Where::OpaqueItem), None);
        let random = encoded.repeat(24);
        assert_eq!(severity(&random, Where::Segment), Some(Severity::High));
    }
}
