//! The only module that opens outbound sockets, and only with a permit.

mod chain;
mod far;
mod identity;
mod lease;
mod line;
mod pool;
mod prior;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use carboy_engine::{Fault, Host, HostPattern, Permit, Scheme, Target, UpstreamProxy};
use carboy_wire::http::Protocol;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::client::Resumption;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::limits::{
    CONNECT_TIMEOUT, CONNECT_TOTAL_TIMEOUT, H2_CONNECTION_WINDOW_BYTES, H2_PING_INTERVAL,
    H2_PING_TIMEOUT, H2_STREAM_WINDOW_BYTES, HAPPY_EYEBALLS_STAGGER, HEAD_BYTES_MAX,
    TLS_HANDSHAKE_TIMEOUT,
};
use crate::resolve::{HostsTable, Resolver};
use crate::roots;
pub(crate) use chain::wants_login;
pub(crate) use far::Far;
pub use identity::{Identity, IdentityError};
use lease::{Connection, Route, Sender};
pub(crate) use lease::{Lease, SendError};
use pool::Pool;

/// Dials the far ends of permitted crossings.
pub struct Upstream {
    tls: Connectors,
    /// For the hosts that are shown a certificate.
    identified: Vec<(HostPattern, Connectors)>,
    /// Names of proxies, which have no crossing to be asked for in.
    hosts: HostsTable,
    resolver: OnceLock<Resolver>,
    pool: Arc<Pool>,
}

/// The client's side of TLS.
struct Connectors {
    /// Offers HTTP/1.1.
    http1: TlsConnector,
    /// Offers HTTP/2 as well.
    http2: TlsConnector,
}

/// How upstreams are found and verified.
#[derive(Debug, Clone, Default)]
pub struct UpstreamConfig {
    /// PEM files of authorities that are trusted beside the system's.
    pub extra_authorities: Vec<std::path::PathBuf>,
    /// Certificates that are shown to those that ask.
    pub identities: Vec<Identity>,
    /// Addresses of proxies' names, before DNS.
    pub hosts: HostsTable,
}

impl Upstream {
    /// Reads the system's roots and the extra ones.
    ///
    /// # Errors
    /// When an extra file cannot be read, or when no root at all is found.
    pub fn new(config: &UpstreamConfig) -> Result<Self, roots::RootsError> {
        let roots = Arc::new(roots::load(&config.extra_authorities)?);
        let mut identified = Vec::new();
        for own in &config.identities {
            let connectors = Connectors::new(&roots, Some(own))?;
            identified.push((own.hosts.clone(), connectors));
        }
        Ok(Self {
            tls: Connectors::new(&roots, None)?,
            identified,
            hosts: config.hosts.clone(),
            resolver: OnceLock::new(),
            pool: Arc::default(),
        })
    }

    fn connectors(&self, target: &Target) -> &Connectors {
        let mut identified = self.identified.iter();
        let own = identified.find(|(hosts, _)| hosts.covers(&target.host, target.port));
        own.map_or(&self.tls, |(_, connectors)| connectors)
    }

    fn resolver(&self) -> &Resolver {
        self.resolver
            .get_or_init(|| Resolver::new(self.hosts.clone()))
    }

    /// Opens a TCP connection to one of the permit's addresses, trying them in turn with a stagger
    /// (RFC 8305, section 5); or has the permit's proxy open one.
    ///
    /// # Errors
    /// [`Fault::Upstream`] or [`Fault::UpstreamTimeout`].
    pub(crate) async fn tcp(&self, permit: &Permit) -> Result<Far, Fault> {
        if let Some(proxy) = permit.proxy() {
            return self.through(proxy, permit).await;
        }
        let addresses = interleaved(permit.addresses());
        let racing = race(&addresses);
        match timeout(CONNECT_TOTAL_TIMEOUT, racing).await {
            Ok(Ok(stream)) => Ok(Far::Tcp(stream)),
            Ok(Err(fault)) => Err(fault.into_fault(permit)),
            Err(_) => Err(DialError::TimedOut.into_fault(permit)),
        }
    }

    /// As [`Upstream::tcp`], then TLS, with the certificate verified for the target's name.
    ///
    /// # Errors
    /// As [`Upstream::tcp`], and [`Fault::UpstreamCertificate`].
    pub(crate) async fn tls(&self, permit: &Permit) -> Result<TlsStream<Far>, Fault> {
        self.tls_by(&self.connectors(permit.target()).http1, permit)
            .await
    }

    async fn tls_by(
        &self,
        connector: &TlsConnector,
        permit: &Permit,
    ) -> Result<TlsStream<Far>, Fault> {
        let tcp = self.tcp(permit).await?;
        let name = server_name(&permit.target().host)?;
        let target = permit.target();
        match timeout(TLS_HANDSHAKE_TIMEOUT, connector.connect(name, tcp)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(tls_fault(target, &error)),
            Err(_) => Err(Fault::UpstreamTimeout(format!(
                "{target} did not finish its TLS handshake in {TLS_HANDSHAKE_TIMEOUT:?}"
            ))),
        }
    }

    /// An HTTP connection for one exchange: a kept one, or a new one. `client` is what the client
    /// speaks: HTTP/2 is spoken on where the upstream takes it, and never where the client does not.
    pub(crate) async fn lease(&self, permit: &Permit, client: Protocol) -> Result<Lease, Fault> {
        match client {
            Protocol::Http1 => match self.pool.take(permit).await {
                Some(lease) => Ok(lease),
                None => self.dial_http(permit, client).await,
            },
            Protocol::Http2 => self.lease_http2(permit).await,
        }
    }

    /// A share in the one connection to the target, which the first that comes dials for all.
    async fn lease_http2(&self, permit: &Permit) -> Result<Lease, Fault> {
        if let Some(lease) = self.pool.share(permit) {
            return Ok(lease);
        }
        let Some(turn) = self.pool.turn(permit.target()) else {
            return match self.pool.take(permit).await {
                Some(lease) => Ok(lease),
                None => self.dial_http(permit, Protocol::Http1).await,
            };
        };
        let held = turn.lock().await;
        if let Some(lease) = self.pool.share(permit) {
            return Ok(lease);
        }
        let leased = self.dial_http(permit, Protocol::Http2).await;
        drop(held);
        leased
    }

    /// A new HTTP connection. Boxed: most exchanges do not dial, and need not carry its room.
    pub(crate) async fn dial_http(
        &self,
        permit: &Permit,
        client: Protocol,
    ) -> Result<Lease, Fault> {
        let connection = Box::pin(self.speak_http(permit, client)).await?;
        if client == Protocol::Http2 {
            self.pool.note_choice(permit.target(), &connection);
        }
        Ok(self.pool.lease(connection, permit, false))
    }

    async fn speak_http(&self, permit: &Permit, client: Protocol) -> Result<Connection, Fault> {
        match permit.target().scheme {
            Scheme::Http => {
                if let Some(proxy) = permit.proxy() {
                    return self.ask_proxy(proxy, permit).await;
                }
                if client == Protocol::Http2 {
                    return self.speak_in_clear(permit).await;
                }
                let stream = self.tcp(permit).await?;
                let address = peer(&stream, permit)?;
                speak(stream, address, permit, client).await
            }
            Scheme::Https | Scheme::Tls => {
                let connectors = self.connectors(permit.target());
                let connector = match client {
                    Protocol::Http1 => &connectors.http1,
                    Protocol::Http2 => &connectors.http2,
                };
                let stream = self.tls_by(connector, permit).await?;
                let (tcp, session) = stream.get_ref();
                let address = peer(tcp, permit)?;
                let protocol = match session.alpn_protocol() {
                    Some(ALPN_HTTP2) => Protocol::Http2,
                    Some(_) | None => Protocol::Http1,
                };
                speak(stream, address, permit, protocol).await
            }
            Scheme::Tcp | Scheme::Dns | Scheme::Mcp => Err(Fault::Unsupported(
                "HTTP to a target that does not speak it".into(),
            )),
        }
    }

    /// A connection to a proxy that takes requests to the target.
    async fn ask_proxy(
        &self,
        proxy: &Arc<UpstreamProxy>,
        permit: &Permit,
    ) -> Result<Connection, Fault> {
        let login = chain::login(proxy)?;
        let stream = self.to_proxy(proxy).await?;
        let address = peer(&stream, permit)?;
        let broken = |error| Fault::Upstream(format!("{}: {error}", permit.target()));
        let sender = speak_http1(stream).await.map_err(broken)?;
        let route = Route::Asking(Arc::clone(proxy), login);
        Ok(Connection::new(sender, address, route))
    }

    /// Closes kept connections that were idle for too long.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }
}

fn peer(stream: &Far, permit: &Permit) -> Result<SocketAddr, Fault> {
    let gone = |error| Fault::Upstream(format!("{} broke off: {error}", permit.target()));
    stream.peer_addr().map_err(gone)
}

async fn speak<IO>(
    stream: IO,
    address: SocketAddr,
    permit: &Permit,
    protocol: Protocol,
) -> Result<Connection, Fault>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error| Fault::Upstream(format!("{}: {error}", permit.target()));
    let sender = match protocol {
        Protocol::Http1 => speak_http1(stream).await,
        Protocol::Http2 => speak_http2(stream).await,
    };
    let route = match permit.proxy() {
        None => Route::Straight,
        Some(proxy) => Route::Through(Arc::clone(proxy)),
    };
    Ok(Connection::new(sender.map_err(broken)?, address, route))
}

async fn speak_http1<IO>(stream: IO) -> Result<(Sender, AbortHandle), hyper::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http1::Builder::new()
        .max_header_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await?;
    let driver = tokio::spawn(drive(connection));
    Ok((Sender::Http1(sender), driver.abort_handle()))
}

async fn speak_http2<IO>(stream: IO) -> Result<(Sender, AbortHandle), hyper::Error>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_BYTES_MAX as u32)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .keep_alive_interval(H2_PING_INTERVAL)
        .keep_alive_timeout(H2_PING_TIMEOUT)
        .handshake(TokioIo::new(stream))
        .await?;
    let driver = tokio::spawn(drive(connection));
    Ok((Sender::Http2(sender), driver.abort_handle()))
}

async fn drive(connection: impl Future<Output = hyper::Result<()>>) {
    if let Err(error) = connection.await {
        tracing::debug!(%error, "upstream connection ended");
    }
}

impl Connectors {
    fn new(
        roots: &Arc<RootCertStore>,
        identity: Option<&Identity>,
    ) -> Result<Self, roots::RootsError> {
        let mut config = client_config(roots, identity)?;
        let http1 = TlsConnector::from(Arc::new(config.clone()));
        config.alpn_protocols.insert(0, ALPN_HTTP2.to_vec());
        if identity.is_none() {
            // Sessions are not resumed across the two, whose choice of protocol differs.
            config.resumption = Resumption::default();
        }
        let http2 = TlsConnector::from(Arc::new(config));
        Ok(Self { http1, http2 })
    }
}

fn client_config(
    roots: &Arc<RootCertStore>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, roots::RootsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(roots::RootsError::Tls)?
        .with_root_certificates(Arc::clone(roots));
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(own) => {
            let mut config = builder.with_client_cert_resolver(Arc::new(own.clone()));
            // A session that is resumed would go on with the certificate that it began with.
            config.resumption = Resumption::disabled();
            config
        }
    };
    config.alpn_protocols = vec![ALPN_HTTP1.to_vec()];
    Ok(config)
}

enum DialError {
    Refused(SocketAddr, std::io::Error),
    TimedOut,
}

impl DialError {
    fn into_fault(self, permit: &Permit) -> Fault {
        let target = permit.target();
        match self {
            Self::Refused(address, error) => {
                Fault::Upstream(format!("{target} at {address}: {error}"))
            }
            Self::TimedOut => {
                Fault::UpstreamTimeout(format!("{target} did not accept a connection in time"))
            }
        }
    }
}

/// Starts an attempt per address, each a stagger after the one before or as soon as that fails;
/// the first to succeed wins and the others are dropped.
async fn race(addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
    let mut attempts = JoinSet::new();
    let mut waiting = addresses.iter().copied();
    let mut last = DialError::TimedOut;
    if let Some(address) = waiting.next() {
        attempts.spawn(dial(address));
    }
    loop {
        tokio::select! {
            ended = attempts.join_next() => match ended {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => {
                    last = error;
                    if let Some(address) = waiting.next() {
                        attempts.spawn(dial(address));
                    }
                }
                Some(Err(_)) => {}
                None => return Err(last),
            },
            () = sleep(HAPPY_EYEBALLS_STAGGER), if waiting.len() > 0 => {
                if let Some(address) = waiting.next() {
                    attempts.spawn(dial(address));
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the module that dials")]
async fn dial(address: SocketAddr) -> Result<TcpStream, DialError> {
    match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => {
            stream
                .set_nodelay(true)
                .map_err(|error| DialError::Refused(address, error))?;
            Ok(stream)
        }
        Ok(Err(error)) => Err(DialError::Refused(address, error)),
        Err(_) => Err(DialError::TimedOut),
    }
}

/// The addresses with their families in turn, beginning with the resolver's first (RFC 8305,
/// section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second): (Vec<_>, Vec<_>) = addresses
        .iter()
        .copied()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut mixed = Vec::with_capacity(addresses.len());
    first.reverse();
    second.reverse();
    while let Some(address) = first.pop() {
        mixed.push(address);
        mixed.extend(second.pop());
    }
    second.reverse();
    mixed.extend(second);
    mixed
}

fn server_name(host: &Host) -> Result<ServerName<'static>, Fault> {
    match host {
        Host::Addr(addr) => Ok(ServerName::IpAddress((*addr).into())),
        Host::Name(name) => ServerName::try_from(name.to_string())
            .map_err(|_| Fault::UpstreamCertificate(format!("{name} cannot be in a certificate"))),
    }
}

fn tls_fault(target: &carboy_engine::Target, error: &std::io::Error) -> Fault {
    let cause = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(why)) => {
            Fault::UpstreamCertificate(format!("{target}: {why}"))
        }
        Some(other) => Fault::UpstreamCertificate(format!("{target}: {other}")),
        None => Fault::Upstream(format!("{target}: {error}")),
    }
}

/// The names of the protocols in TLS (RFC 7301; RFC 9113, section 3.1).
const ALPN_HTTP1: &[u8] = b"http/1.1";
const ALPN_HTTP2: &[u8] = b"h2";
