//! What comes through a `CONNECT`.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::support::{Client, OPEN, Stand, Upstreams, body, status};

async fn tunnel(stand: &Stand, port: u16) -> Client {
    let mut client = stand.client().await;
    client
        .send(format!(
            "CONNECT up.example:{port} HTTP/1.1\r\nHost: up.example:{port}\r\n\r\n"
        ))
        .await;
    let answer = client.response().await;
    assert_eq!(status(&answer), 200, "{answer}");
    client
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clear_http_in_a_tunnel_is_inspected() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = tunnel(&stand, up.port()).await;
    client
        .send(format!(
            "GET /inside HTTP/1.1\r\nHost: up.example:{}\r\nConnection: close\r\n\r\n",
            up.port()
        ))
        .await;
    let response = client.rest().await;
    assert!(body(&response).starts_with("GET /inside "), "{response}");
    let done = stand.finish().await;
    assert_eq!(
        done.lines(),
        ["tunnel allow", "http-request allow", "http-response allow"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_host_in_a_tunnel_is_a_mismatch() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = tunnel(&stand, up.port()).await;
    client
        .send("GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n")
        .await;
    let response = client.rest().await;
    assert_eq!(status(&response), 421, "{response}");
    assert_eq!(up.connections(), 0);
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_tunnel_is_refused_in_words() {
    let stand = Stand::open(&format!("{OPEN}  deny: [other.example]\n")).await;
    let response = stand
        .ask("CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\nConnection: close\r\n\r\n")
        .await;
    assert_eq!(status(&response), 403, "{response}");
    assert!(
        response.contains("carboy-reason: host_denied"),
        "{response}"
    );
    assert_eq!(stand.finish().await.lines(), ["tunnel block host_denied"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn http_2_streams_are_crossings_of_their_own() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let port = up.port();
    let client = tunnel(&stand, port).await;
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(client.0))
            .await
            .unwrap();
    let driving = tokio::spawn(connection);
    let ask = |path: &str, content: &'static str| {
        Request::post(format!("http://up.example:{port}{path}"))
            .body(Full::from(content))
            .unwrap()
    };
    let first = sender.send_request(ask("/first", "one"));
    let second = sender.send_request(ask("/second", "two"));
    let fronted = sender.send_request(
        Request::get("http://other.example/")
            .body(Full::default())
            .unwrap(),
    );
    let (first, second, fronted) = tokio::join!(first, second, fronted);
    let first = first
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert!(
        first.starts_with(b"POST /first ") && first.ends_with(b"one"),
        "{first:?}"
    );
    let second = second
        .unwrap()
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes();
    assert!(
        second.starts_with(b"POST /second ") && second.ends_with(b"two"),
        "{second:?}"
    );
    assert_eq!(fronted.unwrap().status(), StatusCode::MISDIRECTED_REQUEST);
    drop(sender);
    driving.await.unwrap().unwrap();
    let done = stand.finish().await;
    assert_eq!(done.receipts.len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_response_resets_its_stream_only() {
    let up = Upstreams::run(|mut far| async move {
        while let Some(request) = far.request().await {
            if request.contains("/broken") {
                far.say("HTTP/1.1 200 OK\r\nContent-Length: 400000\r\n\r\n")
                    .await;
                far.say("x".repeat(200_000)).await;
                return;
            }
            far.answer(&request).await;
        }
    })
    .await;
    let stand = Stand::open(OPEN).await;
    let client = tunnel(&stand, up.port()).await;
    let (mut sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(client.0))
            .await
            .unwrap();
    let driving = tokio::spawn(connection);
    let ask = |path: &str| {
        Request::get(format!("http://up.example:{}{path}", up.port()))
            .body(Empty::new())
            .unwrap()
    };
    // The break is told either in words, before the head, or by a reset.
    let broken = sender.send_request(ask("/broken")).await.unwrap();
    if broken.status() == StatusCode::OK {
        assert!(broken.into_body().collect().await.is_err());
    } else {
        assert_eq!(broken.status(), StatusCode::BAD_GATEWAY);
    }
    let next = sender.send_request(ask("/next")).await.unwrap();
    assert_eq!(next.status(), StatusCode::OK);
    drop(sender);
    driving.await.unwrap().unwrap();
    stand.finish().await;
}
