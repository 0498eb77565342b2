//! A connection for one request that switches to another protocol, which no other request shares.

use std::net::SocketAddr;

use ::http::{Request, Response};
use carboy_engine::{Fault, Permit, Scheme};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;

use super::{Upstream, peer};
use crate::http::{Body, cause};
use crate::limits::{HEAD_BYTES_MAX, RESPONSE_HEAD_TIMEOUT};

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<IO: AsyncRead + AsyncWrite + Unpin + Send> Stream for IO {}

/// A connection on which nothing was said yet.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    address: SocketAddr,
}

impl Upstream {
    /// A new connection to the permit's target, for HTTP/1.1.
    pub(crate) async fn line(&self, permit: &Permit) -> Result<Line, Fault> {
        match permit.target().scheme {
            Scheme::Http => {
                let stream = self.tcp(permit).await?;
                let address = peer(&stream, permit)?;
                let stream = Box::new(stream);
                Ok(Line { stream, address })
            }
            Scheme::Https | Scheme::Tls => {
                let stream = self.tls(permit).await?;
                let address = peer(stream.get_ref().0, permit)?;
                let stream = Box::new(stream);
                Ok(Line { stream, address })
            }
            Scheme::Tcp | Scheme::Dns | Scheme::Mcp => Err(Fault::Unsupported(
                "HTTP to a target that does not speak it".into(),
            )),
        }
    }
}

impl Line {
    /// The address that was dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends the request and waits for its response's head, at most for [`RESPONSE_HEAD_TIMEOUT`]. The
    /// response can be upgraded.
    pub(crate) async fn ask(
        self,
        permit: &Permit,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, Fault> {
        let target = permit.target();
        let broken =
            |error: hyper::Error| Fault::Upstream(format!("{target} broke off: {}", cause(&error)));
        let (mut sender, connection) = http1::Builder::new()
            .max_header_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(self.stream))
            .await
            .map_err(broken)?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "upstream connection ended");
            }
        });
        match timeout(RESPONSE_HEAD_TIMEOUT, sender.send_request(request)).await {
            Ok(response) => response.map_err(broken),
            Err(_) => Err(Fault::UpstreamTimeout(format!(
                "{target} did not answer in {RESPONSE_HEAD_TIMEOUT:?}"
            ))),
        }
    }
}
