//! The ways from client to origin.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Result, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::load::head_end;

/// A connection of any kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// One way from client to origin.
#[derive(Clone)]
pub(crate) struct Door {
    /// Who is dialled.
    pub(crate) dial: SocketAddr,
    /// What a proxy is asked to connect to, if there is one and it is asked that.
    pub(crate) connect: Option<String>,
    /// The name in TLS and what is trusted, if there is TLS.
    pub(crate) tls: Option<(&'static str, Arc<ClientConfig>)>,
    /// What stands before the path in a request line: empty, or scheme and authority.
    pub(crate) prefix: String,
    /// The `Host` header.
    pub(crate) host: String,
}

impl Door {
    pub(crate) async fn open(&self) -> Result<Box<dyn Stream>> {
        let mut stream = TcpStream::connect(self.dial).await?;
        stream.set_nodelay(true)?;
        if let Some(authority) = &self.connect {
            let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
            stream.write_all(request.as_bytes()).await?;
            let mut answer = Vec::new();
            while head_end(&answer).is_none() {
                ensure!(
                    stream.read_buf(&mut answer).await? > 0,
                    "no answer to CONNECT"
                );
            }
            let answer = String::from_utf8_lossy(&answer);
            ensure!(
                answer.starts_with("HTTP/1.1 200"),
                "CONNECT was answered: {answer}"
            );
        }
        Ok(match &self.tls {
            None => Box::new(stream),
            Some((name, config)) => {
                let name = ServerName::try_from(*name)?;
                let connector = TlsConnector::from(Arc::clone(config));
                Box::new(connector.connect(name, stream).await?)
            }
        })
    }

    /// A request for what the origin has at `/PATH`.
    pub(crate) fn request_path(&self, path: &str) -> Vec<u8> {
        let Self { prefix, host, .. } = self;
        format!(
            "GET {prefix}/{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: bench/1\r\n\
             Accept: */*\r\nAccept-Encoding: gzip\r\n\r\n"
        )
        .into_bytes()
    }

    /// A request for `size` bytes; `upload` says that a body of that many follows.
    pub(crate) fn request(&self, size: usize, upload: Option<usize>) -> Vec<u8> {
        let Self { prefix, host, .. } = self;
        let rest = "User-Agent: bench/1\r\nAccept: */*\r\n";
        match upload {
            None => format!("GET {prefix}/{size} HTTP/1.1\r\nHost: {host}\r\n{rest}\r\n"),
            Some(length) => format!(
                "POST {prefix}/{size} HTTP/1.1\r\nHost: {host}\r\n{rest}\
                 Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
            ),
        }
        .into_bytes()
    }
}
