use std::net::{Ipv4Addr, Ipv6Addr};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{ServerName, UnixTime};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::X509Certificate;

use super::*;

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn parsed<'a>(der: &'a CertificateDer<'_>) -> X509Certificate<'a> {
    x509_parser::parse_x509_certificate(der).unwrap().1
}

/// Verifies a leaf as rustls clients do, and fails with what they say.
fn verify(authority: &CertificateAuthority, host: &Host, name: &str) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate_der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let leaf = authority.leaf(host).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    verifier
        .verify_server_cert(&leaf.cert[0], &leaf.cert[1..], &name, &[], UnixTime::now())
        .map(|_| ())
}

#[test]
fn leaves_verify_for_their_host_only() {
    let authority = CertificateAuthority::generate().unwrap();
    let long = format!("{}.{}.example", "a".repeat(63), "b".repeat(63));
    for name in [
        "api.example.com",
        "xn--mnchen-3ya.example",
        "a_b.example",
        &long,
        "192.0.2.1",
    ] {
        verify(&authority, &host(name), name).unwrap();
        assert!(
            verify(&authority, &host(name), "other.example").is_err(),
            "{name}"
        );
    }
    verify(&authority, &host("[2001:db8::1]"), "2001:db8::1").unwrap();
}

#[test]
fn two_authorities_do_not_trust_each_other() {
    let one = CertificateAuthority::generate().unwrap();
    let two = CertificateAuthority::generate().unwrap();
    assert_ne!(one.fingerprint(), two.fingerprint());
    let mut mixed = CertificateAuthority::generate().unwrap();
    mixed.certificate = one.certificate.clone();
    assert!(verify(&mixed, &host("a.example"), "a.example").is_err());
}

#[test]
fn the_authority_says_what_it_is() {
    let authority = CertificateAuthority::generate().unwrap();
    let certificate = parsed(authority.certificate_der());
    assert!(certificate.is_ca());
    let constraints = certificate.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && !usage.digital_signature());
    assert!(
        certificate
            .subject()
            .to_string()
            .starts_with("CN=Carboy bottle CA ")
    );
    assert!(
        authority
            .certificate_pem()
            .starts_with("-----BEGIN CERTIFICATE-----")
    );
}

#[test]
fn leaves_have_the_extensions_that_strict_clients_want() {
    let authority = CertificateAuthority::generate().unwrap();
    let leaf = authority.leaf(&host("api.example.com")).unwrap();
    let certificate = parsed(&leaf.cert[0]);
    let issuer = parsed(authority.certificate_der());

    assert!(!certificate.is_ca());
    assert!(
        certificate
            .key_usage()
            .unwrap()
            .unwrap()
            .value
            .digital_signature()
    );
    assert!(
        certificate
            .extended_key_usage()
            .unwrap()
            .unwrap()
            .value
            .server_auth
    );
    let names = certificate.subject_alternative_name().unwrap().unwrap();
    assert_eq!(
        names.value.general_names,
        [GeneralName::DNSName("api.example.com")]
    );
    let authority_key =
        certificate
            .extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::AuthorityKeyIdentifier(key) => key.key_identifier.clone(),
                _ => None,
            });
    let subject_key = |of: &X509Certificate<'_>| {
        of.extensions()
            .iter()
            .find_map(|extension| match extension.parsed_extension() {
                ParsedExtension::SubjectKeyIdentifier(key) => Some(key.0.to_vec()),
                _ => None,
            })
    };
    assert_eq!(
        authority_key.map(|key| key.0.to_vec()),
        subject_key(&issuer)
    );
    assert!(subject_key(&certificate).is_some());
    assert_eq!(certificate.issuer(), issuer.subject());
    let validity = certificate.validity();
    let seconds = validity.not_after.timestamp() - validity.not_before.timestamp();
    assert_eq!(seconds.unsigned_abs(), (LEAF_VALIDITY + BACKDATE).as_secs());
}

#[test]
fn an_address_is_in_the_leaf_as_an_address() {
    let authority = CertificateAuthority::generate().unwrap();
    for (addr, octets) in [
        (
            IpAddr::from(Ipv4Addr::new(192, 0, 2, 1)),
            vec![192, 0, 2, 1],
        ),
        (
            Ipv6Addr::LOCALHOST.into(),
            Ipv6Addr::LOCALHOST.octets().to_vec(),
        ),
    ] {
        let leaf = authority.leaf(&Host::Addr(addr)).unwrap();
        let certificate = parsed(&leaf.cert[0]);
        let names = certificate.subject_alternative_name().unwrap().unwrap();
        assert_eq!(names.value.general_names, [GeneralName::IPAddress(&octets)]);
    }
}

#[test]
fn leaves_are_cached_and_serials_differ() {
    let authority = CertificateAuthority::generate().unwrap();
    let a = authority.leaf(&host("a.example")).unwrap();
    assert!(Arc::ptr_eq(
        &a,
        &authority.leaf(&host("A.example.")).unwrap()
    ));
    let b = authority.leaf(&host("b.example")).unwrap();
    assert_ne!(
        parsed(&a.cert[0]).raw_serial(),
        parsed(&b.cert[0]).raw_serial()
    );
}

#[test]
fn the_cache_is_bounded() {
    let authority = CertificateAuthority::generate().unwrap();
    let first = authority.leaf(&host("first.example")).unwrap();
    for index in 0..LEAVES_MAX.get() {
        authority.leaf(&host(&format!("h{index}.example"))).unwrap();
    }
    assert_eq!(authority.leaves.lock().len(), LEAVES_MAX.get());
    assert!(!Arc::ptr_eq(
        &first,
        &authority.leaf(&host("first.example")).unwrap()
    ));
}

#[test]
fn a_kept_authority_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let made = CertificateAuthority::init(directory.path()).unwrap();
    let read = CertificateAuthority::load(directory.path()).unwrap();
    assert_eq!(made.fingerprint(), read.fingerprint());
    assert_eq!(made.certificate_pem(), read.certificate_pem());
    verify(&read, &host("a.example"), "a.example").unwrap();
    let again = CertificateAuthority::init(directory.path());
    assert!(matches!(again, Err(CaError::Exists(_))));
}

#[test]
fn a_key_that_others_may_read_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    CertificateAuthority::init(directory.path()).unwrap();
    let key = directory.path().join(KEY_FILE);
    assert_eq!(
        fs::metadata(&key).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
    let error = CertificateAuthority::load(directory.path()).unwrap_err();
    assert!(error.to_string().contains("chmod 600"), "{error}");
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    CertificateAuthority::init(directory.path()).unwrap();
    CertificateAuthority::init(other.path()).unwrap();
    fs::copy(
        other.path().join(CERTIFICATE_FILE),
        directory.path().join(CERTIFICATE_FILE),
    )
    .unwrap();
    let error = CertificateAuthority::load(directory.path()).unwrap_err();
    assert!(matches!(error, CaError::Unusable { .. }), "{error}");
    fs::write(directory.path().join(CERTIFICATE_FILE), "nonsense").unwrap();
    assert!(CertificateAuthority::load(directory.path()).is_err());
}

#[test]
fn debug_output_has_no_key() {
    let authority = CertificateAuthority::generate().unwrap();
    assert_eq!(
        format!("{authority:?}").len(),
        "CertificateAuthority()".len() + 64
    );
}
