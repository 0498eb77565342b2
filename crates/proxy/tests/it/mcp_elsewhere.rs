//! A server of the transport before streamable HTTP: it accepts what is posted, and answers by the
//! stream that said where to post.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::mcp_http::{TOKEN, body, reason};
use crate::mcp_within::Scene;
use crate::support::{Client, OPEN, Stand, status};

/// Answers to `POST` by the stream of its only `GET`.
#[derive(Default)]
struct Elder {
    stream: Mutex<Option<TcpStream>>,
    called: Mutex<Vec<String>>,
}

impl Elder {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let request = crate::mcp_http::read_message(&mut client).await;
            if request.starts_with("GET ") {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
                let first = "event: endpoint\ndata: /messages?s=1\n\n";
                client
                    .write_all(format!("{head}{first}").as_bytes())
                    .await
                    .unwrap();
                *self.stream.lock() = Some(client);
                continue;
            }
            let accepted =
                "HTTP/1.1 202 Accepted\r\nconnection: close\r\ncontent-length: 8\r\n\r\nAccepted";
            client.write_all(accepted.as_bytes()).await.unwrap();
            client.shutdown().await.unwrap();
            self.answer(&request).await;
        }
    }

    async fn answer(&self, request: &str) {
        let message = body(request);
        let result = match message["method"].as_str() {
            Some("tools/list") => json!({"tools": [{"name": "add", "description": "Adds."}]}),
            Some("tools/call") => {
                let tool = message["params"]["name"].as_str().unwrap().to_owned();
                self.called.lock().push(tool);
                json!({"content": [{"type": "text", "text": "three"}]})
            }
            _ => json!({}),
        };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        let Some(mut stream) = self.stream.lock().take() else {
            return;
        };
        let event = format!("event: message\ndata: {answer}\n\n");
        stream.write_all(event.as_bytes()).await.unwrap();
        *self.stream.lock() = Some(stream);
    }
}

struct Meeting {
    scene: Scene,
    elder: Arc<Elder>,
}

impl Meeting {
    async fn open() -> Self {
        let mut scene = Scene::with(Stand::open(OPEN).await).await;
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        scene.port = upstream.local_addr().unwrap().port();
        let elder = Arc::<Elder>::default();
        tokio::spawn(Arc::clone(&elder).serve(upstream));
        Self { scene, elder }
    }

    /// Opens the stream, and reads it to where it says where to post.
    async fn listen(&self, fields: &str) -> Client {
        let port = self.scene.port;
        let mut stream = self.scene.stand.client().await;
        stream
            .send(format!(
                "GET http://up.example:{port}/sse HTTP/1.1\r\nhost: up.example:{port}\r\n{fields}\r\n"
            ))
            .await;
        read_until(&mut stream, "/messages?s=1").await;
        stream
    }

    async fn post(&self, message: &Value) -> String {
        let fields = "content-type: application/json\r\n";
        let content = message.to_string();
        self.scene.ask("POST /messages?s=1", fields, &content).await
    }
}

async fn read_until(client: &mut Client, text: &str) -> String {
    let mut heard = Vec::new();
    let mut buffer = [0; 1024];
    let reading = async {
        loop {
            match client.0.read(&mut buffer).await.unwrap() {
                0 => break,
                read => heard.extend_from_slice(&buffer[..read]),
            }
            if String::from_utf8_lossy(&heard).contains(text) {
                break;
            }
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(20), reading).await;
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(in_time.is_ok() && heard.contains(text), "{heard}");
    heard
}

fn calls(id: u64, tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
        "params": {"name": tool, "arguments": arguments}})
}

#[tokio::test]
async fn its_tools_are_known_by_the_stream() {
    let meeting = Meeting::open().await;
    let mut stream = meeting.listen("accept: text/event-stream\r\n").await;
    let heard = meeting.post(&calls(1, "add", json!({"a": 1}))).await;
    assert_eq!(status(&heard), 202, "{heard}");
    let heard = read_until(&mut stream, "three").await;
    assert!(!heard.contains("carboy-"), "the gate's own answer: {heard}");

    let heard = body(&meeting.post(&calls(2, "wipe", json!({}))).await);
    let told = &heard["result"]["_meta"]["carboy/refusal"]["reason"];
    assert_eq!((told, &heard["id"]), (&json!("tool_unlisted"), &json!(2)));

    let secret = calls(3, "add", json!({"text": TOKEN.concat()}));
    assert_eq!(reason(&body(&meeting.post(&secret).await)), "secret");
    assert_eq!(*meeting.elder.called.lock(), ["add"]);
    drop(stream);
    let finished = meeting.scene.stand.finish().await;
    assert!(!finished.reasons.contains(&"unsolicited".to_owned()));
}

/// A stream that was not asked for as one is judged as any other, and no list comes by it.
#[tokio::test]
async fn a_stream_that_is_not_followed_lists_no_tools() {
    let meeting = Meeting::open().await;
    let _stream = meeting.listen("").await;
    let heard = body(&meeting.post(&calls(1, "add", json!({}))).await);
    let told = &heard["result"]["_meta"]["carboy/refusal"]["reason"];
    assert_eq!(told, &json!("tool_unlisted"));
    assert_eq!(meeting.elder.called.lock().len(), 0);
}

/// Other streams of events go on as they are.
#[tokio::test]
async fn another_stream_is_no_servers() {
    let meeting = Meeting::open().await;
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = upstream.local_addr().unwrap().port();
    let events =
        ": hello\n\nevent: price\nid: 1\ndata: 7\n\nevent: endpoint\ndata: /messages?s=1\n\n";
    let served = tokio::spawn(async move {
        let (mut client, _) = upstream.accept().await.unwrap();
        crate::mcp_http::read_message(&mut client).await;
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        client.write_all(events.as_bytes()).await.unwrap();
        client.shutdown().await.unwrap();
    });
    let heard = meeting
        .scene
        .stand
        .ask(format!(
            "GET http://up.example:{port}/prices HTTP/1.1\r\nhost: up.example:{port}\r\n\
             accept: text/event-stream\r\nconnection: close\r\n\r\n"
        ))
        .await;
    served.await.unwrap();
    assert_eq!(status(&heard), 200, "{heard}");
    for part in [": hello", "event: price", "id: 1", "data: 7"] {
        assert!(heard.contains(part), "{part}: {heard}");
    }
}
