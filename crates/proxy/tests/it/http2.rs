//! HTTP/2 from client to upstream: gRPC's shapes.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use ::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Version};
use bytes::Bytes;
use carboy_proxy::limits::H2_SHARE_MAX;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::http2::SendRequest;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::support::{OPEN, Setup, Stand, Upstreams};
use crate::tls::{Authority, ask, name, trusting, tunnel};

/// A body whose frames are sent one by one; an error breaks it off.
struct Frames(mpsc::Receiver<Result<Frame<Bytes>, io::Error>>);

impl Body for Frames {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(cx)
    }
}

/// An upstream that echoes each request's body as it comes, with `grpc-status` after it. What asks for
/// `/broken` gets some of a body, what asks for `/long` gets one without end, and `/deaf` reads nothing.
struct Echo {
    port: u16,
    connections: Arc<AtomicUsize>,
    seen: Seen,
}

/// The bytes of all bodies that came.
type Seen = Arc<parking_lot::Mutex<Vec<u8>>>;

impl Echo {
    /// Behind TLS, with either version of HTTP.
    async fn over_tls(authority: &Authority) -> Self {
        let acceptor = authority.acceptor_of("up.example", &["h2", "http/1.1"]);
        Self::run(move |stream, seen| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(stream) = acceptor.accept(stream).await else {
                    return;
                };
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(&b"h2"[..]);
                serve(stream, is_http2, seen).await;
            }
        })
        .await
    }

    /// In clear, with HTTP/2 alone.
    async fn in_clear() -> Self {
        Self::run(|stream, seen| serve(stream, true, seen)).await
    }

    async fn run<F, Fut>(accept: F) -> Self
    where
        F: Fn(TcpStream, Seen) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let echo = Self {
            port: socket.local_addr().unwrap().port(),
            connections: Arc::default(),
            seen: Arc::default(),
        };
        let (connections, seen) = (Arc::clone(&echo.connections), Arc::clone(&echo.seen));
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(accept(stream, Arc::clone(&seen)));
            }
        });
        echo
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    fn has_seen(&self, bytes: &[u8]) -> bool {
        self.seen.lock().windows(bytes.len()).any(|it| it == bytes)
    }
}

async fn serve<IO>(io: IO, is_http2: bool, seen: Seen)
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| answer(request, Arc::clone(&seen)));
    let io = TokioIo::new(io);
    // A client that goes away is none of the upstream's business.
    let _ = if is_http2 {
        let server = http2::Builder::new(TokioExecutor::new());
        server.serve_connection(io, service).await
    } else {
        http1::Builder::new().serve_connection(io, service).await
    };
}

async fn answer(request: Request<Incoming>, seen: Seen) -> Result<Response<Frames>, Infallible> {
    let (head, mut body) = request.into_parts();
    let (send, frames) = mpsc::channel(4);
    if head.uri.path() == "/broken" {
        let some = Frame::data(vec![b'x'; 200_000].into());
        send.send(Ok(some)).await.unwrap();
        send.send(Err(io::Error::other("broken"))).await.unwrap();
        return Ok(Response::new(Frames(frames)));
    }
    if head.uri.path() == "/long" {
        let some = || Ok(Frame::data(vec![b' '; 64 * 1024].into()));
        tokio::spawn(async move { while send.send(some()).await.is_ok() {} });
        return Ok(Response::new(Frames(frames)));
    }
    if head.uri.path() == "/deaf" {
        // Kept, and never read.
        tokio::spawn(async move {
            send.closed().await;
            drop(body);
        });
        return Ok(Response::new(Frames(frames)));
    }
    tokio::spawn(async move {
        while let Some(Ok(frame)) = body.frame().await {
            if let Ok(data) = frame.into_data() {
                seen.lock().extend_from_slice(&data);
                if send.send(Ok(Frame::data(data))).await.is_err() {
                    return;
                }
            }
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let _ = send.send(Ok(Frame::trailers(trailers))).await;
    });
    let mut response = Response::new(Frames(frames));
    let spoken = format!("{:?} te={:?}", head.version, head.headers.get("te"));
    let headers = response.headers_mut();
    headers.insert("spoken", spoken.parse().unwrap());
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    Ok(response)
}

struct Set {
    authority: Authority,
    echo: Echo,
    stand: Stand,
}

impl Set {
    async fn up() -> Self {
        let authority = Authority::new();
        let echo = Echo::over_tls(&authority).await;
        let stand = Stand::with(Setup {
            policy: OPEN,
            authorities: authority.files(),
            ..Setup::default()
        })
        .await;
        Self {
            authority,
            echo,
            stand,
        }
    }

    fn host(&self) -> String {
        format!("up.example:{}", self.echo.port)
    }

    /// A client of the upstream, through the gate.
    async fn client<B>(&self) -> SendRequest<B>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let tcp = tunnel(self.stand.address, &self.host()).await;
        let tls = trusting(&self.stand.gate, &["h2"]);
        client(tls.connect(name("up.example"), tcp).await.unwrap()).await
    }

    fn call<B>(&self, body: B) -> Request<B> {
        Request::post(format!("https://{}/echo.Echo/Say", self.host()))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(body)
            .unwrap()
    }
}

async fn client<IO, B>(io: IO) -> SendRequest<B>
where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io));
    let (sender, connection) = handshake.await.unwrap();
    tokio::spawn(connection);
    sender
}

/// A gRPC message that holds one protobuf string field.
fn message(text: &str) -> Bytes {
    let length = u8::try_from(text.len()).unwrap();
    let mut bytes = vec![0, 0, 0, 0, length + 2, 0x0a, length];
    bytes.extend_from_slice(text.as_bytes());
    bytes.into()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what)
        .await
        .expect("it comes")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_share_one_upstream_connection_and_keep_their_trailers() {
    let set = Set::up().await;
    let client = set.client::<Full<Bytes>>().await;
    let calls = (0..H2_SHARE_MAX).map(|number| {
        let mut client = client.clone();
        let call = set.call(Full::new(message(&format!("hello {number}"))));
        tokio::spawn(async move {
            let response = client.send_request(call).await.unwrap();
            assert_eq!(
                response.headers()["spoken"],
                "HTTP/2.0 te=Some(\"trailers\")"
            );
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
            assert_eq!(body.to_bytes(), message(&format!("hello {number}")));
        })
    });
    for call in calls.collect::<Vec<_>>() {
        soon(call).await.unwrap();
    }
    assert_eq!(set.echo.connections(), 1);
    drop(client);
    let crossings = 1 + 2 * H2_SHARE_MAX;
    assert_eq!(set.stand.finish().await.lines().len(), crossings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_of_a_call_stream() {
    let set = Set::up().await;
    let mut client = set.client::<Frames>().await;
    let (send, frames) = mpsc::channel(1);
    send.send(Ok(Frame::data(message("first")))).await.unwrap();
    let response = soon(client.send_request(set.call(Frames(frames))))
        .await
        .unwrap();
    let mut body = response.into_body();
    for text in ["first", "second", "third"] {
        let echoed = soon(body.frame()).await.unwrap().unwrap();
        assert_eq!(echoed.into_data().unwrap(), message(text));
        let next = match text {
            "first" => "second",
            "second" => "third",
            _ => break,
        };
        send.send(Ok(Frame::data(message(next)))).await.unwrap();
    }
    drop(send);
    let trailers = soon(body.frame()).await.unwrap().unwrap();
    assert_eq!(trailers.into_trailers().unwrap()["grpc-status"], "0");
    drop((client, body));
    let done = set.stand.finish().await;
    assert_eq!(
        done.lines(),
        ["tunnel allow", "http-request allow", "http-response allow"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_in_a_message_stays() {
    let set = Set::up().await;
    let mut client = set.client::<Full<Bytes>>().await;
    let token = "glpat-Zx8kQ2mNv5Wb7RtY3uLp";
    let call = set.call(Full::new(message(&format!("token {token}"))));
    let response = soon(client.send_request(call)).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(status_of_call(response).await, "7");
    assert!(!set.echo.has_seen(token.as_bytes()));
    drop(client);
    let done = set.stand.finish().await;
    // The answer may have begun by then, and ends with what it answers.
    let (first, rest) = done.reasons.split_first().unwrap();
    assert_eq!(first, "secret");
    assert!(rest.is_empty() || rest == ["dropped"], "{rest:?}");
}

/// The status of a call: with the head where nothing was answered yet, else after what was.
async fn status_of_call(response: Response<Incoming>) -> HeaderValue {
    let (head, body) = response.into_parts();
    if let Some(status) = head.headers.get("grpc-status") {
        return status.clone();
    }
    let answered = soon(body.collect()).await.unwrap();
    answered.trailers().unwrap()["grpc-status"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_http1_stays_with_it() {
    let set = Set::up().await;
    let tcp = tunnel(set.stand.address, &set.host()).await;
    let tls = trusting(&set.stand.gate, &["http/1.1"]);
    let mut stream = tls.connect(name("up.example"), tcp).await.unwrap();
    let response = soon(ask(&mut stream, &set.host(), "/")).await;
    assert!(
        response.contains(&format!("spoken: {:?} te=None", Version::HTTP_11)),
        "{response}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_declines_http2_is_spoken_to_in_http1() {
    let set = Set::up().await;
    let up = set.authority.upstream("up.example").await;
    let host = format!("up.example:{}", up.port());
    let tcp = tunnel(set.stand.address, &host).await;
    let tls = trusting(&set.stand.gate, &["h2"]);
    let stream = tls.connect(name("up.example"), tcp).await.unwrap();
    let mut client = client::<_, Full<Bytes>>(stream).await;
    for path in ["/a", "/b"] {
        let request = Request::get(format!("https://{host}{path}"))
            .body(Full::default())
            .unwrap();
        let response = soon(client.send_request(request)).await.unwrap();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(body.starts_with(format!("GET {path} HTTP/1.1\r\n").as_bytes()));
    }
    assert_eq!(up.connections(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_in_clear_are_crossings_of_their_own() {
    let echo = Echo::in_clear().await;
    let stand = Stand::open(OPEN).await;
    let host = format!("up.example:{}", echo.port);
    let mut client = client::<_, Full<Bytes>>(tunnel(stand.address, &host).await).await;
    let ask = |url: String| Request::post(url).body(Full::from("one")).unwrap();
    let own = client.send_request(ask(format!("http://{host}/first")));
    let fronted = client.send_request(ask("http://other.example/".into()));
    let (own, fronted) = soon(async { tokio::join!(own, fronted) }).await;
    let own = own.unwrap();
    assert_eq!(own.headers()["spoken"], "HTTP/2.0 te=None");
    assert_eq!(own.into_body().collect().await.unwrap().to_bytes(), "one");
    assert_eq!(fronted.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
    drop(client);
    assert_eq!(stand.finish().await.receipts.len(), 4);
}

/// A server of HTTP/1.1 that closes a connection on which something else is begun.
async fn curt() -> Upstreams {
    Upstreams::run(|mut far| async move {
        while let Some(request) = far.request().await {
            if request.starts_with("PRI ") {
                return;
            }
            far.answer(&request).await;
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_in_clear_that_knows_no_http2_is_spoken_to_in_http1() {
    for up in [Upstreams::echo().await, curt().await] {
        let stand = Stand::open(OPEN).await;
        let host = format!("up.example:{}", up.port());
        let mut client = client::<_, Full<Bytes>>(tunnel(stand.address, &host).await).await;
        for path in ["/a", "/b"] {
            let request = Request::post(format!("http://{host}{path}"))
                .body(Full::from("said"))
                .unwrap();
            let response = soon(client.send_request(request)).await.unwrap();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body.starts_with(format!("POST {path} HTTP/1.1\r\n").as_bytes()));
            assert!(body.ends_with(b"said"), "{body:?}");
        }
        // The second request asked for no HTTP/2 again.
        assert_eq!(up.connections(), 2);
        drop(client);
        assert!(stand.finish().await.reasons.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_response_resets_its_stream_only() {
    let set = Set::up().await;
    let mut client = set.client::<Full<Bytes>>().await;
    let ask = |path: &str| {
        Request::get(format!("https://{}{path}", set.host()))
            .body(Full::default())
            .unwrap()
    };
    // The break is told either in words, before the head, or by a reset.
    let broken = soon(client.send_request(ask("/broken"))).await.unwrap();
    if broken.status() == StatusCode::OK {
        assert!(broken.into_body().collect().await.is_err());
    } else {
        assert_eq!(broken.status(), StatusCode::BAD_GATEWAY);
    }
    let next = soon(client.send_request(ask("/next"))).await.unwrap();
    assert_eq!(next.status(), StatusCode::OK);
    assert_eq!(set.echo.connections(), 1);
}

/// More streams than one upstream connection carries, none of whose clients reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_hold_up_no_other_stream() {
    let set = Set::up().await;
    let mut client = set.client::<Full<Bytes>>().await;
    let ask = |path: &str| {
        Request::get(format!("https://{}{path}", set.host()))
            .body(Full::default())
            .unwrap()
    };
    let mut unread = Vec::new();
    for _ in 0..2 * H2_SHARE_MAX {
        unread.push(soon(client.send_request(ask("/long"))).await.unwrap());
    }
    for _ in 0..3 {
        let next = soon(client.send_request(ask("/next"))).await.unwrap();
        assert_eq!(next.status(), StatusCode::OK);
        soon(next.into_body().collect()).await.unwrap();
    }
    assert!(set.echo.connections() >= 2, "{}", set.echo.connections());
    drop((unread, client));
    let lines = set.stand.finish().await.lines();
    let count = |line: &str| lines.iter().filter(|own| *own == line).count();
    assert_eq!(lines.len(), 1 + 2 * (2 * H2_SHARE_MAX + 3), "{lines:?}");
    assert_eq!(count("http-request allow"), 2 * H2_SHARE_MAX + 3);
    assert_eq!(count("http-response block dropped"), 2 * H2_SHARE_MAX);
}

/// More uploads than one connection's window used to hold, to an upstream that reads none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_reads_nothing_holds_up_no_other_stream() {
    const DEAF: usize = 8;
    let set = Set::up().await;
    let mut client = set.client::<Full<Bytes>>().await;
    let url = |path: &str| format!("https://{}{path}", set.host());
    let mut unheard = Vec::new();
    for _ in 0..DEAF {
        let mut client = client.clone();
        let content = Full::from(vec![b' '; 8 << 20]);
        let request = Request::post(url("/deaf")).body(content).unwrap();
        unheard.push(tokio::spawn(
            async move { client.send_request(request).await },
        ));
    }
    for _ in 0..3 {
        let request = Request::get(url("/next")).body(Full::default()).unwrap();
        let next = soon(client.send_request(request)).await.unwrap();
        assert_eq!(next.status(), StatusCode::OK);
        soon(next.into_body().collect()).await.unwrap();
    }
    for one in &unheard {
        one.abort();
    }
    drop((unheard, client));
    let lines = set.stand.finish().await.lines();
    let allowed = lines.iter().filter(|own| *own == "http-request allow");
    assert_eq!(allowed.count(), 3, "{lines:?}");
}
