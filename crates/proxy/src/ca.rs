//! The certificate authority that interception mints leaves with.
//!
//! A bottle's own authority lives in memory and dies with the gate. A kept one is a pair of PEM
//! files, for a proxy whose clients trust it once. All leaves of an authority share one key: it
//! proves nothing more than the authority's own key does, and saves a key generation per host.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use carboy_engine::Host;
use lru::LruCache;
use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
};
use rustls::crypto::aws_lc_rs::sign::any_ecdsa_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use zeroize::{Zeroize, Zeroizing};

/// How long a bottle's authority is valid. Its key dies with the bottle, so this is only longer
/// than any bottle should live.
const BOTTLE_VALIDITY: Duration = Duration::from_secs(90 * DAY);

/// How long a kept authority is valid: two years, after which its files must be made anew.
const KEPT_VALIDITY: Duration = Duration::from_secs(730 * DAY);

/// How long a leaf is valid. Clients refuse leaves of over 398 days; a week outlives most bottles.
const LEAF_VALIDITY: Duration = Duration::from_secs(7 * DAY);

/// How long before its end a cached leaf is minted anew.
const LEAF_RENEWAL: Duration = Duration::from_secs(DAY);

/// How far validity starts in the past, for clients whose clocks are behind.
const BACKDATE: Duration = Duration::from_secs(3600);

/// The leaves kept, at about 1 KiB each; the least used goes first.
const LEAVES_MAX: NonZeroUsize = NonZeroUsize::new(2048).expect("2048 is not zero");

/// The longest common name (RFC 5280, appendix A.1: `ub-common-name`).
const COMMON_NAME_MAX: usize = 64;

/// The largest PEM file read: an authority's takes under 1 KiB.
const PEM_BYTES_MAX: u64 = 64 * 1024;

const DAY: u64 = 24 * 3600;

/// The certificate's file name in a kept authority's directory.
const CERTIFICATE_FILE: &str = "ca.pem";

/// The key's file name in a kept authority's directory.
const KEY_FILE: &str = "ca-key.pem";

/// A certificate authority: it mints a leaf for any host.
pub struct CertificateAuthority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    pem: String,
    not_after: OffsetDateTime,
    leaf_key: LeafKey,
    leaves: Mutex<LruCache<Host, Leaf>>,
}

/// The key that all leaves share: as rcgen certifies it, and as rustls signs with it.
struct LeafKey {
    certified: KeyPair,
    signing: Arc<dyn SigningKey>,
}

#[derive(Clone)]
struct Leaf {
    key: Arc<CertifiedKey>,
    renew_at: OffsetDateTime,
}

/// Why an authority cannot be made, read, or asked for a leaf.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A kept authority's file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is a kept authority already.
    #[error("{} exists; remove the authority's two files to make a new one", .0.display())]
    Exists(PathBuf),
    /// Others may read the key.
    #[error("{} has mode {mode:04o}; run `chmod 600 {}`", path.display(), path.display())]
    KeyMode {
        /// The key's file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The files do not hold an authority.
    #[error("{}: {why}; make a new one with `carboy ca init`", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The authority's validity is over.
    #[error("the certificate authority has expired; make a new one with `carboy ca init`")]
    Expired,
    /// The name cannot stand in a certificate.
    #[error("{0} cannot be in a certificate")]
    Name(String),
    /// A key or certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Crypto(String),
}

impl CertificateAuthority {
    /// Makes a bottle's authority. Its key never leaves memory.
    ///
    /// # Errors
    /// [`CaError::Crypto`], when the system has no randomness.
    pub fn generate() -> Result<Self, CaError> {
        let key = new_key()?;
        let params = authority_params("Carboy bottle CA", BOTTLE_VALIDITY)?;
        Self::self_signed(params, key)
    }

    /// Makes an authority and keeps it in `directory`: `ca.pem`, and `ca-key.pem` with mode 0600.
    ///
    /// # Errors
    /// [`CaError::Exists`], or [`CaError::File`] when the directory cannot be written.
    pub fn init(directory: &Path) -> Result<Self, CaError> {
        fs::create_dir_all(directory).map_err(|source| file_error(directory, source))?;
        let key = new_key()?;
        let key_pem = Zeroizing::new(key.serialize_pem());
        let params = authority_params("Carboy CA", KEPT_VALIDITY)?;
        let authority = Self::self_signed(params, key)?;
        write_new(&directory.join(KEY_FILE), key_pem.as_bytes(), 0o600)?;
        let certificate = directory.join(CERTIFICATE_FILE);
        write_new(&certificate, authority.pem.as_bytes(), 0o644).inspect_err(|_| {
            // A key without its certificate would block the next attempt.
            let _ = fs::remove_file(directory.join(KEY_FILE));
        })?;
        Ok(authority)
    }

    /// Reads a kept authority.
    ///
    /// # Errors
    /// When a file is missing, the key's mode lets others read it, the two do not belong
    /// together, or the authority has expired.
    pub fn load(directory: &Path) -> Result<Self, CaError> {
        let key_path = directory.join(KEY_FILE);
        let key_pem = read_key(&key_path)?;
        let key = KeyPair::from_pem(&key_pem).map_err(|error| unusable(&key_path, error))?;
        let path = directory.join(CERTIFICATE_FILE);
        let pem = read_file(&path, &open(&path)?)?;
        let (_, der) = x509_parser::pem::parse_x509_pem(pem.as_bytes())
            .map_err(|error| unusable(&path, error))?;
        let certificate = CertificateDer::from(der.contents);
        let not_after = check_authority(&certificate, &key).map_err(|why| unusable(&path, why))?;
        if not_after <= OffsetDateTime::now_utc() {
            return Err(CaError::Expired);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, scrubbed(key))
            .map_err(|error| unusable(&path, error))?;
        Self::assemble(issuer, certificate, pem.to_string(), not_after)
    }

    fn self_signed(params: CertificateParams, key: KeyPair) -> Result<Self, CaError> {
        let certificate = params.self_signed(&key).map_err(crypto)?;
        let not_after = params.not_after;
        let issuer = Issuer::new(params, scrubbed(key));
        let pem = certificate.pem();
        Self::assemble(issuer, certificate.into(), pem, not_after)
    }

    fn assemble(
        issuer: Issuer<'static, KeyPair>,
        certificate: CertificateDer<'static>,
        pem: String,
        not_after: OffsetDateTime,
    ) -> Result<Self, CaError> {
        Ok(Self {
            issuer,
            certificate,
            pem,
            not_after,
            leaf_key: LeafKey::generate()?,
            leaves: Mutex::new(LruCache::new(LEAVES_MAX)),
        })
    }

    /// The certificate, for trust stores.
    pub fn certificate_pem(&self) -> &str {
        &self.pem
    }

    /// The certificate's DER.
    pub fn certificate_der(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// The SHA-256 of the certificate's DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// A leaf for a host, from the cache where possible.
    ///
    /// # Errors
    /// [`CaError::Expired`], or [`CaError::Name`] for a name that no certificate can hold.
    pub fn leaf(&self, host: &Host) -> Result<Arc<CertifiedKey>, CaError> {
        let now = OffsetDateTime::now_utc();
        if let Some(leaf) = self.leaves.lock().get(host)
            && leaf.renew_at > now
        {
            return Ok(Arc::clone(&leaf.key));
        }
        // Minted outside the lock: two connections may both mint a host's first leaf, harmlessly.
        let leaf = self.mint(host, now)?;
        let key = Arc::clone(&leaf.key);
        self.leaves.lock().put(host.clone(), leaf);
        Ok(key)
    }

    fn mint(&self, host: &Host, now: OffsetDateTime) -> Result<Leaf, CaError> {
        if self.not_after <= now {
            return Err(CaError::Expired);
        }
        let params = leaf_params(host, now, self.not_after)?;
        let certificate = params
            .signed_by(&self.leaf_key.certified, &self.issuer)
            .map_err(crypto)?;
        let chain = vec![certificate.into(), self.certificate.clone()];
        Ok(Leaf {
            key: Arc::new(CertifiedKey::new(chain, Arc::clone(&self.leaf_key.signing))),
            renew_at: params.not_after.min(self.not_after) - LEAF_RENEWAL.min(LEAF_VALIDITY / 2),
        })
    }
}

/// Shows the certificate's fingerprint only.
impl fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateAuthority(")?;
        let fingerprint = self.fingerprint();
        fingerprint
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, ")")
    }
}

impl LeafKey {
    fn generate() -> Result<Self, CaError> {
        let certified = new_key()?;
        let der = PrivatePkcs8KeyDer::from(certified.serialized_der());
        let signing = any_ecdsa_type(&PrivateKeyDer::Pkcs8(der)).map_err(crypto)?;
        Ok(Self {
            certified: scrubbed(certified),
            signing,
        })
    }
}

fn new_key() -> Result<KeyPair, CaError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(crypto)
}

/// Wipes the serialized copy that rcgen keeps beside the key; the key itself still signs.
fn scrubbed(mut key: KeyPair) -> KeyPair {
    key.zeroize();
    key
}

fn authority_params(title: &str, validity: Duration) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    let serial = serial()?;
    let tag: String = serial[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    params.distinguished_name = named(&format!("{title} {tag}"));
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    let now = OffsetDateTime::now_utc();
    params.not_before = now - BACKDATE;
    params.not_after = now + validity;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf_params(
    host: &Host,
    now: OffsetDateTime,
    authority_end: OffsetDateTime,
) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    let text = match host {
        Host::Name(name) => name.to_string(),
        Host::Addr(addr) => addr.to_string(),
    };
    params.subject_alt_names = vec![alternative_name(host)?];
    // The names that count are the alternative ones; a common name is for people.
    let fits = text.len() <= COMMON_NAME_MAX;
    params.distinguished_name = named(if fits { &text } else { "Carboy leaf" });
    params.serial_number = Some(SerialNumber::from_slice(&serial()?));
    params.not_before = now - BACKDATE;
    params.not_after = (now + LEAF_VALIDITY).min(authority_end);
    // Said explicitly: rcgen then adds the subject key identifier too.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn alternative_name(host: &Host) -> Result<SanType, CaError> {
    match host {
        Host::Addr(addr) => Ok(SanType::IpAddress(unmapped(*addr))),
        Host::Name(name) => {
            let text = name.to_string();
            let ascii = text.clone().try_into();
            ascii.map(SanType::DnsName).map_err(|_| CaError::Name(text))
        }
    }
}

/// An IPv4 address inside an IPv6 one is the IPv4 address (RFC 4291, section 2.5.5.2).
fn unmapped(addr: IpAddr) -> IpAddr {
    addr.to_canonical()
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    name
}

/// A random serial number: all leaves share a key, and clients refuse two certificates of one
/// issuer and number (RFC 5280, section 4.1.2.2).
fn serial() -> Result<[u8; 16], CaError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(crypto)?;
    // Positive, and without leading zero bytes.
    serial[0] = serial[0] & 0x3f | 0x40;
    Ok(serial)
}

/// Checks that a certificate is an authority's, for this key. Returns when it ends.
fn check_authority(
    certificate: &CertificateDer<'_>,
    key: &KeyPair,
) -> Result<OffsetDateTime, String> {
    let (_, parsed) =
        x509_parser::parse_x509_certificate(certificate).map_err(|error| error.to_string())?;
    if !parsed.is_ca() {
        return Err("not an authority's certificate".into());
    }
    if parsed.public_key().subject_public_key.data != key.der_bytes() {
        return Err(format!("its key is not the one in {KEY_FILE}"));
    }
    Ok(parsed.validity().not_after.to_datetime())
}

fn open(path: &Path) -> Result<File, CaError> {
    File::open(path).map_err(|source| file_error(path, source))
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, CaError> {
    let file = open(path)?;
    let metadata = file.metadata().map_err(|source| file_error(path, source))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(CaError::KeyMode {
            path: path.into(),
            mode,
        });
    }
    read_file(path, &file)
}

fn read_file(path: &Path, file: &File) -> Result<Zeroizing<String>, CaError> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    file.take(PEM_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(|source| file_error(path, source))?;
    Ok(text)
}

fn write_new(path: &Path, bytes: &[u8], mode: u32) -> Result<(), CaError> {
    let opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path);
    let mut file = opened.map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CaError::Exists(path.into()),
        _ => file_error(path, source),
    })?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(|source| file_error(path, source))
}

fn file_error(path: &Path, source: io::Error) -> CaError {
    CaError::File {
        path: path.into(),
        source,
    }
}

fn unusable(path: &Path, why: impl fmt::Display) -> CaError {
    CaError::Unusable {
        path: path.into(),
        why: why.to_string(),
    }
}

fn crypto(error: impl fmt::Display) -> CaError {
    CaError::Crypto(error.to_string())
}

#[cfg(test)]
mod tests;
