//! TLS clients and TLS upstreams.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use carboy_engine::Host;
use carboy_proxy::{CertificateAuthority, Gate};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::SingleCertAndKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::support::{Client, Far, Stand, Upstreams};

/// An authority that upstreams' certificates come from, and its file.
pub struct Authority {
    pub inner: CertificateAuthority,
    directory: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let inner = CertificateAuthority::init(directory.path()).unwrap();
        Self { inner, directory }
    }

    pub fn files(&self) -> Vec<PathBuf> {
        vec![self.directory.path().join("ca.pem")]
    }

    fn acceptor(&self, host: &str) -> TlsAcceptor {
        self.acceptor_of(host, &[])
    }

    /// What proves itself as `host` and chooses the first of `alpn` that a client offers.
    pub fn acceptor_of(&self, host: &str, alpn: &[&str]) -> TlsAcceptor {
        self.acceptor_asking(host, alpn, WebPkiClientVerifier::no_client_auth())
    }

    fn acceptor_asking(
        &self,
        host: &str,
        alpn: &[&str],
        verifier: Arc<dyn ClientCertVerifier>,
    ) -> TlsAcceptor {
        let leaf = self.inner.leaf(&Host::parse(host).unwrap()).unwrap();
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(leaf)));
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        TlsAcceptor::from(Arc::new(config))
    }

    /// As [`Authority::upstream`], for clients that show a certificate of `trusted`.
    pub async fn upstream_asking(&self, host: &str, trusted: CertificateDer<'static>) -> Upstreams {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        let provider = Arc::new(default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let acceptor = self.acceptor_asking(host, &[], verifier.build().unwrap());
        Upstreams::run(move |far| answer(acceptor.clone(), far)).await
    }

    /// An upstream that proves itself as `host`, and answers each request with its own head.
    pub async fn upstream(&self, host: &str) -> Upstreams {
        let acceptor = self.acceptor(host);
        Upstreams::run(move |far| answer(acceptor.clone(), far)).await
    }
}

async fn answer(acceptor: TlsAcceptor, far: Far) {
    let seen = far.log();
    let Ok(mut stream) = acceptor.accept(far.stream).await else {
        return;
    };
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut buffer).await {
        seen.lock().extend_from_slice(&buffer[..read]);
        request.extend_from_slice(&buffer[..read]);
        if request.ends_with(b"\r\n\r\n") {
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n",
                request.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(&request).await.unwrap();
            if request.windows(17).any(|part| part == b"Connection: close") {
                return stream.shutdown().await.unwrap();
            }
            request.clear();
        }
    }
}

impl Authority {
    /// A server that proves itself as `host`, and sends back each frame of a WebSocket.
    pub async fn websocket(&self, host: &str) -> Upstreams {
        let acceptor = self.acceptor(host);
        Upstreams::run(move |far| {
            let acceptor = acceptor.clone();
            async move {
                let log = far.log();
                let stream = acceptor.accept(far.stream).await.unwrap();
                crate::ws::serve_echo(stream, log).await;
            }
        })
        .await
    }

    /// An upstream that proves itself as `host`, greets, and answers each line with itself.
    pub async fn lines(&self, host: &str) -> Upstreams {
        let acceptor = self.acceptor(host);
        Upstreams::run(move |far| {
            let acceptor = acceptor.clone();
            async move {
                let mut stream = acceptor.accept(far.stream).await.unwrap();
                stream.write_all(b"* ready\r\n").await.unwrap();
                let mut buffer = [0; 4096];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    stream.write_all(&buffer[..read]).await.unwrap();
                }
                stream.shutdown().await.unwrap();
            }
        })
        .await
    }
}

/// A client that trusts one authority.
pub fn connector(trusted: &CertificateDer<'static>, alpn: &[&str]) -> TlsConnector {
    TlsConnector::from(Arc::new(config(trusted, alpn, rustls::DEFAULT_VERSIONS)))
}

/// As [`connector`], for one version of TLS, and without a server name.
pub fn terse(gate: &Gate, version: &'static rustls::SupportedProtocolVersion) -> TlsConnector {
    let authority = gate.interceptor().authority().certificate_der();
    let mut config = config(authority, &[], &[version]);
    config.enable_sni = false;
    TlsConnector::from(Arc::new(config))
}

fn config(
    trusted: &CertificateDer<'static>,
    alpn: &[&str],
    versions: &[&'static rustls::SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    config
}

/// A client that trusts the gate's own authority.
pub fn trusting(gate: &Gate, alpn: &[&str]) -> TlsConnector {
    connector(gate.interceptor().authority().certificate_der(), alpn)
}

pub fn name(text: &str) -> ServerName<'static> {
    ServerName::try_from(text.to_owned()).unwrap()
}

/// A tunnel to `up.example`.
pub async fn up_tunnel(stand: &Stand, port: u16) -> TcpStream {
    tunnel(stand.address, &format!("up.example:{port}")).await
}

/// A proxy's client that has opened a tunnel.
pub async fn tunnel(proxy: SocketAddr, authority: &str) -> TcpStream {
    let mut client = Client(TcpStream::connect(proxy).await.unwrap());
    client
        .send(format!(
            "CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"
        ))
        .await;
    let response = client.response().await;
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    client.0
}

/// One request with `Connection: close`, and all that comes back.
pub async fn ask<IO>(stream: &mut TlsStream<IO>, host: &str, path: &str) -> String
where
    IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    String::from_utf8(response).unwrap()
}

/// The certificate that a client was shown.
pub fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}
