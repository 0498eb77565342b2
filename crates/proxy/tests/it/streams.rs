//! Bodies whose sender takes its time.

use std::time::Duration;

use tokio::io::AsyncReadExt;

use crate::support::{Client, OPEN, Stand, Upstreams, status};

/// Reads until `text` has come.
async fn until(client: &mut Client, text: &str) -> String {
    let mut all = Vec::new();
    let reading = async {
        loop {
            let mut bytes = [0; 4096];
            let read = client.0.read(&mut bytes).await.unwrap();
            assert!(read > 0, "ended: {}", String::from_utf8_lossy(&all));
            all.extend_from_slice(&bytes[..read]);
            if String::from_utf8_lossy(&all).contains(text) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), reading)
        .await
        .unwrap_or_else(|_| panic!("{text:?} does not come"));
    String::from_utf8_lossy(&all).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_while_their_stream_is_open() {
    let (go_on, may_go_on) = tokio::sync::mpsc::unbounded_channel::<()>();
    let waiting = std::sync::Arc::new(tokio::sync::Mutex::new(may_go_on));
    let up = Upstreams::run(move |mut far| {
        let waiting = std::sync::Arc::clone(&waiting);
        async move {
            far.request().await;
            far.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
                .await;
            for count in 0..3 {
                far.say(format!("event: tick\ndata: {{\"count\": {count}}}\n\n"))
                    .await;
                waiting.lock().await.recv().await;
            }
        }
    })
    .await;
    let stand = Stand::open(OPEN).await;
    let mut client = stand.client().await;
    client
        .send(format!(
            "GET {} HTTP/1.1\r\nHost: up.example:{}\r\nAccept: text/event-stream\r\n\r\n",
            up.url("/events"),
            up.port()
        ))
        .await;
    for count in 0..3 {
        until(&mut client, &format!("\"count\": {count}}}\n\n")).await;
        go_on.send(()).unwrap();
    }
    until(&mut client, "0\r\n\r\n").await;
    drop(client);
    let done = stand.finish().await;
    assert_eq!(done.lines(), ["http-request allow", "http-response allow"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_waits_to_be_asked_for_its_body_is_asked() {
    let up = Upstreams::echo().await;
    let stand = Stand::open(OPEN).await;
    let mut client = stand.client().await;
    client
        .send(format!(
            "POST {} HTTP/1.1\r\nHost: up.example:{}\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\n",
            up.url("/"),
            up.port()
        ))
        .await;
    until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n").await;
    client.send("hello").await;
    let response = client.rest().await;
    assert_eq!(status(&response), 200, "{response}");
    assert!(response.ends_with("hello"), "{response}");
    stand.finish().await;
}
