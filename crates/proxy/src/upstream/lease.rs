//! One upstream HTTP connection, and its use by one exchange.

use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use ::http::{HeaderValue, Request, Response, StatusCode};
use carboy_engine::{Permit, Target, UpstreamProxy};
use carboy_wire::http::{Protocol, for_proxy};
use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use tokio::runtime::{Handle, Id};
use tokio::task::AbortHandle;
use tokio::time::{Instant, Sleep, sleep_until};

use super::pool::Pool;
use crate::http::Body;
use crate::limits::{H2_SHARE_MAX, RESPONSE_HEAD_TIMEOUT};

/// One connection that speaks HTTP.
pub(super) struct Connection {
    sender: Sender,
    address: SocketAddr,
    route: Route,
    /// The runtime that drives it. Used from another, each of its wakes would cross threads.
    home: Id,
    /// Shared by the exchanges that use it, to count them.
    uses: Arc<Use>,
    /// Goes off when an answer is late, or before: it is set anew only then, not for each exchange.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// One connection, as long as any exchange or the pool has it.
struct Use {
    driver: AbortHandle,
    /// Whether a stream may be stuck: it is shared no further then.
    stuck: Arc<AtomicBool>,
}

/// A stream that is stuck would keep it for ever.
impl Drop for Use {
    fn drop(&mut self) {
        if self.stuck.load(Ordering::Relaxed) {
            self.driver.abort();
        }
    }
}

/// How a connection leads to its far end.
#[derive(Clone)]
pub(super) enum Route {
    Straight,
    /// By a tunnel of this proxy's.
    Through(Arc<UpstreamProxy>),
    /// It is the proxy's own, which is asked for each request, with this login.
    Asking(Arc<UpstreamProxy>, Option<HeaderValue>),
}

pub(super) enum Sender {
    /// For one exchange at a time.
    Http1(http1::SendRequest<Body>),
    /// For many at once.
    Http2(http2::SendRequest<Body>),
}

/// A connection in use by one exchange. Dropped, an HTTP/1.1 connection is closed, whatever is still on its
/// way; given back, it is kept.
pub(crate) struct Lease {
    connection: Connection,
    ending: Ending,
    target: Target,
    pool: Arc<Pool>,
    reused: bool,
}

/// Why a request got no response.
pub(crate) enum SendError {
    /// Not a byte of it was sent; here it is again.
    Unsent(Box<Request<Body>>, hyper::Error),
    /// The connection broke.
    Broken(hyper::Error),
    /// No answer came in time.
    TimedOut,
    /// The policy's proxy does not know who asks.
    ProxyLogin,
}

/// Ends the task of a connection that served one exchange, when that is given up: it would hold the rest of
/// the request, and spin, for as long as the upstream reads nothing.
struct Ending(Option<AbortHandle>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(driver) = &self.0 {
            driver.abort();
        }
    }
}

impl Connection {
    /// A connection that the calling runtime drives, by the task of `driver`.
    pub(super) fn new(
        (sender, driver): (Sender, AbortHandle),
        address: SocketAddr,
        route: Route,
    ) -> Self {
        let stuck = Arc::default();
        Self {
            sender,
            address,
            route,
            home: Handle::current().id(),
            uses: Arc::new(Use { driver, stuck }),
            alarm: None,
        }
    }

    /// Whether a permit lets it be used.
    pub(super) fn is_permitted(&self, permit: &Permit) -> bool {
        match &self.route {
            Route::Straight => {
                permit.proxy().is_none() && permit.addresses().contains(&self.address)
            }
            Route::Through(proxy) | Route::Asking(proxy, _) => permit.proxy() == Some(proxy),
        }
    }

    pub(super) fn home(&self) -> Id {
        self.home
    }

    /// Whether several exchanges may use it at once.
    pub(super) fn is_shared(&self) -> bool {
        self.protocol() == Protocol::Http2
    }

    /// The same connection for another exchange, if it serves several.
    pub(super) fn share(&self) -> Option<Self> {
        match &self.sender {
            Sender::Http1(_) => None,
            Sender::Http2(sender) => Some(Self {
                sender: Sender::Http2(sender.clone()),
                address: self.address,
                route: self.route.clone(),
                home: self.home,
                uses: Arc::clone(&self.uses),
                alarm: None,
            }),
        }
    }

    /// Whether another exchange may share it: so few do that it need not wait for their clients to read. The
    /// pool's own is not one.
    pub(super) fn has_room(&self) -> bool {
        self.is_shared() && Arc::strong_count(&self.uses) <= H2_SHARE_MAX
    }

    /// Whether it can serve no further exchange.
    pub(super) fn is_closed(&self) -> bool {
        let is_closed = match &self.sender {
            Sender::Http1(sender) => sender.is_closed(),
            Sender::Http2(sender) => sender.is_closed(),
        };
        is_closed || self.uses.stuck.load(Ordering::Relaxed)
    }

    /// Waits until it can take a request; false when it is closed.
    pub(super) async fn is_ready(&mut self) -> bool {
        match &mut self.sender {
            Sender::Http1(sender) => sender.ready().await.is_ok(),
            Sender::Http2(sender) => sender.ready().await.is_ok(),
        }
    }

    fn protocol(&self) -> Protocol {
        match self.sender {
            Sender::Http1(_) => Protocol::Http1,
            Sender::Http2(_) => Protocol::Http2,
        }
    }
}

impl Lease {
    pub(super) fn new(
        connection: Connection,
        target: Target,
        pool: Arc<Pool>,
        reused: bool,
    ) -> Self {
        let ending = Ending(match &connection.sender {
            Sender::Http1(_) => Some(connection.uses.driver.clone()),
            Sender::Http2(_) => None,
        });
        Self {
            connection,
            ending,
            target,
            pool,
            reused,
        }
    }

    /// The address that was dialled.
    pub(crate) fn address(&self) -> SocketAddr {
        self.connection.address
    }

    /// What the upstream speaks.
    pub(crate) fn protocol(&self) -> Protocol {
        self.connection.protocol()
    }

    /// To be told that the exchange was given up within its request.
    pub(crate) fn stuck(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.connection.uses.stuck)
    }

    /// Whether the connection has served before, so that the upstream may have closed it.
    pub(crate) fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request and waits for its response's head, at most for [`RESPONSE_HEAD_TIMEOUT`].
    pub(crate) async fn send(
        &mut self,
        mut request: Request<Body>,
    ) -> Result<Response<Incoming>, SendError> {
        let asks_proxy = match &self.connection.route {
            Route::Straight | Route::Through(_) => false,
            Route::Asking(_, login) => {
                for_proxy(&mut request, &self.target, login.as_ref());
                true
            }
        };
        let Connection { sender, alarm, .. } = &mut self.connection;
        let response = match sender {
            Sender::Http1(sender) => in_time(sender.try_send_request(request), alarm).await,
            Sender::Http2(sender) => in_time(sender.try_send_request(request), alarm).await,
        }?;
        match response.status() {
            // It is not the client that the proxy does not know.
            StatusCode::PROXY_AUTHENTICATION_REQUIRED if asks_proxy => Err(SendError::ProxyLogin),
            _ => Ok(response),
        }
    }

    /// Keeps the connection for the next exchange.
    pub(crate) fn give_back(mut self) {
        self.ending.0 = None;
        match self.connection.sender {
            Sender::Http1(_) => self.pool.put(self.target, self.connection),
            // The pool has it already.
            Sender::Http2(_) => {}
        }
    }
}

async fn in_time(
    sending: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Body>>>>,
    alarm: &mut Option<Pin<Box<Sleep>>>,
) -> Result<Response<Incoming>, SendError> {
    let deadline = Instant::now() + RESPONSE_HEAD_TIMEOUT;
    let mut sending = pin!(sending);
    let sent = poll_fn(|cx| match sending.as_mut().poll(cx) {
        Poll::Ready(sent) => Poll::Ready(Some(sent)),
        Poll::Pending => poll_late(alarm, deadline, cx).map(|()| None),
    });
    let sent = sent.await.ok_or(SendError::TimedOut)?;
    sent.map_err(|mut error| match error.take_message() {
        Some(request) => SendError::Unsent(Box::new(request), error.into_error()),
        None => SendError::Broken(error.into_error()),
    })
}

/// Ready once `deadline` is past. `alarm` may be set for an earlier time.
fn poll_late(
    alarm: &mut Option<Pin<Box<Sleep>>>,
    deadline: Instant,
    cx: &mut Context<'_>,
) -> Poll<()> {
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    while alarm.as_mut().poll(cx).is_ready() {
        if Instant::now() >= deadline {
            return Poll::Ready(());
        }
        alarm.as_mut().reset(deadline);
    }
    Poll::Pending
}
