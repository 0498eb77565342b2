//! One receipt a crossing, by whatever exit: [`crate::support::Stand::finish`] compares the counts.

use std::time::Duration;

use crate::support::{OPEN, Stand, Upstreams};

/// What one client does.
#[derive(Debug, Clone, Copy)]
enum Act {
    Whole,
    LeaveBeforeTheAnswer,
    LeaveInTheUpload,
    LeaveInTheDownload,
    Malformed,
    Denied,
    Unresolvable,
    BreakingUpstream,
    Tunnel,
}

const ACTS: [Act; 9] = [
    Act::Whole,
    Act::LeaveBeforeTheAnswer,
    Act::LeaveInTheUpload,
    Act::LeaveInTheDownload,
    Act::Malformed,
    Act::Denied,
    Act::Unresolvable,
    Act::BreakingUpstream,
    Act::Tunnel,
];

async fn act(stand: &Stand, act: Act, up: &Upstreams) {
    let port = up.port();
    let head = |path: &str, more: &str| {
        format!(
            "POST {} HTTP/1.1\r\nHost: up.example:{port}\r\n{more}\r\n",
            up.url(path)
        )
    };
    let mut client = stand.client().await;
    let sent = match act {
        Act::Whole => head("/whole", "Content-Length: 2\r\nConnection: close\r\n") + "ok",
        Act::LeaveBeforeTheAnswer => head("/slow", "Content-Length: 0\r\n"),
        Act::LeaveInTheUpload => head("/whole", "Content-Length: 100\r\n") + "some",
        Act::LeaveInTheDownload => head("/long", "Content-Length: 0\r\n"),
        Act::Malformed => head("/", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        Act::Denied => "GET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n".into(),
        Act::Unresolvable => {
            "GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: 127.0.0.1:1\r\nConnection: close\r\n\r\n"
                .into()
        }
        Act::BreakingUpstream => head("/break", "Content-Length: 0\r\nConnection: close\r\n"),
        Act::Tunnel => {
            format!("CONNECT up.example:{port} HTTP/1.1\r\nHost: up.example:{port}\r\n\r\n")
        }
    };
    client.send(sent).await;
    match act {
        Act::Whole | Act::Malformed | Act::Unresolvable | Act::BreakingUpstream => {
            client.rest().await;
        }
        Act::LeaveBeforeTheAnswer
        | Act::LeaveInTheUpload
        | Act::LeaveInTheDownload
        | Act::Denied
        | Act::Tunnel => tokio::time::sleep(Duration::from_millis(30)).await,
    }
}

async fn upstream() -> Upstreams {
    Upstreams::run(|mut far| async move {
        while let Some(request) = far.request().await {
            if request.contains("/slow") {
                tokio::time::sleep(Duration::from_secs(30)).await;
            } else if request.contains("/long") {
                far.say("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\npart")
                    .await;
                tokio::time::sleep(Duration::from_secs(30)).await;
            } else if request.contains("/break") {
                far.say("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\npart")
                    .await;
                return;
            } else {
                far.answer(&request).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_crossing_has_one_receipt_by_every_exit() {
    let up = upstream().await;
    let stand = Stand::open(&format!("{OPEN}  deny: [other.example]\n")).await;
    for round in 0..5 {
        let acts = ACTS.iter().cycle().skip(round).take(ACTS.len());
        let acting = acts.map(|one| act(&stand, *one, &up));
        for acted in acting {
            acted.await;
        }
    }
    let done = stand.finish_alone().await;
    assert!(
        done.receipts.len() >= 5 * ACTS.len(),
        "{}",
        done.receipts.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gate_that_stops_half_way_has_all_receipts() {
    let up = upstream().await;
    let stand = Stand::open(OPEN).await;
    let mut clients = Vec::new();
    for path in ["/slow", "/long", "/slow", "/long"] {
        let mut client = stand.client().await;
        client
            .send(format!(
                "GET {} HTTP/1.1\r\nHost: up.example:{}\r\n\r\n",
                up.url(path),
                up.port()
            ))
            .await;
        clients.push(client);
    }
    let mut uploading = stand.client().await;
    uploading
        .send(format!(
            "POST {} HTTP/1.1\r\nHost: up.example:{}\r\nContent-Length: 100\r\n\r\nsome",
            up.url("/whole"),
            up.port()
        ))
        .await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let done = stand.finish_alone().await;
    let lines = done.lines();
    let count = |line: &str| lines.iter().filter(|other| *other == line).count();
    assert_eq!(count("http-request allow"), 4, "{lines:?}");
    assert_eq!(count("http-response block dropped"), 2, "{lines:?}");
    assert_eq!(count("http-request block dropped"), 1, "{lines:?}");
}
