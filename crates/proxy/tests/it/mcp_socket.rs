//! Servers of the model context protocol by WebSockets, and for clients that speak by pipes alone.

use std::sync::Arc;
use std::time::Duration;

use carboy_engine::{Host, Scheme, Target};
use carboy_proxy::mcp::{
    AddedFields, Carrier, Remote, Server, ServerName, serve_connected, serve_remote,
};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, duplex, split};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::mcp::{call, reason, result};
use crate::mcp_http::{Far, HIDDEN, TOKEN};
use crate::support::{Finished, OPEN, Stand, Upstreams};
use crate::ws::{BINARY, CLOSE, PING, PONG, Raw, TEXT, Ws, frame, head, request, switch};

const OFFER: &str = "Sec-WebSocket-Protocol: mcp\r\n";
const WAIT: Duration = Duration::from_secs(30);

/// A server that lists one tool and answers its calls with their text; what comes is noted. It chooses the
/// subprotocol that it was told to.
async fn server(chosen: &'static str) -> Upstreams {
    Upstreams::run(move |far| {
        let log = far.log();
        async move {
            let mut stream = far.stream;
            let (asked, _) = head(&mut stream).await;
            log.lock().extend_from_slice(asked.as_bytes());
            let switched = switch(&asked).replace("\r\n\r\n", &format!("\r\n{chosen}\r\n"));
            stream.write_all(switched.as_bytes()).await.unwrap();
            let mut ws = Ws::over(stream);
            while let Some(Raw { first, payload }) = ws.frame().await {
                log.lock().extend_from_slice(&payload);
                let answer = match first {
                    TEXT => frame(TEXT, answer(&payload).to_string().as_bytes(), false),
                    CLOSE => frame(CLOSE, &payload, false),
                    _ => continue,
                };
                ws.raw(&answer).await;
            }
        }
    })
    .await
}

fn answer(asked: &[u8]) -> Value {
    let asked: Value = serde_json::from_slice(asked).unwrap();
    let id = asked["id"].clone();
    match asked["method"].as_str() {
        Some("tools/list") => {
            json!({"jsonrpc": "2.0", "id": id, "result": {"tools": [{"name": "add"}]}})
        }
        _ => result(id, asked["params"]["arguments"]["text"].as_str().unwrap()),
    }
}

struct Scene {
    stand: Stand,
    address: std::net::SocketAddr,
    stop: oneshot::Sender<()>,
    serving: tokio::task::JoinHandle<std::io::Result<()>>,
    state: tempfile::TempDir,
}

fn remote(stand: &Stand, state: &tempfile::TempDir, port: u16) -> Remote {
    let target = Target {
        scheme: Scheme::Http,
        host: Host::parse("127.0.0.1").unwrap(),
        port,
    };
    let name = ServerName::parse("far").unwrap();
    let added = [("x-key".parse().unwrap(), "added".parse().unwrap())];
    Remote {
        server: Server::remote(Arc::clone(&stand.gate), state.path(), &name, target).unwrap(),
        endpoint: "/mcp?v=1".parse().unwrap(),
        headers: Arc::new(AddedFields::new(added.into_iter().collect())),
    }
}

impl Scene {
    async fn open(port: u16) -> Self {
        let (stand, state) = (Stand::open(OPEN).await, tempfile::tempdir().unwrap());
        let remote = remote(&stand, &state, port);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve_remote(listener, remote, async {
            let _ = stopped.await;
        }));
        Self {
            stand,
            address,
            stop,
            serving,
            state,
        }
    }

    async fn socket(&self) -> Ws<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Ws::open(stream, "/mcp?v=1", &self.address.to_string(), OFFER).await
    }

    async fn finish(self) -> Finished {
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
        drop(self.state);
        self.stand.finish().await
    }
}

async fn ask(ws: &mut Ws<TcpStream>, message: &Value) -> Value {
    ws.send(TEXT, message.to_string()).await;
    let Raw { first, payload } = ws.frame().await.unwrap();
    assert_eq!(first, TEXT, "{payload:?}");
    serde_json::from_slice(&payload).unwrap()
}

/// What each message of a dialogue comes to: the text of its answer, or the reason of a refusal.
async fn dialogue(ws: &mut Ws<TcpStream>) {
    let list = json!({"jsonrpc": "2.0", "id": 0, "method": "tools/list"});
    assert_eq!(ask(ws, &list).await["result"]["tools"][0]["name"], "add");
    for (text, expected) in [
        ("seven", "seven"),
        (HIDDEN, "injection"),
        (&*TOKEN.concat(), "secret"),
        ("eight", "eight"),
    ] {
        let said = ask(ws, &call(1, "add", json!({ "text": text }))).await;
        assert_eq!(said["id"], 1, "{said}");
        let content = said["result"]["content"][0]["text"].as_str();
        assert_eq!(content.unwrap_or_else(|| reason(&said)), expected, "{said}");
    }
    let unlisted = ask(ws, &call(2, "wipe", json!({"text": ""}))).await;
    assert_eq!(unlisted["result"]["isError"], true, "{unlisted}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_message_of_a_socket_is_judged_by_the_listener() {
    let up = server("Sec-WebSocket-Protocol: mcp\r\n").await;
    let scene = Scene::open(up.port()).await;
    let mut ws = scene.socket().await;
    dialogue(&mut ws).await;
    // A batch is judged element by element.
    let batch = json!([call(3, "add", json!({"text": TOKEN.concat()}))]);
    assert_eq!(reason(&ask(&mut ws, &batch).await), "secret");
    ws.send(PING, "there?").await;
    let pong = ws.frame().await.unwrap();
    assert_eq!((pong.first, &*pong.payload), (PONG, &b"there?"[..]));
    ws.send(BINARY, "{}").await;
    let said = ws.frame().await.unwrap();
    let said: Value = serde_json::from_slice(&said.payload).unwrap();
    assert_eq!((reason(&said), &said["id"]), ("malformed", &Value::Null));
    assert_eq!(ws.close().await, ["close 1000"]);
    let seen = up.seen();
    assert!(
        seen.contains("GET /mcp?v=1 ") && seen.contains("x-key: added\r\n"),
        "{seen}"
    );
    assert!(!seen.contains(&TOKEN.concat()), "{seen}");
    let lines = scene.finish().await.lines();
    assert!(
        lines.contains(&"mcp-request block secret".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"mcp-response block injection".to_owned()),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_breaks_the_protocol_is_closed_both_ways() {
    let up = server("").await;
    let scene = Scene::open(up.port()).await;
    for (bytes, code) in [
        // Not masked; text beyond what a message may be.
        (frame(TEXT, b"{}", false), 1002),
        (frame(TEXT, &vec![b' '; (16 << 20) + 1], true), 1009),
    ] {
        let mut ws = scene.socket().await;
        ws.raw(&bytes).await;
        let heard = ws.heard().await;
        assert_eq!(heard.last(), Some(&format!("close {code}")), "{heard:?}");
    }
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_opens_no_socket() {
    let up = server("").await;
    let scene = Scene::open(up.port()).await;
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let fields = format!("{OFFER}Origin: http://evil.example\r\n");
    let asked = request("/mcp?v=1", &scene.address.to_string(), &fields);
    stream.write_all(asked.as_bytes()).await.unwrap();
    let (answer, _) = head(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    drop(stream);
    assert_eq!(up.connections(), 0);
    scene.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_by_the_forward_proxy_is_judged_whatever_the_server_chooses() {
    for chosen in ["Sec-WebSocket-Protocol: mcp\r\n", ""] {
        let (up, stand) = (server(chosen).await, Stand::open(OPEN).await);
        let mut ws = Ws::forward(&stand, &up, OFFER).await;
        dialogue(&mut ws).await;
        assert_eq!(ws.close().await, ["close 1000"]);
        drop(ws);
        let lines = stand.finish().await.lines();
        assert!(
            lines.contains(&"mcp-request block tool_unlisted".to_owned()),
            "{lines:?}"
        );
    }
}

/// What a client behind pipes hears when it has said these messages, and closes its side.
async fn piped(carrier: Carrier, port: u16, messages: &[Value]) -> Vec<Value> {
    let (stand, state) = (Stand::open(OPEN).await, tempfile::tempdir().unwrap());
    let remote = remote(&stand, &state, port);
    let (client, own) = duplex(1 << 20);
    let serving = tokio::spawn(serve_connected(remote, carrier, split(own)));
    let (read, mut write) = split(client);
    for message in messages {
        write
            .write_all(format!("{message}\n").as_bytes())
            .await
            .unwrap();
    }
    write.shutdown().await.unwrap();
    let (mut lines, mut heard) = (BufReader::new(read).lines(), Vec::new());
    while let Some(line) = timeout(WAIT, lines.next_line()).await.unwrap().unwrap() {
        heard.push(serde_json::from_str(&line).unwrap());
    }
    serving.await.unwrap().unwrap();
    stand.finish().await;
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_behind_pipes_reaches_a_socket() {
    let up = server("").await;
    let heard = piped(
        Carrier::WebSocket,
        up.port(),
        &[
            json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}),
            call(2, "add", json!({"text": TOKEN.concat()})),
            call(3, "add", json!({"text": "seven"})),
        ],
    )
    .await;
    let by_id = |id: u64| heard.iter().find(|own| own["id"] == id).unwrap();
    assert_eq!(heard.len(), 3, "{heard:?}");
    assert_eq!(reason(by_id(2)), "secret");
    assert_eq!(by_id(3)["result"]["content"][0]["text"], "seven");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_behind_pipes_reaches_streamable_http() {
    let far = Arc::<Far>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(Arc::clone(&far).serve(listener));
    let hello = json!({"jsonrpc": "2.0", "id": 1, "result": {"protocolVersion": "2025-06-18"}});
    far.will_say(
        "200 OK\r\ncontent-type: application/json\r\nmcp-session-id: s1",
        &hello.to_string(),
    );
    let listed = json!({"jsonrpc": "2.0", "id": 2, "result": {"tools": [{"name": "add"}]}});
    far.will_stream(&format!("event: message\ndata: {listed}\n\n"));
    // The end of the session.
    far.will_say("200 OK", "");
    let heard = piped(
        Carrier::Http,
        port,
        &[
            json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {}}),
            json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list"}),
        ],
    )
    .await;
    assert_eq!(heard, [hello, listed]);
    let asked = far.asked();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked[1].contains("mcp-session-id: s1\r\n"), "{}", asked[1]);
    assert!(
        asked[1].contains("mcp-protocol-version: 2025-06-18\r\n"),
        "{}",
        asked[1]
    );
    assert!(asked[2].starts_with("DELETE /mcp?v=1 "), "{}", asked[2]);
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_what_is_not_answered_hears_why() {
    let far = Arc::<Far>::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(Arc::clone(&far).serve(listener));
    far.will_say("401 Unauthorized", "");
    // A stream without ids that ends before it has answered.
    far.will_stream(": nothing\n\n");
    let ping = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "initialize", "params": {}});
    let heard = piped(Carrier::Http, port, &[ping(1), ping(2)]).await;
    let told: Vec<_> = heard
        .iter()
        .map(|own| (own["id"].clone(), reason(own)))
        .collect();
    assert_eq!(told, [(json!(1), "upstream"), (json!(2), "upstream")]);
    let why = heard[0]["error"]["message"].as_str().unwrap();
    assert!(why.contains("--header-env"), "{why}");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_is_heard_to_its_end() {
    let up = Upstreams::run(|far| async move {
        let mut stream = far.stream;
        let _ = head(&mut stream).await;
        let note = |text: &str| {
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}});
            format!("data: {note}\n\n")
        };
        let begin = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/event-stream\r\n\r\n";
        for part in [begin, &note("one"), &note("two"), &note("three")] {
            // A client that is gone needs no more.
            let _ = stream.write_all(part.as_bytes()).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    let scene = Scene::open(up.port()).await;
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let host = scene.address;
    let asked = format!(
        "GET /mcp?v=1 HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\naccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(asked.as_bytes()).await.unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).await.unwrap();
    for text in ["one", "two", "three"] {
        assert!(heard.contains(&format!("\"data\":\"{text}\"")), "{heard}");
    }
    scene.finish().await;
}
