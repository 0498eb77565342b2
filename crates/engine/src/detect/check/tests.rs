//! Each format's own maker, so that no vector is a key that anyone holds.

use data_encoding::{BASE32_NOPAD, BASE64, BASE64URL_NOPAD, HEXLOWER};
use proptest::prelude::*;

use super::{Check, Outcome, is_published};

fn crc32(text: &str) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(text.as_bytes());
    crc.sum()
}

fn digits(mut number: u32, base: u32, count: usize, alphabet: &[u8]) -> String {
    let mut digits = vec![alphabet[0]; count];
    for digit in digits.iter_mut().rev() {
        *digit = alphabet[(number % base) as usize];
        number /= base;
    }
    String::from_utf8(digits).expect("ASCII")
}

const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Another byte at `at` that the format also allows.
fn spoil(text: &str, at: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    let at = bytes.len() - 1 - at;
    bytes[at] = if bytes[at] == b'2' { b'3' } else { b'2' };
    String::from_utf8(bytes).expect("ASCII")
}

proptest! {
    #[test]
    fn base62_checksums(body in "[A-Z][A-Za-z0-9]{28}[A-Z]", at in 0usize..36) {
        for prefix in ["ghp_", "ghs_", "npm_"] {
            let token = format!("{prefix}{body}{}", digits(crc32(&body), 62, 6, BASE62));
            prop_assert_eq!(Check::GithubCrc.outcome(token.as_bytes()), Outcome::Pass);
            let spoilt = spoil(&token, at);
            prop_assert_eq!(Check::GithubCrc.outcome(spoilt.as_bytes()), Outcome::Doubt);
            let folded = token.to_lowercase();
            prop_assert_eq!(Check::GithubCrc.outcome(folded.as_bytes()), Outcome::Pass);
        }
    }

    #[test]
    fn base36_checksums(payload in "[A-Za-z0-9_-]{27,60}", at in 0usize..40) {
        let length = digits(payload.len() as u32, 36, 2, &BASE62.to_ascii_lowercase());
        for head in [format!("glpat-{payload}.{length}"), format!("glrt-{payload}.01.{length}")] {
            let token = format!("{head}{}", digits(crc32(&head), 36, 7, b"0123456789abcdefghijklmnopqrstuvwxyz"));
            prop_assert_eq!(Check::GitlabCrc.outcome(token.as_bytes()), Outcome::Pass);
            if token.as_bytes()[token.len() - 1 - at] != b'.' {
                let spoilt = spoil(&token, at);
                prop_assert_eq!(Check::GitlabCrc.outcome(spoilt.as_bytes()), Outcome::Doubt);
            }
        }
        let short = format!("glpat-{}", &payload[..20]);
        prop_assert_eq!(Check::GitlabCrc.outcome(short.as_bytes()), Outcome::Pass);
    }

    #[test]
    fn hexadecimal_checksums(body in "[A-Z][A-Za-z0-9]{31}", at in 0usize..8) {
        let head = format!("glsa_{body}");
        let token = format!("{head}_{}", HEXLOWER.encode(&crc32(&head).to_le_bytes()));
        prop_assert_eq!(Check::GrafanaCrc.outcome(token.as_bytes()), Outcome::Pass);
        prop_assert_eq!(Check::GrafanaCrc.outcome(spoil(&token, at).as_bytes()), Outcome::Doubt);
    }

    #[test]
    fn macaroons(identifier in prop::collection::vec(any::<u8>(), 1..300), signature in any::<[u8; 32]>()) {
        let mut bytes = vec![2, 1, 8];
        bytes.extend(b"pypi.org");
        bytes.push(2);
        match identifier.len() {
            short @ 0..=127 => bytes.push(short as u8),
            long => bytes.extend([(long & 127 | 128) as u8, (long >> 7) as u8]),
        }
        bytes.extend(&identifier);
        bytes.extend([0, 0, 6, 32]);
        bytes.extend(signature);
        let token = format!("pypi-{}", BASE64URL_NOPAD.encode(&bytes));
        prop_assert_eq!(Check::Macaroon.outcome(token.as_bytes()), Outcome::Pass);
        let cut = format!("pypi-{}", BASE64URL_NOPAD.encode(&bytes[..bytes.len() - 1]));
        prop_assert_eq!(Check::Macaroon.outcome(cut.as_bytes()), Outcome::Doubt);
    }

    #[test]
    fn account_numbers(account in 0u64..1 << 40, rest in any::<[u8; 5]>()) {
        let head = (1 << 47 | account << 7).to_be_bytes();
        let id = format!("AKIA{}", BASE32_NOPAD.encode(&[&head[2..], &rest[..4]].concat()));
        let wanted = if account < 1_000_000_000_000 { Outcome::Pass } else { Outcome::Doubt };
        prop_assert_eq!(Check::AwsKeyId.outcome(id.as_bytes()), wanted);
        prop_assert_eq!(Check::AwsKeyId.outcome(id.to_lowercase().as_bytes()), wanted);
    }

    #[test]
    fn clamped_keys(key in any::<[u8; 32]>()) {
        let mut key = key;
        key[0] &= 248;
        key[31] = key[31] & 127 | 64;
        prop_assert_eq!(Check::Clamped.outcome(BASE64.encode(&key).as_bytes()), Outcome::Pass);
        key[31] |= 128;
        prop_assert_eq!(Check::Clamped.outcome(BASE64.encode(&key).as_bytes()), Outcome::Doubt);
    }
}

fn check(check: Check, cases: &[(&str, Outcome)]) {
    for (text, wanted) in cases {
        assert_eq!(
            check.outcome(text.as_bytes()),
            *wanted,
            "{check:?} of {text}"
        );
    }
}

#[test]
fn bech32() {
    // The valid and invalid strings of BIP-173's own test vectors.
    check(
        Check::Bech32,
        &[
            ("A12UEL5L", Outcome::Pass),
            (
                "abcdef1qpzry9x8gf2tvdw0s3jn54khce6mua7lmqqqxw",
                Outcome::Pass,
            ),
            (
                "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3w",
                Outcome::Pass,
            ),
            (
                "split1checkupstagehandshakeupstreamerranterredcaperred2y9e3x",
                Outcome::Doubt,
            ),
            ("no separator", Outcome::Doubt),
        ],
    );
}

#[test]
fn tokens_of_three_parts() {
    let part = |json: &str| BASE64URL_NOPAD.encode(json.as_bytes());
    let token = |header, claims| format!("{}.{}.c2lnbmF0dXJl", part(header), part(claims));
    check(
        Check::Jwt,
        &[
            (
                &token(r#"{"alg":"HS256"}"#, r#"{"sub":"1"}"#),
                Outcome::Pass,
            ),
            (&token(r#"{"alg":"HS256"}"#, "[1]"), Outcome::Doubt),
            (
                &token(r#"{"typ":"JWT"}"#, r#"{"sub":"1"}"#),
                Outcome::Reject,
            ),
            (&token(r#"{"alg":7}"#, r#"{"sub":"1"}"#), Outcome::Reject),
            ("eyJhbGciOiJ.eyJ.x", Outcome::Reject),
        ],
    );
}

#[test]
fn pem_bodies() {
    let pem = |label: &str, body: &[u8]| {
        let body = [body, &[0x5a; 40]].concat();
        format!("-----BEGIN {label}-----\n{}", BASE64.encode(&body))
    };
    check(
        Check::Pem,
        &[
            (
                &pem("RSA PRIVATE KEY", &[0x30, 0x82, 4, 0xa3, 2, 1, 0]),
                Outcome::Pass,
            ),
            (
                &pem("PRIVATE KEY", &[0x30, 0x81, 0x87, 2, 1, 0]),
                Outcome::Pass,
            ),
            (
                &pem("EC PRIVATE KEY", &[0x30, 0x77, 2, 1, 1]),
                Outcome::Pass,
            ),
            (
                &pem("ENCRYPTED PRIVATE KEY", &[0x30, 0x82, 5, 1, 0x30]),
                Outcome::Pass,
            ),
            (
                &pem("OPENSSH PRIVATE KEY", b"openssh-key-v1\0"),
                Outcome::Pass,
            ),
            (&pem("PGP PRIVATE KEY BLOCK", &[0x95, 1]), Outcome::Pass),
            (&pem("PGP PRIVATE KEY BLOCK", &[0x15, 1]), Outcome::Doubt),
            (
                &pem("PRIVATE KEY", &[0x31, 0x82, 4, 0xa3, 2]),
                Outcome::Doubt,
            ),
            (&pem("PRIVATE KEY", b"any text at all"), Outcome::Doubt),
            ("PuTTY-User-Key-File-3: ssh-ed25519", Outcome::Pass),
        ],
    );
    let escaped = pem("PRIVATE KEY", &[0x30, 0x81, 0x87, 2, 1, 0]).replace('\n', "\\n");
    check(Check::Pem, &[(&escaped, Outcome::Pass)]);
    let headed = pem("RSA PRIVATE KEY", b"sealed").replacen(
        '\n',
        "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00\n\n",
        1,
    );
    check(Check::Pem, &[(&headed, Outcome::Pass)]);
}

#[test]
fn basic_credentials() {
    let basic = |text: &str| BASE64.encode(text.as_bytes());
    check(
        Check::Basic,
        &[
            (&basic("bot:t4Rx9-pQ7wzk"), Outcome::Pass),
            (&basic("bot:password"), Outcome::Reject),
            (&basic("bot:"), Outcome::Reject),
            (&basic("no colon in it"), Outcome::Reject),
            (&basic("a\u{1}:t4Rx9-pQ7wzk"), Outcome::Reject),
            ("realm=test", Outcome::Reject),
        ],
    );
}

#[test]
fn stellar_seeds() {
    let payload = [&[18 << 3][..], &[0x5a; 32]].concat();
    let crc = payload.iter().fold(0u16, |mut crc, byte| {
        crc ^= u16::from(*byte) << 8;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 15 == 1 { 0x1021 } else { 0 };
        }
        crc
    });
    let seed = BASE32_NOPAD.encode(&[&payload[..], &crc.to_le_bytes()].concat());
    assert_eq!((seed.len(), &seed[..1]), (56, "S"));
    check(
        Check::Strkey,
        &[(&seed, Outcome::Pass), (&spoil(&seed, 20), Outcome::Reject)],
    );
}

#[test]
fn documented_examples() {
    assert!(is_published(
        concat!("sk_test_", "4eC39HqLyjWDarjtT1zdp7dc").as_bytes()
    ));
    assert!(is_published(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"));
    assert!(!is_published(b"k7Jq2Lx9Vb4Nm8Tz1Rw6Yp3Sd5Fg0Hh"));
}
