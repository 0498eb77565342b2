use std::sync::Arc;

use proptest::prelude::*;
use rustls::client::{EchGreaseConfig, EchMode};
use rustls::crypto::hpke::Hpke;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

fn hello(name: &str, alpn: &[&[u8]]) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// The same handshake message cut into records of at most `size` bytes.
fn fragment(hello: &[u8], size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in hello[RECORD_HEADER..].chunks(size) {
        out.extend_from_slice(&hello[..3]);
        out.extend_from_slice(&u16::try_from(piece.len()).unwrap().to_be_bytes());
        out.extend_from_slice(piece);
    }
    out
}

#[test]
fn names_and_protocols_are_read() {
    let bytes = hello("API.example.com", &[b"h2", b"http/1.1"]);
    let Peek::Hello(hello) = client_hello(&bytes) else {
        panic!("not a hello: {:?}", client_hello(&bytes));
    };
    assert_eq!(hello.server_name.as_deref(), Some("api.example.com"));
    assert_eq!(hello.alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
}

#[test]
fn an_address_is_no_server_name() {
    let Peek::Hello(hello) = client_hello(&hello("192.0.2.7", &[])) else {
        panic!("not a hello");
    };
    assert_eq!(hello.server_name, None);
    assert!(hello.alpn.is_empty());
}

#[test]
fn an_encrypted_hello_is_judged_by_its_outer_name() {
    let suite = rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128;
    let (public, _) = suite.generate_key_pair().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    // A placeholder looks to everybody but the key's holder like the real thing.
    let config = ClientConfig::builder_with_provider(provider)
        .with_ech(EchMode::Grease(EchGreaseConfig::new(suite, public)))
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from("outer.example").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let extension = [0xfe, 0x0d];
    assert!(
        bytes.windows(2).any(|pair| pair == extension),
        "the hello has the extension"
    );
    let Peek::Hello(hello) = client_hello(&bytes) else {
        panic!("not a hello");
    };
    assert_eq!(hello.server_name.as_deref(), Some("outer.example"));
}

#[test]
fn every_prefix_is_incomplete() {
    let bytes = hello("example.com", &[b"h2"]);
    for end in 0..bytes.len() {
        assert_eq!(client_hello(&bytes[..end]), Peek::Incomplete, "{end} bytes");
    }
}

#[test]
fn records_do_not_matter() {
    let whole = hello("example.com", &[b"h2"]);
    for size in [1, 2, 7, 100, 1000] {
        assert_eq!(client_hello(&fragment(&whole, size)), client_hello(&whole));
    }
}

#[test]
fn bytes_after_the_hello_do_not_matter() {
    let whole = hello("example.com", &[b"h2"]);
    let mut more = whole.clone();
    more.extend_from_slice(&[0x17, 3, 3, 0, 1, 0]);
    assert_eq!(client_hello(&more), client_hello(&whole));
}

#[test]
fn other_protocols_are_told_apart() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x80\x2e\x01",
        b"\x15\x03\x01",
    ] {
        assert_eq!(client_hello(bytes), Peek::NotTls);
    }
}

#[test]
fn nonsense_in_a_record_is_malformed() {
    for bytes in [
        &[0x16, 3, 1, 0, 0][..],
        &[0x16, 3, 1, 0, 5, 2, 0, 0, 1, 0],
        &[0x16, 9, 9, 0, 4, 1, 0, 0, 0],
        &[0x16, 3, 1, 0xff, 0xff],
    ] {
        let mut bytes = bytes.to_vec();
        bytes.resize(CLIENT_HELLO_MAX.max(bytes.len()), 0);
        assert!(
            matches!(client_hello(&bytes), Peek::Malformed(_)),
            "{:?}",
            client_hello(&bytes)
        );
    }
}

#[test]
fn an_endless_hello_is_refused() {
    // A hello of 60,000 bytes, in records of 1,000.
    let mut message = vec![1, 0, 0xea, 0x60];
    message.resize(60_004, 0);
    let mut bytes = vec![0x16, 3, 1, 0, 0];
    bytes.extend_from_slice(&message);
    let records = fragment(&bytes, 1000);
    assert!(matches!(
        client_hello(&records[..CLIENT_HELLO_MAX]),
        Peek::Malformed(_)
    ));
}

proptest! {
    #[test]
    fn a_settled_answer_stays(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = bytes;
        if let Some(first) = bytes.first_mut() {
            *first = HANDSHAKE;
        }
        let whole = client_hello(&bytes);
        for end in 0..bytes.len() {
            let part = client_hello(&bytes[..end]);
            prop_assert!(part == Peek::Incomplete || part == whole);
        }
    }
}
