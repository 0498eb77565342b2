//! Tells encoded data from names.
//!
//! A run of letters and digits is judged by how many of its letter pairs are common in words: in
//! names well over a third, in encoded data about a tenth. Shannon entropy alone cannot tell the
//! two apart at the lengths of labels. Content identifiers are encoded data too, but of a form that
//! leaves nothing to choose but a hash: one of them passes, and counts among its site's names.

use crate::content_id::is_content_id;

/// Runs shorter than this say nothing.
const RUN_BYTES_MIN: usize = 12;
/// One label of this many encoded bytes is data: longer than a 40-digit hash.
const LABEL_BYTES_MAX: usize = 41;
/// As many encoded bytes in all labels of a name together.
const NAME_BYTES_MAX: usize = 48;
/// Path segments and query values are judged from this length: a 32-digit identifier passes.
const VALUE_BYTES_MIN: usize = 40;
/// As many bytes of a value must stand in encoded runs.
const VALUE_ENCODED_BYTES_MIN: usize = 32;
/// Longer values are content, not identifiers, and are judged by what they hold.
const VALUE_BYTES_MAX: usize = 4096;
/// Common pairs below this share (of 100) make a run encoded.
const COMMON_PERCENT_MAX: usize = 30;

/// The commonest letter pairs of English words and host names.
const PAIRS: &str = "th he in er an re on at en nd ti es or te of ed is it al ar st to nt ng se ha as \
    ou io le ve co me de hi ri ro ic ne ea ra ce li ch ll be ma si om ur ca el ta la ns di fo ho pe ec pr \
    no ct us ac ot il tr ly nc et ut ss so rs un lo wa ge ie wh ee wi em ad ol rt po we na ul ni ts mo ow \
    pa im mi ai sh ir su id os iv ia am fi ci vi pl ig tu ev ld ry mp fe bl ab gh ty op wo sa ay ex ke ui fr \
    oo ag if ap gr od bo sp rd do uc bu ei ov by rm ep tt oc fa ef cu rn sc gi da yo cr cl du ga qu ue ff ba \
    ey ls va um pp ua up lu go ht ru ug ds lt pi rc rr eg au ck ew mu br bi pt ak pu ui rg ib tl ny ki rk ys \
    ob mm fu ph og ms ye ud mb ip ub oi rl gu dr hr cc tw ft wn nu af hu nn eo vo rv nf xp gn sm fl iz ok nl \
    my gl aw ju oa eq sy sl ps jo lf nv je nk kn gs dy hy ze ks xt bs ik dd pd st api cdn www";

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
        if encoded >= LABEL_BYTES_MAX {
            return true;
        }
    }
    whole >= NAME_BYTES_MAX
}

/// How many bytes of a label stand in runs that look encoded. A UUID has none.
fn encoded_bytes(label: &str) -> usize {
    if label.len() < RUN_BYTES_MIN || is_uuid(label.as_bytes()) {
        return 0;
    }
    let runs = label.split(['-', '_']);
    runs.filter(|run| is_encoded_run(run.as_bytes()))
        .map(str::len)
        .sum()
}

fn is_encoded_run(run: &[u8]) -> bool {
    run.len() >= RUN_BYTES_MIN && common_percent(run) < COMMON_PERCENT_MAX && distinct(run) > 5
}

/// The share of adjacent pairs that are common in words, of 100.
fn common_percent(run: &[u8]) -> usize {
    let common = run
        .windows(2)
        .filter(|pair| is_common(pair[0], pair[1]))
        .count();
    common * 100 / (run.len() - 1).max(1)
}

const fn index(first: u8, second: u8) -> usize {
    (first - b'a') as usize * 26 + (second - b'a') as usize
}

static COMMON: [bool; 26 * 26] = common_table();

const fn common_table() -> [bool; 26 * 26] {
    let (pairs, mut table, mut at) = (PAIRS.as_bytes(), [false; 26 * 26], 0);
    while at + 1 < pairs.len() {
        if pairs[at].is_ascii_lowercase() && pairs[at + 1].is_ascii_lowercase() {
            table[index(pairs[at], pairs[at + 1])] = true;
        }
        at += 1;
    }
    table
}

fn is_common(first: u8, second: u8) -> bool {
    let (first, second) = (first.to_ascii_lowercase(), second.to_ascii_lowercase());
    first.is_ascii_lowercase() && second.is_ascii_lowercase() && COMMON[index(first, second)]
}

fn distinct(run: &[u8]) -> u32 {
    let seen = run
        .iter()
        .fold(0_u128, |seen, byte| seen | 1 << (byte & 0x7f));
    seen.count_ones()
}

fn is_uuid(text: &[u8]) -> bool {
    const DASHES: [usize; 4] = [8, 13, 18, 23];
    text.len() == 36
        && text
            .iter()
            .enumerate()
            .all(|(at, byte)| match DASHES.contains(&at) {
                true => *byte == b'-',
                false => byte.is_ascii_hexdigit(),
            })
}

/// Whether a path segment or query value looks like encoded data and is of no known structure:
/// UUIDs, hashes in hexadecimal, JWTs, images in base64 and text pass.
pub(crate) fn is_encoded_value(value: &[u8]) -> bool {
    let judged = (VALUE_BYTES_MIN..=VALUE_BYTES_MAX).contains(&value.len());
    if !judged || !value.iter().all(is_base64ish) || is_structured(value) {
        return false;
    }
    let runs = value.split(|b| !b.is_ascii_alphanumeric());
    let encoded: usize = runs
        .filter(|run| is_encoded_run(run))
        .map(<[u8]>::len)
        .sum();
    encoded >= VALUE_ENCODED_BYTES_MIN && distinct(value) > 16
}

fn is_base64ish(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=' | b'.' | b'~')
}

fn is_structured(value: &[u8]) -> bool {
    // PNG, JPEG, GIF, RIFF and SVG in base64; a JWT's or JSON's `{"`.
    const STARTS: [&[u8]; 6] = [
        b"iVBORw0KGgo",
        b"/9j/",
        b"R0lGOD",
        b"UklGR",
        b"PHN2Zy",
        b"eyJ",
    ];
    const HASH_DIGITS_MAX: usize = 128;
    let dashed_hex = value.iter().all(|b| b.is_ascii_hexdigit() || *b == b'-');
    (dashed_hex && value.len() <= HASH_DIGITS_MAX)
        || is_content_id(value)
        || STARTS.iter().any(|start| value.starts_with(start))
}

/// Query items that hold signatures, tokens and challenges by design: presigned URLs, OAuth,
/// cursors.
pub(crate) fn is_signature_item(key: &[u8]) -> bool {
    const KEYS: [&[u8]; 24] = [
        b"sig",
        b"signature",
        b"token",
        b"policy",
        b"key-pair-id",
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
        b"after",
        b"before",
        b"continuation-token",
        b"etag",
        b"jwt",
        b"verify",
        b"sv",
        b"skoid",
    ];
    const STARTS: [&[u8]; 4] = [b"x-amz-", b"x-goog-", b"x-oss-", b"x-ms-"];
    let starts = |start: &&[u8]| {
        key.get(..start.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(start))
    };
    KEYS.iter().any(|own| own.eq_ignore_ascii_case(key)) || STARTS.iter().any(starts)
}

#[cfg(test)]
mod tests {
    use super::{is_encoded_name, is_encoded_value};

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

    #[test]
    fn values() {
        let honest = [
            "the-quick-brown-fox-jumps-over-the-lazy-dog-again",
            "da39a3ee5e6b4b0d3255bfef95601890afd80709da39a3ee5e6b4b0d",
            "550e8400-e29b-41d4-a716-446655440000",
            "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
            "numpy-2.1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            "SELECT name FROM people WHERE born BETWEEN 1990 AND 2000 ORDER BY name",
        ];
        for value in honest {
            assert!(!is_encoded_value(value.as_bytes()), "{value}");
        }
        let encoded = "q7x2Kd9vZ1p4W8j3Nf6bT5y0H2c9Xq4rM7gkZ6v1Pd8wS3ljB5tR";
        assert!(is_encoded_value(encoded.as_bytes()));
    }
}
