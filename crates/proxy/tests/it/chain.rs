//! A gate whose connections go through another proxy.

use std::sync::Arc;

use carboy_engine::{Engine, Policy};
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, copy_bidirectional};
use tokio::net::TcpStream;

use crate::support::{Client, Setup, Stand, Upstreams, body, status};
use crate::tls::{Authority, ask, name, trusting, up_tunnel};
use crate::ws::{self, TEXT, Ws};

/// Heads that a proxy was sent.
type Heads = Arc<Mutex<Vec<String>>>;

/// A proxy that opens tunnels to the loopback, and answers other requests with their own heads.
async fn proxy(refusal: Option<&'static str>) -> (Upstreams, Heads) {
    let heads = Heads::default();
    let noted = Arc::clone(&heads);
    let proxy = Upstreams::run(move |mut far| {
        let noted = Arc::clone(&noted);
        async move {
            while let Some(request) = far.request().await {
                noted.lock().push(request.clone());
                if let Some(refusal) = refusal {
                    far.say(format!("HTTP/1.1 {refusal}\r\nContent-Length: 0\r\n\r\n"))
                        .await;
                } else if request.starts_with("CONNECT ") {
                    let authority = request.split(' ').nth(1).unwrap();
                    let port = authority.rsplit(':').next().unwrap();
                    let mut inner = TcpStream::connect(format!("127.0.0.1:{port}"))
                        .await
                        .unwrap();
                    far.say("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
                        .await;
                    inner.write_all(far.said()).await.unwrap();
                    let _ = copy_bidirectional(&mut far.stream, &mut inner).await;
                    return;
                } else {
                    far.answer(&request).await;
                }
            }
        }
    })
    .await;
    (proxy, heads)
}

/// What speaks TLS before a proxy, as `host`.
async fn sealed(authority: &Authority, host: &str, proxy: &Upstreams) -> Upstreams {
    let (acceptor, inner) = (authority.acceptor_of(host, &[]), proxy.address);
    Upstreams::run(move |far| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not trust it goes away.
            if let Ok(mut stream) = acceptor.accept(far.stream).await {
                let mut inner = TcpStream::connect(inner).await.unwrap();
                let _ = copy_bidirectional(&mut stream, &mut inner).await;
            }
        }
    })
    .await
}

fn policy(proxy: &Upstreams, more: &str) -> String {
    policy_of("http", proxy, more)
}

fn policy_of(scheme: &str, proxy: &Upstreams, more: &str) -> String {
    format!(
        "version: 1\negress:\n  private: ['127.0.0.0/8']\n  proxy: {{url: '{scheme}://up.example:{}'{more}}}\n",
        proxy.port()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_is_asked_of_the_proxy_in_absolute_form() {
    let (proxy, heads) = proxy(None).await;
    let stand = Stand::open(&policy(&proxy, "")).await;
    for _ in 0..2 {
        let response = stand.get("http://other.example:8080/a?b").await;
        assert_eq!(status(&response), 200, "{response}");
        assert!(body(&response).starts_with("GET http://other.example:8080/a?b HTTP/1.1\r\n"));
        assert!(
            body(&response).contains("host: other.example:8080\r\n"),
            "{response}"
        );
    }
    assert_eq!(heads.lock().len(), 2);
    let done = stand.finish().await;
    assert_eq!(done.receipts[0]["target"]["host"], "other.example");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_and_raw_tcp_go_through_tunnels() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let raw = Upstreams::run(|mut far| async move {
        far.say("220 ready\r\n").await;
        while far.read().await.is_some() {}
    })
    .await;
    let (proxy, heads) = proxy(None).await;
    let tcp = format!(
        "{}  tcp: ['up.example:{}']\n",
        policy(&proxy, ""),
        raw.port()
    );
    let stand = Stand::with(Setup {
        policy: &tcp,
        authorities: authority.files(),
        ..Setup::default()
    })
    .await;
    let client = trusting(&stand.gate, &["http/1.1"]);
    let socket = up_tunnel(&stand, up.port()).await;
    let mut stream = client.connect(name("up.example"), socket).await.unwrap();
    let host = format!("up.example:{}", up.port());
    assert_eq!(status(&ask(&mut stream, &host, "/").await), 200);
    let mut client = Client(up_tunnel(&stand, raw.port()).await);
    assert_eq!(client.exactly(11).await, "220 ready\r\n");
    drop(client);
    let expect = [
        format!("CONNECT up.example:{} HTTP/1.1", up.port()),
        format!("CONNECT up.example:{} HTTP/1.1", raw.port()),
    ];
    let asked = heads.lock().clone();
    let lines: Vec<_> = asked
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert_eq!(lines, expect);
    assert!(stand.finish().await.reasons.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_may_be_spoken_to_inside_tls() {
    let authority = Authority::new();
    let up = authority.upstream("up.example").await;
    let raw = Upstreams::run(|mut far| async move {
        far.say("220 ready\r\n").await;
        while far.read().await.is_some() {}
    })
    .await;
    let (inner, heads) = proxy(None).await;
    let proxy = sealed(&authority, "up.example", &inner).await;
    let policy = policy_of("https", &proxy, "");
    let stand = Stand::with(Setup {
        policy: &format!("{policy}  tcp: ['up.example:{}']\n", raw.port()),
        authorities: authority.files(),
        ..Setup::default()
    })
    .await;
    let response = stand.get("http://other.example:8080/a").await;
    assert!(
        body(&response).starts_with("GET http://other.example:8080/a HTTP/1.1"),
        "{response}"
    );
    let client = trusting(&stand.gate, &["http/1.1"]);
    let socket = up_tunnel(&stand, up.port()).await;
    let mut stream = client.connect(name("up.example"), socket).await.unwrap();
    let host = format!("up.example:{}", up.port());
    assert_eq!(status(&ask(&mut stream, &host, "/").await), 200);
    // What the far end says at once follows the proxy's answer within the same record.
    let mut client = Client(up_tunnel(&stand, raw.port()).await);
    assert_eq!(client.exactly(11).await, "220 ready\r\n");
    drop(client);
    assert_eq!(heads.lock().len(), 3);
    assert!(stand.finish().await.reasons.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_that_is_another_is_told_nothing() {
    let authority = Authority::new();
    let (inner, heads) = proxy(None).await;
    let proxy = sealed(&authority, "other.example", &inner).await;
    let stand = Stand::with(Setup {
        policy: &policy_of("https", &proxy, ""),
        authorities: authority.files(),
        ..Setup::default()
    })
    .await;
    let response = stand.get("http://other.example/").await;
    assert_eq!(status(&response), 502, "{response}");
    assert!(response.contains("failed its TLS handshake"), "{response}");
    assert_eq!(heads.lock().len(), 0);
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn websockets_go_through_tunnels() {
    let authority = Authority::new();
    let (clear, sealed) = (ws::echo().await, authority.websocket("up.example").await);
    let (proxy, heads) = proxy(None).await;
    let stand = Stand::with(Setup {
        policy: &policy(&proxy, ""),
        authorities: authority.files(),
        ..Setup::default()
    })
    .await;
    let mut socket = Ws::forward(&stand, &clear, "").await;
    socket.send(TEXT, "in clear").await;
    assert_eq!(socket.frame().await.unwrap().payload, b"in clear");
    assert_eq!(socket.close().await, ["close 1000"]);

    let tls = trusting(&stand.gate, &["http/1.1"]);
    let tcp = up_tunnel(&stand, sealed.port()).await;
    let stream = tls.connect(name("up.example"), tcp).await.unwrap();
    let mut socket = Ws::open(stream, "/", &ws::host(&sealed), "").await;
    socket.send(TEXT, "inside TLS").await;
    assert_eq!(socket.frame().await.unwrap().payload, b"inside TLS");
    assert_eq!(socket.close().await, ["close 1000"]);

    let expect = [&clear, &sealed].map(|up| format!("CONNECT up.example:{} HTTP/1.1", up.port()));
    let asked = heads.lock().clone();
    let lines: Vec<_> = asked
        .iter()
        .filter_map(|head| head.lines().next())
        .collect();
    assert_eq!(lines, expect);
    assert!(stand.finish().await.reasons.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_listed_goes_around_it() {
    let up = Upstreams::echo().await;
    let (proxy, heads) = proxy(None).await;
    for rule in [
        "example",
        "127.0.0.0/8",
        &format!("other.example:{}", up.port()),
    ] {
        let stand = Stand::open(&policy(&proxy, &format!(", no_proxy: ['{rule}']"))).await;
        let response = stand
            .get(&format!("http://other.example:{}/", up.port()))
            .await;
        assert!(
            body(&response).starts_with("GET / HTTP/1.1"),
            "{rule}: {response}"
        );
        stand.finish().await;
    }
    assert_eq!(heads.lock().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_checked_before_the_proxy_is_asked() {
    let (proxy, heads) = proxy(None).await;
    let url = format!("http://127.0.0.1:{}", proxy.port());
    for (resolve, url_asked, reason) in [
        // Resolves to the loopback, which this policy does not list.
        ("local", "http://other.example/", "address_refused"),
        ("remote", "http://other.example/", "address_refused"),
        ("remote", "http://169.254.169.254/", "address_refused"),
        ("local", "http://unknown.invalid/", "unresolved"),
        ("remote", "http://db.internal/", "unresolved"),
    ] {
        let policy =
            format!("version: 1\negress:\n  proxy: {{url: '{url}', resolve: {resolve}}}\n");
        let stand = Stand::open(&policy).await;
        stand.get(url_asked).await;
        assert_eq!(
            stand.finish().await.reasons,
            [reason],
            "{resolve} {url_asked}"
        );
    }
    assert_eq!(heads.lock().len(), 0);
    let policy = format!("version: 1\negress:\n  proxy: {{url: '{url}', resolve: remote}}\n");
    let stand = Stand::open(&policy).await;
    let response = stand.get("http://unknown.invalid/").await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(stand.finish().await.reasons.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_proxy_refuses_is_told_as_its_own_fault() {
    for (refusal, part) in [
        (
            "407 Proxy Authentication Required",
            "wants another login (407)",
        ),
        ("403 Forbidden", "answered CONNECT with 403"),
    ] {
        let (proxy, _) = proxy(Some(refusal)).await;
        let listed = format!("{}  tcp: ['up.example:5432']\n", policy(&proxy, ""));
        let stand = Stand::open(&listed).await;
        if refusal.starts_with("407") {
            let response = stand.get("http://other.example/").await;
            assert_eq!(status(&response), 502, "{response}");
            assert!(response.contains(part), "{response}");
        }
        let mut client = Client(up_tunnel(&stand, 5432).await);
        client.send("hello").await;
        client.rest().await;
        assert!(
            stand
                .finish()
                .await
                .reasons
                .iter()
                .all(|it| it == "upstream")
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_is_not_its_own_proxy() {
    let stand = Stand::open("version: 1\n").await;
    let policy = format!(
        "version: 1\negress:\n  private: ['127.0.0.0/8']\n  proxy: {{url: 'http://{}'}}\n",
        stand.address
    );
    let policy = Policy::parse(&policy, "test.yaml").unwrap();
    stand.gate.reload(Arc::new(Engine::new(policy, [1; 32])));
    let response = stand.get("http://other.example/").await;
    assert_eq!(status(&response), 501, "{response}");
    assert_eq!(
        stand.finish().await.lines(),
        ["http-request block unsupported"]
    );
}
