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

/// However the bytes come, and wherever in the last request the fault is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_requests_are_answered_before_a_bad_one_behind_them() {
    let up = Upstreams::run(|mut far| async move {
        while let Some(request) = far.request().await {
            tokio::time::sleep(std::time::Duration::from_millis(30)).await;
            far.answer(&request).await;
        }
    })
    .await;
    let (url, port) = (up.url("/good"), up.port());
    let head = |method: &str| format!("{method} {url} HTTP/1.1\r\nHost: up.example:{port}\r\n");
    let goods = [
        format!("{}\r\n", head("GET")),
        format!("{}Content-Length: 5\r\n\r\nhello", head("POST")),
        format!(
            "{}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            head("POST")
        ),
    ];
    let bads = [
        "GET /\n\nrest".to_owned(),
        format!("{}Folded: a\r\n b\r\n\r\n", head("GET")),
        format!(
            "{}Transfer-Encoding: chunked\r\n\r\n3\r\nabcXX\r\n",
            head("POST")
        ),
        format!("{}Transfer-Encoding: chunked\r\n\r\nzz\r\n", head("POST")),
    ];
    for good in &goods {
        for bad in &bads {
            let all = format!("{good}{good}{bad}");
            for cut in [
                all.len(),
                good.len(),
                2 * good.len(),
                2 * good.len() + 9,
                40,
            ] {
                let stand = Stand::open(OPEN).await;
                let mut client = stand.client().await;
                let (first, rest) = all.split_at(cut);
                client.send(first).await;
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                client.send(rest).await;
                let response = client.rest().await;
                let codes: Vec<_> = response
                    .match_indices("HTTP/1.1 ")
                    .filter_map(|(at, _)| response[at + 9..].get(..4))
                    .filter(|code| code.ends_with(' '))
                    .collect();
                assert_eq!(
                    codes,
                    ["200 ", "200 ", "400 "],
                    "{cut} of {all:?}\n{response}"
                );
                stand.finish().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_pipeline_is_answered_up_to_its_fault() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let good = format!(
        "GET {} HTTP/1.1\r\nHost: up.example:{}\r\n\r\n",
        up.url("/good"),
        up.port()
    );
    let response = stand.ask(format!("{}GET /\n\n", good.repeat(300))).await;
    assert_eq!(response.matches("HTTP/1.1 200 ").count(), 300);
    assert_eq!(response.matches("HTTP/1.1 400 ").count(), 1);
    stand.finish().await;
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

/// Clients that take a URL as it was typed send it so; others escape it first. However the bytes come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_as_it_was_typed_is_sent_as_a_url() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let (url, port) = (up.url("/caf\u{e9}?q={\"a\":<1>}`"), up.port());
    let request =
        format!("GET {url} HTTP/1.1\r\nHost: up.example:{port}\r\nConnection: close\r\n\r\n");
    for pieces in [1, 2, 7] {
        let mut client = stand.client().await;
        for piece in request.as_bytes().chunks(request.len().div_ceil(pieces)) {
            client.send(piece).await;
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let response = client.rest().await;
        let line = "GET /caf%C3%A9?q={%22a%22:%3C1%3E}%60 HTTP/1.1";
        assert!(response.contains(line), "{response}");
    }
    let done = stand.finish().await;
    assert_eq!(done.lines().len(), 6, "three requests, and their answers");
    assert!(done.lines().iter().all(|line| line.contains(" allow")));
}
