//! Certificates that the gate shows to upstreams which ask for one: `tls.client`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carboy_engine::HostPattern;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// A certificate and its key, for some upstreams.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) hosts: HostPattern,
    /// Its `Debug` leaves the key out.
    pub(super) key: Arc<CertifiedKey>,
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others than its owner may read the key.
    #[error("{} has mode {mode:04o}; run `chmod 600 {}`", path.display(), path.display())]
    Open {
        /// The key's file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// A file does not hold what it should.
    #[error("{} holds no {what} in PEM", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// A certificate or a key.
        what: &'static str,
    },
    /// The two do not belong together, or the TLS library does not take the key.
    #[error("{} is not the key of {}: {source}", key.display(), cert.display())]
    Pair {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        source: rustls::Error,
    },
}

impl Identity {
    /// Reads a certificate, with those between it and its authority, and its key.
    ///
    /// # Errors
    /// [`IdentityError`]; none quotes what is in the files.
    pub fn load(hosts: HostPattern, cert: &Path, key: &Path) -> Result<Self, IdentityError> {
        let content = |path: &Path, what| IdentityError::Content {
            path: path.to_owned(),
            what,
        };
        let pem = fs::read(cert).map_err(|source| unreadable(cert, source))?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let chain = chain.map_err(|_| content(cert, "certificate"))?;
        if chain.is_empty() {
            return Err(content(cert, "certificate"));
        }
        let secret = read_secret(key)?;
        let own = PrivateKeyDer::from_pem_slice(&secret).map_err(|_| content(key, "key"))?;
        let pair = CertifiedKey::from_der(chain, own, &default_provider());
        let pair = pair.map_err(|source| IdentityError::Pair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        Ok(Self {
            hosts,
            key: Arc::new(pair),
        })
    }
}

/// Reads a file that only its owner may read.
fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let mut file = File::open(path).map_err(|source| unreadable(path, source))?;
    let metadata = file.metadata().map_err(|source| unreadable(path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(IdentityError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)
        .map_err(|source| unreadable(path, source))?;
    Ok(bytes)
}

fn unreadable(path: &Path, source: io::Error) -> IdentityError {
    IdentityError::Read {
        path: path.to_owned(),
        source,
    }
}
