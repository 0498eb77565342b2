//! What comes through a `CONNECT`.

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
