//! The authorities that upstream certificates are verified against.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why there are no roots to verify upstreams with.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// A file of extra authorities cannot be used.
    #[error("{path}: {problem}")]
    Extra {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Neither the system nor the caller has a root.
    #[error("no trusted authorities found: install ca-certificates, or set SSL_CERT_FILE")]
    None,
    /// The TLS library refuses its own defaults.
    #[error("TLS: {0}")]
    Tls(rustls::Error),
}

/// The system's roots and those of `extra`.
pub(crate) fn load(extra: &[PathBuf]) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    if let Some(bundle) = system_bundle() {
        // A bundle may hold a certificate that the library cannot use; the rest still counts.
        roots.add_parsable_certificates(read(&bundle).unwrap_or_default());
    }
    for path in extra {
        let wrong = |problem: String| RootsError::Extra {
            path: path.clone(),
            problem,
        };
        let certificates = read(path).map_err(&wrong)?;
        if certificates.is_empty() {
            return Err(wrong("holds no PEM certificate".into()));
        }
        for certificate in certificates {
            roots
                .add(certificate)
                .map_err(|error| wrong(error.to_string()))?;
        }
    }
    if roots.is_empty() {
        return Err(RootsError::None);
    }
    Ok(roots)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

fn system_bundle() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("SSL_CERT_FILE") {
        return Some(path.into());
    }
    SYSTEM_BUNDLES
        .iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}

/// Where Linux distributions keep their bundle (Go's `crypto/x509/root_linux.go` lists the same).
const SYSTEM_BUNDLES: [&str; 6] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];
