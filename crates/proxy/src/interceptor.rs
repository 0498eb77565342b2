//! What terminates a bottle's TLS: the authority, and the server's side of the handshake.

use std::sync::Arc;

use carboy_engine::Host;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::sign::SingleCertAndKey;

use crate::ca::{CaError, CertificateAuthority};

/// The protocols offered to clients (RFC 7301), most wanted first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// Terminates TLS for any host with leaves of one authority.
#[derive(Debug)]
pub struct Interceptor {
    authority: Arc<CertificateAuthority>,
    base: ServerConfig,
}

impl Interceptor {
    /// Sets the server's side of TLS 1.2 and 1.3 up, with sessions resumed by tickets.
    ///
    /// # Errors
    /// [`CaError::Crypto`], when the system has no randomness for the tickets' key.
    pub fn new(authority: Arc<CertificateAuthority>) -> Result<Self, CaError> {
        let crypto = |error: rustls::Error| CaError::Crypto(error.to_string());
        let provider = Arc::new(aws_lc_rs::default_provider());
        // The resolver is a placeholder: every connection gets its host's leaf.
        let unnamed = authority.leaf(&Host::Name("carboy.invalid".into()))?;
        let mut base = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(crypto)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(unnamed)));
        base.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
        base.ticketer = aws_lc_rs::Ticketer::new().map_err(crypto)?;
        base.send_tls13_tickets = 1;
        Ok(Self { authority, base })
    }

    /// The authority that clients must trust.
    pub fn authority(&self) -> &Arc<CertificateAuthority> {
        &self.authority
    }

    /// The handshake's settings for one host: the leaf is chosen by the target that was judged,
    /// not by what the client's hello says.
    pub(crate) fn config(&self, host: &Host) -> Result<Arc<ServerConfig>, CaError> {
        let leaf = self.authority.leaf(host)?;
        let mut config = self.base.clone();
        config.cert_resolver = Arc::new(SingleCertAndKey::from(leaf));
        Ok(Arc::new(config))
    }
}
