//! A tiny HTTP client for what runs inside a bottle: it reads no proxy variables, so it shows
//! that the wall does not need them.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::Url;

/// A whole request to a local origin takes far less.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// An answer of the local origins and of refusals is far smaller.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// A request with a body that is short enough to hold.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) header: Option<(&'a str, &'a str)>,
    pub(crate) body: &'a str,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: hyper::HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// Sends a request on a connection of its own and reads the answer.
///
/// # Errors
/// When the name does not resolve, the connection or the handshake fails, or the answer is not
/// HTTP/1.1.
pub(crate) fn send(request: Request<'_>) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match tokio::time::timeout(REQUEST_TIMEOUT, connect_and_send(request)).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
        }
    })
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the bottle's side of the wall"
)]
async fn connect_and_send(request: Request<'_>) -> Result<Answer> {
    let url = Url::parse(request.url).context("not a URL")?;
    let host = url
        .host_str()
        .context("the URL has no host")?
        .trim_matches(['[', ']']);
    let port = url.port_or_known_default().context("the URL has no port")?;
    let tcp = TcpStream::connect((host, port))
        .await
        .with_context(|| format!("cannot connect to {host}:{port}"))?;
    match url.scheme() {
        "http" => exchange(tcp, &url, request).await,
        "https" => {
            let name = ServerName::try_from(host.to_owned()).context("not a server's name")?;
            let tls = TlsConnector::from(Arc::new(trust()?))
                .connect(name, tcp)
                .await;
            exchange(tls.context("no TLS")?, &url, request).await
        }
        other => bail!("cannot speak {other}"),
    }
}

/// The roots that `SSL_CERT_FILE` names, as any client in a bottle finds them.
fn trust() -> Result<ClientConfig> {
    let bundle = env::var_os("SSL_CERT_FILE").context("SSL_CERT_FILE is not set")?;
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(&bundle)
        .with_context(|| format!("cannot read {}", bundle.display()))?;
    for certificate in certificates {
        // A bundle may hold a certificate that this library cannot use; the others count.
        let _ = roots.add(certificate?);
    }
    Ok(ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth())
}

async fn exchange<S>(io: S, url: &Url, request: Request<'_>) -> Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let mut head = hyper::Request::builder()
        .method(request.method)
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header("host", authority)
        .header("accept", "application/json");
    if let Some((name, value)) = request.header {
        head = head.header(name, value);
    }
    let body = Full::new(Bytes::copy_from_slice(request.body.as_bytes()));
    let (mut sender, connection) = http1::handshake(TokioIo::new(io)).await?;
    tokio::spawn(connection);
    let (head, body) = sender.send_request(head.body(body)?).await?.into_parts();
    let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
    let body = body
        .map_err(|error| anyhow::anyhow!("the answer broke off: {error}"))?
        .to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
