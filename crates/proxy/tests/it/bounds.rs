//! Limits: rates, time, and clients that cannot tell where a body ends.

use carboy_proxy::limits::{BODY_HOLD_BYTES_MAX, HEADERS_MAX};

use crate::support::{OPEN, Stand, Upstreams, body, status};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spent_budget_is_a_429() {
    let up = Upstreams::echo().await;
    let policy = format!("{OPEN}  limits:\n    site:\n      requests_per_minute: 3\n");
    let stand = Stand::open(&policy).await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let response = stand.get(&up.url("/")).await;
        statuses.push(status(&response));
        if status(&response) == 429 {
            assert!(response.contains("retry-after: "), "{response}");
        }
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    stand.finish().await;
}

/// The clock is the runtime's own and jumps when nothing else happens.
#[tokio::test(start_paused = true)]
async fn a_head_that_never_ends_is_cut_off() {
    let stand = Stand::open(OPEN).await;
    let mut client = stand.client().await;
    client
        .send("GET http://up.example/ HTTP/1.1\r\nHost: up")
        .await;
    let begun = tokio::time::Instant::now();
    let mut bytes = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut client.0, &mut bytes).await;
    assert!(bytes.is_empty());
    let waited = begun.elapsed();
    assert!(
        waited >= carboy_proxy::limits::HEAD_READ_TIMEOUT - std::time::Duration::from_secs(1),
        "{waited:?}"
    );
    assert!(
        waited <= carboy_proxy::limits::HEAD_READ_TIMEOUT * 2,
        "{waited:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_http_1_0_client_never_takes_a_part_for_the_whole() {
    let whole = Upstreams::saying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n0\r\n\r\n",
    )
    .await;
    let long = Upstreams::run(|mut far| async move {
        far.request().await;
        far.say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            .await;
        for _ in 0..=BODY_HOLD_BYTES_MAX / 65_536 + 1 {
            far.say(format!("10000\r\n{}\r\n", " ".repeat(65_536)))
                .await;
        }
    })
    .await;
    let stand = Stand::open(OPEN).await;
    let ask = |up: &Upstreams| {
        format!(
            "GET {} HTTP/1.0\r\nHost: up.example:{}\r\n\r\n",
            up.url("/"),
            up.port()
        )
    };
    let response = stand.ask(ask(&whole)).await;
    assert_eq!(body(&response), "whole", "{response}");
    let response = stand.ask(ask(&long)).await;
    assert_eq!(status(&response), 501, "{response}");
    stand.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_has_so_many_fields_and_no_more() {
    let answering = |fields: usize| {
        let more: String = (1..fields).map(|n| format!("x-{n}: v\r\n")).collect();
        Upstreams::saying(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{more}\r\n"
        ))
    };
    let (full, over) = (
        answering(HEADERS_MAX).await,
        answering(HEADERS_MAX + 1).await,
    );
    let stand = Stand::open(OPEN).await;
    assert_eq!(status(&stand.get(&full.url("/")).await), 200);
    assert_eq!(status(&stand.get(&over.url("/")).await), 502);
    stand.finish().await;
}
