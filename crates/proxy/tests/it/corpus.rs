//! The cases of `cases/*.yaml` through the gate, by every carrier that can hold them: a client on one
//! side, an upstream on the other, which must see what the verdict says. `docs/carriers.md` tells how
//! many each carries.
//!
//! Names lead to the loopback, and URLs to the upstream's port in clear text; cases that this would
//! change are left to the engine's own tests, which run them all.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write;
use std::path::Path;

use ::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};

use crate::mcp::Pair;
use crate::reader::{Case, all};
use crate::socks;
use crate::support::{Client, Setup, Stand, Upstreams, body, status};
use crate::ws::{self, Ws};

/// What a case's content travels in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Carrier {
    /// To the gate as a proxy, by absolute URLs.
    Http1,
    /// In a connection by SOCKS.
    Socks,
    Http2,
    WebSocket,
    Mcp,
}

const CARRIERS: [(Carrier, &str); 5] = [
    (Carrier::Http1, "HTTP/1.1"),
    (Carrier::Socks, "by SOCKS"),
    (Carrier::Http2, "HTTP/2"),
    (Carrier::WebSocket, "WebSocket"),
    (Carrier::Mcp, "MCP"),
];

impl Carrier {
    fn carries(self, case: &Case) -> bool {
        case.place().is_some()
            && match self {
                Self::Http1 | Self::Socks => true,
                Self::Http2 => case.is_for_http2(),
                Self::WebSocket => case.is_for_a_message(),
                Self::Mcp => case.is_for_mcp(),
            }
    }

    async fn fault(self, case: &Case, stand: &Stand, place: &Place) -> Option<String> {
        match self {
            Self::Http1 | Self::Socks => case.fault(stand, place, self).await,
            Self::Http2 => case.fault_in_http2(stand, place).await,
            Self::WebSocket => case.fault_in_message(stand, place).await,
            Self::Mcp => case.fault_in_mcp(stand).await,
        }
    }

    /// Runs every case that it can carry, those of one policy in one session.
    async fn run(self) {
        let mut by_policy = BTreeMap::<(String, String), Vec<(Case, Place)>>::new();
        for case in all().into_iter().filter(|case| self.carries(case)) {
            if let (Some(place), Some(policy)) = (case.place(), case.open_policy()) {
                let key = (policy, case.engine_key());
                by_policy.entry(key).or_default().push((case, place));
            }
        }
        let (mut wrong, mut count) = (Vec::new(), 0);
        for ((policy, _), cases) in &by_policy {
            let names: Vec<_> = cases.iter().map(|(_, place)| place.host.as_str()).collect();
            let stand = Stand::with(Setup {
                policy,
                known: cases[0].0.knowledge(),
                names: &names.join(" "),
                ..Setup::default()
            })
            .await;
            for (case, place) in cases {
                if let Some(fault) = self.fault(case, &stand, place).await {
                    wrong.push(format!("{}: {fault}", case.name));
                }
            }
            count += cases.len();
            stand.finish().await;
        }
        let list = wrong.join("\n");
        assert!(
            wrong.is_empty(),
            "{} wrong of {count}:\n{list}",
            wrong.len()
        );
        assert!(count >= 100, "only {count} cases were run");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_has_its_verdict_in_http1() {
    Carrier::Http1.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_has_its_verdict_by_socks() {
    Carrier::Socks.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_has_its_verdict_in_http2() {
    Carrier::Http2.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_that_a_message_can_carry_has_its_verdict_in_a_websocket() {
    Carrier::WebSocket.run().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_that_a_string_can_carry_has_its_verdict_in_mcp() {
    Carrier::Mcp.run().await;
}

#[test]
fn the_carriers_are_as_the_docs_say() {
    let mut rows = BTreeMap::<String, (usize, [usize; CARRIERS.len()])>::new();
    for case in all() {
        let (cases, counts) = rows.entry(case.file.clone()).or_default();
        *cases += 1;
        for (count, (carrier, _)) in counts.iter_mut().zip(CARRIERS) {
            *count += usize::from(carrier.carries(&case));
        }
    }
    let mut table = CARRIERS_HEAD.to_owned();
    let names: Vec<_> = CARRIERS.iter().map(|(_, name)| *name).collect();
    writeln!(table, "| cases | engine | {} |", names.join(" | ")).unwrap();
    writeln!(table, "|---|---:|{}", "---:|".repeat(CARRIERS.len())).unwrap();
    for (file, (cases, counts)) in &rows {
        let counts = counts.map(|count| count.to_string()).join(" | ");
        writeln!(table, "| `{file}` | {cases} | {counts} |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/carriers.md");
    if std::env::var("CARBOY_DOCS").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "run `CARBOY_DOCS=write cargo test -p carboy-proxy carriers`"
    );
}

const CARRIERS_HEAD: &str = "\
# What carries the cases

The order of checks stands once, in the engine; each protocol only brings content to it. To show that none brings it in a way
that changes the verdict, the cases of `cases/` go through the whole gate by every carrier that can hold them, with a client
before it and a server behind it: the verdict, the rule, and what came out on the other side must be the same.

The engine's own tests run every case, straight and cut at every boundary. A carrier leaves out what it cannot hold (a
WebSocket has no query), what holds over TLS or for given addresses only, and what is about several crossings. This table is
made by the tests that run them.

";

/// Where a case's request goes.
struct Place {
    host: String,
    path: String,
}

impl Case {
    fn is_response(&self) -> bool {
        self.crossing == "http-response"
    }

    /// The host, and the path and query, of a case that can be run here.
    fn place(&self) -> Option<Place> {
        if !self.is_for_the_gate() {
            return None;
        }
        let url = self.url.as_deref().unwrap_or("https://a.example/");
        let (scheme, rest) = url.split_once("://")?;
        if !scheme.starts_with("http") {
            return None;
        }
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        let is_address = host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.')
            || host.starts_with("0x");
        let sendable = path.bytes().all(|byte| byte.is_ascii_graphic());
        // A credential is at home over TLS only: at hosts that are no examples, and in this header.
        let is_credential = |header: &String| header.starts_with("authorization:");
        let is_home = self.tls
            || (scheme == "https" && !host.contains("example"))
            || (self.expect == "allow" && self.headers.iter().any(is_credential));
        let runs =
            !is_home && host.bytes().all(plain) && host.contains('.') && !is_address && sendable;
        let path = path.split('#').next().unwrap_or_default();
        runs.then(|| Place {
            host: host.to_owned(),
            path: if path.is_empty() { "/" } else { path }.to_owned(),
        })
    }

    /// Whether a verdict holds on the loopback and today: not over several crossings, for given
    /// addresses, or by an exemption's date.
    fn is_for_the_gate(&self) -> bool {
        let is_http = self.crossing.starts_with("http-");
        let is_dated = self.policy.contains("expires:");
        is_http && !is_dated && self.times == 1 && self.resolve.is_none()
    }

    /// Whether a case is about its body alone, whatever that is said to be. A home that the policy adds
    /// is one for messages too, and not for bodies.
    fn is_for_a_message(&self) -> bool {
        let url = self.url.as_deref().unwrap_or_default();
        let is_form = |header: &String| header.contains("urlencoded");
        let is_type = |header: &String| header.starts_with("content-type:") && !is_form(header);
        let is_of_body = self.surface.as_deref().is_none_or(|own| own == "body");
        let is_plain = !url.contains('?')
            && !self.policy.contains("homes:")
            && self.headers.iter().all(is_type);
        is_plain && is_of_body && !self.body().is_empty()
    }

    /// Whether its head can be HTTP/2's: no field of a connection's own, and no name that only
    /// HTTP/1.1 can spell.
    fn is_for_http2(&self) -> bool {
        let own = [
            "connection",
            "transfer-encoding",
            "upgrade",
            "te",
            "host",
            "expect",
        ];
        self.headers.iter().all(|header| {
            let name = header.split(':').next().unwrap_or_default();
            !own.contains(&name) && name.bytes().all(|b| !b.is_ascii_uppercase())
        })
    }

    /// Whether its body can be a string of a message, and is judged by what it says alone: in no coding,
    /// and by no leave of its host's.
    fn is_for_mcp(&self) -> bool {
        let is_plain = !self.policy.contains("exempt:") && !self.policy.contains("private:");
        is_plain && self.is_for_a_message() && String::from_utf8(self.body()).is_ok()
    }

    /// What is wrong with the verdict on its body in an argument or a result, if anything is.
    async fn fault_in_mcp(&self, stand: &Stand) -> Option<String> {
        let state = tempfile::tempdir().unwrap();
        let mut pair = Pair::over(stand, state.path());
        let text = String::from_utf8(self.body()).unwrap();
        let (asked, answered) = match self.is_response() {
            true => ("", &*text),
            false => (&*text, ""),
        };
        let ask = json!({"jsonrpc": "2.0", "id": 1, "method": "prompts/get",
            "params": {"name": "note", "arguments": {"text": asked}}});
        pair.client.say(ask).await;
        // What is refused never reaches the server; the client is told in its stead.
        let came = match self.expect != "allow" && !self.is_response() {
            true => None,
            false => pair.server.hear().await,
        };
        if came.is_some() {
            let content = json!({"type": "text", "text": answered});
            let result = json!({"messages": [{"role": "user", "content": content}]});
            let answer = json!({"jsonrpc": "2.0", "id": 1, "result": result});
            pair.server.say(answer).await;
        }
        let heard = pair.client.hear().await.unwrap_or_default();
        pair.end().await;
        let refusal = &heard["error"]["data"];
        let reason = refusal["reason"].as_str().unwrap_or("allow");
        let rule = refusal["rule"].as_str().unwrap_or_default();
        self.compare(reason, rule, &heard.to_string())
    }

    /// What is wrong with the verdict over HTTP/2, if anything is.
    async fn fault_in_http2(&self, stand: &Stand, place: &Place) -> Option<String> {
        let up = self.upstream_of_http2().await;
        let authority = format!("{}:{}", place.host, up.port());
        let mut tunnel = Client(stand.client().await.0);
        let connect = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        tunnel.send(connect).await;
        let opened = tunnel.response().await;
        if status(&opened) != 200 {
            return self.judge(&opened);
        }
        let io = TokioIo::new(tunnel.0);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), io);
        let (mut sender, connection) = handshake.await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(self.method.as_deref().unwrap_or("GET"))
            .uri(format!("http://{authority}{}", place.path));
        let mut content = Full::<Bytes>::default();
        if !self.is_response() {
            request = self
                .fields()
                .fold(request, |all, (name, value)| all.header(name, value));
            content = Full::from(self.body());
        }
        let response = sender.send_request(request.body(content).unwrap()).await;
        let (head, body) = response.unwrap().into_parts();
        let text = match body.collect().await {
            Ok(body) => String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            // What is found late breaks the stream off.
            Err(_) => String::new(),
        };
        let field = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let reason = field("carboy-reason").unwrap_or("allow");
        let refusal: Value = serde_json::from_str(&text).unwrap_or_default();
        let rule = refusal["rule"].as_str().unwrap_or_default();
        self.compare(reason, rule, &format!("{head:?} {text}"))
            .or_else(|| self.leak(&up))
    }

    /// An upstream that speaks HTTP/2 in clear, and answers with the case where it is an answer.
    async fn upstream_of_http2(&self) -> Upstreams {
        let case = self.clone();
        Upstreams::run(move |far| {
            let (case, seen) = (case.clone(), far.log());
            async move {
                let service = service_fn(move |request: Request<Incoming>| {
                    let (case, seen) = (case.clone(), seen.clone());
                    async move {
                        if let Ok(body) = request.into_body().collect().await {
                            seen.lock().extend_from_slice(&body.to_bytes());
                        }
                        let mut response = Response::builder();
                        let mut content = Bytes::new();
                        if case.is_response() {
                            response = case
                                .fields()
                                .fold(response, |all, (name, value)| all.header(name, value));
                            content = case.body().into();
                        }
                        Ok::<_, Infallible>(response.body(Full::new(content)).unwrap())
                    }
                });
                let server = http2::Builder::new(TokioExecutor::new());
                // The gate may break off what it refuses.
                let _ = server
                    .serve_connection(TokioIo::new(far.stream), service)
                    .await;
            }
        })
        .await
    }

    fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let fields = self
            .headers
            .iter()
            .filter_map(|header| header.split_once(':'));
        fields.map(|(name, value)| (name, value.trim()))
    }

    /// What is wrong with a verdict, if anything is.
    fn compare(&self, reason: &str, rule: &str, shown: &str) -> Option<String> {
        let same_rule = self.rule.as_deref().is_none_or(|expected| expected == rule);
        let right = reason == self.expect && same_rule;
        (!right).then(|| format!("not `{}` {:?}\n{shown}", self.expect, self.rule))
    }

    /// What is wrong with the verdict on its body as a message, if anything is.
    async fn fault_in_message(&self, stand: &Stand, place: &Place) -> Option<String> {
        let body = self.body();
        let up = match self.is_response() {
            true => ws::saying(ws::frame(ws::BINARY, &body, false)).await,
            false => ws::saying(Vec::new()).await,
        };
        let authority = format!("{}:{}", place.host, up.port());
        let url = format!("http://{authority}{}", place.path);
        let mut client = Ws::open(stand.client().await.0, &url, &authority, "").await;
        if !self.is_response() {
            client.send(ws::BINARY, &body).await;
        }
        let close = client.reason().await;
        let said = close.split_once(": ").map_or("allow by ", |(_, said)| said);
        let (reason, rule) = said.split_once(" by ").unwrap_or((said, ""));
        self.leak(&up)
            .or_else(|| self.compare(reason, rule, &close))
    }

    /// What is wrong with the verdict, if anything is.
    async fn fault(&self, stand: &Stand, place: &Place, carrier: Carrier) -> Option<String> {
        let answer = match self.is_response() {
            true => self.message("HTTP/1.1 200 OK\r\n"),
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        let up = Upstreams::saying(answer).await;
        let authority = format!("{}:{}", place.host, up.port());
        let (start, client) = match carrier {
            Carrier::Socks => (
                String::new(),
                socks::open(stand, &place.host, up.port()).await,
            ),
            _ => (format!("http://{authority}"), Some(stand.client().await)),
        };
        let Some(mut client) = client else {
            return self.judge_tunnel(stand);
        };
        let method = self.method.as_deref().unwrap_or("GET");
        let line = format!(
            "{method} {start}{} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n",
            place.path
        );
        let request = match self.is_response() {
            true => format!("{line}\r\n").into_bytes(),
            false => self.message(&line),
        };
        client.send(request).await;
        let response = client.rest().await;
        self.judge(&response).or_else(|| self.leak(&up))
    }

    /// Judges a refusal that SOCKS has no words for.
    fn judge_tunnel(&self, stand: &Stand) -> Option<String> {
        let told = stand.refusals.0.lock().last().cloned().unwrap_or_default();
        (told != self.expect).then(|| format!("not `{}`: tunnel {told}", self.expect))
    }

    fn judge(&self, response: &str) -> Option<String> {
        let field = |name: &str| Some(response.split_once(name)?.1.split_once("\r\n")?.0);
        let reason = match status(response) {
            200 => "allow",
            _ => field("carboy-reason: ").unwrap_or_default(),
        };
        let refusal: Value = serde_json::from_str(body(response)).unwrap_or_default();
        let rule = refusal["rule"].as_str().unwrap_or_default();
        self.compare(reason, rule, response)
    }

    /// Whether a refused request's body came out whole on the other side.
    fn leak(&self, up: &Upstreams) -> Option<String> {
        let body = self.body();
        let came = !body.is_empty()
            && up
                .seen
                .lock()
                .windows(body.len())
                .any(|window| window == body);
        let refused = self.expect != "allow" && !self.is_response();
        (came && refused).then(|| "the body came through".to_owned())
    }

    /// The case's head and body, after a first line.
    fn message(&self, line: &str) -> Vec<u8> {
        let body = self.body();
        let mut head = line.to_owned();
        for header in &self.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        [head.as_bytes(), &body].concat()
    }

    /// The case's policy, with leave to reach the loopback; none if it has such leave of its own,
    /// and so is about addresses.
    fn open_policy(&self) -> Option<String> {
        let policy = self.parsed_policy();
        let (before, after) = policy.to_yaml().split_once("  private: []").map(owned)?;
        Some(format!("{before}  private: [127.0.0.0/8]{after}"))
    }
}

fn owned((before, after): (&str, &str)) -> (String, String) {
    (before.to_owned(), after.to_owned())
}
