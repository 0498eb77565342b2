//! Upstreams that ask for a certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use carboy_engine::HostPattern;
use carboy_proxy::{Identity, IdentityError};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;

use crate::support::{OPEN, Setup, Stand, status};
use crate::tls::{Authority, ask, name, trusting, up_tunnel};

/// A client's certificate and key in files, and the authority that vouches for them.
struct Papers {
    authority: CertificateDer<'static>,
    directory: tempfile::TempDir,
}

impl Papers {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().der().clone();
        let issuer = Issuer::new(params, key);
        let mut params = CertificateParams::new(vec!["agent.example".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        let papers = Self {
            authority,
            directory: tempfile::tempdir().unwrap(),
        };
        fs::write(papers.file("cert.pem"), certificate.pem()).unwrap();
        fs::write(papers.file("key.pem"), key.serialize_pem()).unwrap();
        papers.key_mode(0o600);
        papers
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn key_mode(&self, mode: u32) {
        fs::set_permissions(self.file("key.pem"), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn identity(&self, hosts: &str) -> Result<Identity, IdentityError> {
        let hosts = HostPattern::parse(hosts).unwrap();
        Identity::load(hosts, &self.file("cert.pem"), &self.file("key.pem"))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_shown_where_the_policy_says_so() {
    let (authority, papers) = (Authority::new(), Papers::new());
    let up = authority
        .upstream_asking("up.example", papers.authority.clone())
        .await;
    for (hosts, code) in [("up.example", 200), ("other.example", 502)] {
        let stand = Stand::with(Setup {
            policy: OPEN,
            authorities: authority.files(),
            identities: vec![papers.identity(hosts).unwrap()],
            ..Setup::default()
        })
        .await;
        let client = trusting(&stand.gate, &["http/1.1"]);
        let socket = up_tunnel(&stand, up.port()).await;
        let mut stream = client.connect(name("up.example"), socket).await.unwrap();
        let host = format!("up.example:{}", up.port());
        assert_eq!(status(&ask(&mut stream, &host, "/").await), code, "{hosts}");
        stand.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_renewed_certificate_is_shown_by_a_gate_that_runs() {
    let (authority, shown, renewed) = (Authority::new(), Papers::new(), Papers::new());
    let up = authority
        .upstream_asking("up.example", renewed.authority.clone())
        .await;
    let stand = Stand::with(Setup {
        authorities: authority.files(),
        identities: vec![shown.identity("up.example").unwrap()],
        ..Setup::default()
    })
    .await;
    let host = format!("up.example:{}", up.port());
    // Between the two renames the files hold no pair, and the one before stands.
    for (file, code) in [(None, 502), (Some("cert.pem"), 502), (Some("key.pem"), 200)] {
        if let Some(file) = file {
            fs::rename(renewed.file(file), shown.file(file)).unwrap();
        }
        let client = trusting(&stand.gate, &["http/1.1"]);
        let socket = up_tunnel(&stand, up.port()).await;
        let mut stream = client.connect(name("up.example"), socket).await.unwrap();
        assert_eq!(
            status(&ask(&mut stream, &host, "/").await),
            code,
            "{file:?}"
        );
    }
    stand.finish().await;
}

#[test]
fn a_key_that_others_may_read_or_that_is_another_is_not_used() {
    let papers = Papers::new();
    let shown = format!("{:?}", papers.identity("up.example").unwrap());
    let key = fs::read_to_string(papers.file("key.pem")).unwrap();
    assert!(!shown.contains(key.lines().nth(1).unwrap()));

    papers.key_mode(0o640);
    let error = papers.identity("up.example").unwrap_err().to_string();
    assert!(error.contains("has mode 0640; run `chmod 600"), "{error}");
    papers.key_mode(0o600);
    fs::write(
        papers.file("key.pem"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let error = papers.identity("up.example").unwrap_err().to_string();
    assert!(error.contains("is not the key of"), "{error}");
    fs::write(papers.file("key.pem"), "no key").unwrap();
    let error = papers.identity("up.example").unwrap_err().to_string();
    assert!(error.contains("holds no key in PEM"), "{error}");
    fs::remove_file(papers.file("cert.pem")).unwrap();
    assert!(matches!(
        papers.identity("up.example"),
        Err(IdentityError::Read { .. })
    ));
}
