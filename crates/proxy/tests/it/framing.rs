//! Requests with more than one reading.

use crate::support::{OPEN, Stand, Upstreams, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn smuggling_shapes_are_refused_with_receipts() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let url = up.url("/");
    let port = up.port();
    let shapes = [
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "X-Folded: a\r\n b\r\n\r\n",
        "X-Bare: a\n\r\n\r\n",
        "Content-Length : 3\r\n\r\nabc",
    ];
    for shape in shapes {
        let head = format!("POST {url} HTTP/1.1\r\nHost: up.example:{port}\r\n{shape}");
        let response = stand.ask(head).await;
        assert_eq!(status(&response), 400, "{shape:?}: {response}");
        assert!(response.contains("carboy-reason: malformed"), "{response}");
    }
    assert_eq!(up.connections(), 0);
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["http-request block malformed"; 6]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_before_a_bad_request_is_still_answered() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let good = format!(
        "GET {} HTTP/1.1\r\nHost: up.example:{}\r\n\r\n",
        up.url("/good"),
        up.port()
    );
    let response = stand.ask(format!("{good}{good}GET /\n\nrest")).await;
    let answers: Vec<_> = response
        .match_indices("HTTP/1.1 ")
        .map(|(at, _)| at)
        .collect();
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    assert!(response.contains("HTTP/1.1 400"), "{response}");
    assert!(answers.len() >= 3, "{response}");
    let done = stand.finish().await;
    assert_eq!(done.receipts.len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_chunks_break_the_crossing_that_they_are_in() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: up.example:{}\r\nTransfer-Encoding: chunked\r\n\r\n",
        up.url("/"),
        up.port()
    );
    let response = stand.ask(format!("{head}3\r\nabcXX\r\n0\r\n\r\n")).await;
    assert_eq!(status(&response), 400, "{response}");
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["http-request block malformed"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_split_head_is_one_head() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let head = format!(
        "GET {} HTTP/1.1\r\nHost: up.example:{}\r\nConnection: close\r\n\r\n",
        up.url("/split"),
        up.port()
    );
    let mut client = stand.client().await;
    for piece in head.as_bytes().chunks(7) {
        client.send(piece).await;
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    let response = client.rest().await;
    assert_eq!(status(&response), 200, "{response}");
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_follows_a_refused_tunnel() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(&format!("{OPEN}  deny: [up.example]\n")).await;
    let port = up.port();
    let connect = format!("CONNECT up.example:{port} HTTP/1.1\r\nHost: up.example:{port}\r\n\r\n");
    let next = format!(
        "GET {} HTTP/1.1\r\nHost: up.example:{port}\r\n\r\n",
        up.url("/")
    );
    let response = stand.ask(format!("{connect}{next}")).await;
    assert_eq!(status(&response), 403, "{response}");
    assert!(response.contains("connection: close"), "{response}");
    assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{response}");
    assert_eq!(stand.finish().await.lines(), ["tunnel block host_denied"]);
}
