//! Certificates that the gate shows to upstreams which ask for one: `tls.client`.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use carboy_engine::HostPattern;
use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

/// A certificate and its key, for some upstreams. Their files are read again once they have changed, so
/// that a short-lived certificate can be renewed under a gate that runs.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(super) hosts: HostPattern,
    cert: PathBuf,
    key: PathBuf,
    pair: Arc<Mutex<Pair>>,
}

/// What was read last.
#[derive(Debug)]
struct Pair {
    /// Its `Debug` leaves the key out.
    certified: Arc<CertifiedKey>,
    stamps: Option<[Stamp; 2]>,
}

/// What tells that a file is not the one that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
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
        Ok(Self {
            hosts,
            cert: cert.to_owned(),
            key: key.to_owned(),
            pair: Arc::new(Mutex::new(Pair::read(cert, key)?)),
        })
    }

    /// The pair that is in the files. While they hold none, as between the renewal of one and of the
    /// other, the one before stands.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut pair = self.pair.lock();
        if pair.stamps.is_none() || pair.stamps != stamps(&self.cert, &self.key) {
            match Pair::read(&self.cert, &self.key) {
                Ok(renewed) => *pair = renewed,
                Err(error) => tracing::warn!(%error, "a client certificate was not read again"),
            }
        }
        Arc::clone(&pair.certified)
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl Pair {
    fn read(cert: &Path, key: &Path) -> Result<Self, IdentityError> {
        // Taken first: a file that changes while it is read is read again.
        let stamps = stamps(cert, key);
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
        let certified = CertifiedKey::from_der(chain, own, &default_provider());
        let certified = certified.map_err(|source| IdentityError::Pair {
            cert: cert.to_owned(),
            key: key.to_owned(),
            source,
        })?;
        let certified = Arc::new(certified);
        Ok(Self { certified, stamps })
    }
}

/// None while one of the files is not there.
fn stamps(cert: &Path, key: &Path) -> Option<[Stamp; 2]> {
    let stamp = |path: &Path| {
        let metadata = fs::metadata(path).ok()?;
        Some(Stamp {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    };
    Some([stamp(cert)?, stamp(key)?])
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
