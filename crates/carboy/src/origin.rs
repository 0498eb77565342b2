//! A small HTTP or HTTPS server on loopback: the far end of `demo` and `selftest`, so that both
//! work without the internet.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

use anyhow::{Context, Result};
use http_body_util::combinators::BoxBody;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// The body of an answer.
pub(crate) type Body = BoxBody<Bytes, io::Error>;
type Answer = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// Answers one request.
pub(crate) type Handler = Arc<dyn Fn(Request<Incoming>) -> Answer + Send + Sync>;

/// A running server. It stops when dropped.
pub(crate) struct Origin {
    address: SocketAddr,
    accept: JoinHandle<()>,
}

impl Origin {
    /// Serves HTTP, or HTTPS when `tls` is given, on a free port of 127.0.0.1. Needs a tokio
    /// runtime.
    ///
    /// # Errors
    /// When loopback cannot be bound.
    pub(crate) async fn serve(
        tls: Option<Arc<rustls::ServerConfig>>,
        handler: Handler,
    ) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("cannot listen on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let acceptor = tls.map(TlsAcceptor::from);
        let accept = tokio::spawn(accept(listener, acceptor, handler));
        Ok(Self { address, accept })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accept.abort();
    }
}

async fn accept(listener: TcpListener, acceptor: Option<TlsAcceptor>, handler: Handler) {
    // A failed accept is the peer's; the next one may do.
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let (acceptor, handler) = (acceptor.clone(), Arc::clone(&handler));
        tokio::spawn(async move {
            match acceptor {
                None => connection(stream, handler).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection(stream, handler).await;
                    }
                }
            }
        });
    }
}

async fn connection(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, handler: Handler) {
    let service = service_fn(|request| {
        let answer = handler(request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    // The client may break off at any time; that is no fault of this server's.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(io), service)
        .await;
}

/// A certificate authority made for one run, with the one server certificate it signed.
pub(crate) struct Authority {
    /// The authority's public certificate, in PEM.
    pub(crate) certificate_pem: String,
    /// What a server for the names speaks TLS with.
    pub(crate) server: Arc<rustls::ServerConfig>,
}

impl Authority {
    /// Makes an authority and a server certificate for `names`.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub(crate) fn new(names: &[&str]) -> Result<Self> {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
        params
            .distinguished_name
            .push(rcgen::DnType::CommonName, "Carboy local origin");
        let issuer = rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate()?)?;

        let key = rcgen::KeyPair::generate()?;
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let leaf = rcgen::CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut server = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)?;
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self {
            certificate_pem: issuer.pem(),
            server: Arc::new(server),
        })
    }
}
