//! Peers that stand still: each holds its own crossing only, within bounds, and ends in one receipt.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::support::{OPEN, Stand, Upstreams, status};
use crate::ws::{self, TEXT, Ws};

/// More than the gate and the sockets on both sides of it hold.
const LONG: usize = 64 << 20;

fn count(lines: &[String], line: &str) -> usize {
    lines.iter().filter(|own| *own == line).count()
}

async fn serves_on(stand: &Stand, up: &Upstreams) {
    let response = stand.get(&up.url("/meanwhile")).await;
    assert_eq!(status(&response), 200, "{response}");
}

/// An upstream whose answers are longer than anyone holds, and how much of them it was rid of.
async fn long() -> (Upstreams, Arc<AtomicUsize>) {
    let said = Arc::<AtomicUsize>::default();
    let telling = Arc::clone(&said);
    let up = Upstreams::run(move |mut far| {
        let said = Arc::clone(&telling);
        async move {
            far.request().await;
            far.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\n\r\n"))
                .await;
            let piece = [b' '; 65_536];
            while far.stream.write_all(&piece).await.is_ok() {
                said.fetch_add(piece.len(), Ordering::SeqCst);
            }
        }
    })
    .await;
    (up, said)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_read_is_waited_for_within_bounds() {
    let ((long, said), up) = (long().await, Upstreams::echo().await);
    let stand = Stand::open(OPEN).await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut client = stand.client().await;
        let host = format!("up.example:{}", long.port());
        client
            .send(format!(
                "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
            ))
            .await;
        unread.push(client);
    }
    for _ in 0..20 {
        serves_on(&stand, &up).await;
    }
    drop(unread);
    let lines = stand.finish_alone().await.lines();
    assert!(said.load(Ordering::SeqCst) < 4 * LONG, "all was taken");
    assert_eq!(count(&lines, "http-request allow"), 24, "{lines:?}");
    assert_eq!(count(&lines, "http-response block dropped"), 4, "{lines:?}");
    assert_eq!(lines.len(), 48, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upstream_that_does_not_read_is_waited_for_within_bounds() {
    let deaf = Upstreams::run(|far| async move {
        let _kept = far;
        std::future::pending::<()>().await;
    })
    .await;
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = stand.client().await;
    let host = format!("up.example:{}", deaf.port());
    client
        .send(format!(
            "POST http://{host}/ HTTP/1.1\r\nHost: {host}\r\nContent-Length: {LONG}\r\n\r\n"
        ))
        .await;
    let mut sent = 0;
    let piece = [b' '; 65_536];
    // Until nothing more is taken for a while, or all is.
    while let Ok(Ok(())) = timeout(Duration::from_secs(2), client.0.write_all(&piece)).await {
        sent += piece.len();
        assert!(sent < LONG, "all was taken");
    }
    for _ in 0..20 {
        serves_on(&stand, &up).await;
    }
    drop(client);
    let lines = stand.finish_alone().await.lines();
    assert_eq!(count(&lines, "http-request allow"), 20, "{lines:?}");
    assert_eq!(count(&lines, "http-request block dropped"), 1, "{lines:?}");
    assert_eq!(lines.len(), 41, "{lines:?}");
}

/// A client may end its side as soon as it has asked, or go away: which of both it was shows late.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_ends_its_side_early_has_its_receipts() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    for _ in 0..20 {
        let mut client = stand.client().await;
        let host = format!("up.example:{}", up.port());
        client
            .send(format!(
                "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
            ))
            .await;
        client.end().await;
        let heard = client.rest().await;
        assert!(heard.is_empty() || status(&heard) == 200, "{heard}");
    }
    serves_on(&stand, &up).await;
    let lines = stand.finish_alone().await.lines();
    let known = [
        "http-request allow",
        "http-request block dropped",
        "http-response allow",
        "http-response block dropped",
        "http-response block upstream",
    ];
    assert!(
        lines.iter().all(|line| known.contains(&&**line)),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_websockets_at_once_have_their_receipts() {
    const SOCKETS: usize = 100;
    let up = ws::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut sockets = Vec::new();
    for _ in 0..SOCKETS {
        sockets.push(Ws::forward(&stand, &up, "").await);
    }
    for socket in &mut sockets {
        socket.send(TEXT, "still here").await;
    }
    for socket in &mut sockets {
        assert_eq!(socket.frame().await.unwrap().payload, b"still here");
    }
    // Half of them close, the others go away.
    for (nth, mut socket) in sockets.into_iter().enumerate() {
        if nth % 2 == 0 {
            assert_eq!(socket.close().await, ["close 1000"]);
        }
    }
    let lines = stand.finish_alone().await.lines();
    for line in [
        "http-request allow",
        "http-response allow",
        "ws-message allow",
        "ws-reply allow",
    ] {
        assert_eq!(count(&lines, line), SOCKETS, "{line}");
    }
    assert_eq!(lines.len(), 4 * SOCKETS);
}
