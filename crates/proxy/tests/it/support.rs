//! A gate on the loopback, upstreams behind it, and a client that speaks raw bytes.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use carboy_engine::{Durability, Engine, Known, Policy};
use carboy_proxy::{
    Approvals, Asking, CertificateAuthority, Evidence, EvidenceConfig, Gate, GateConfig,
    HostsTable, Identity, Interceptor, Listener, Names, Notice, Observer, Resolver, Role, Upstream,
    UpstreamConfig, Workers,
};
use carboy_receipt::{Report, Verifier, Verify};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A policy under which the loopback may be reached.
pub const OPEN: &str = "version: 1
egress:
  private: ['127.0.0.0/8']
";

/// A gate that serves, with its receipts.
pub struct Stand {
    pub gate: Arc<Gate>,
    pub address: SocketAddr,
    pub refusals: Arc<Refusals>,
    state: tempfile::TempDir,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<std::io::Result<()>>,
    /// Who had the gate before there was a connection.
    holders: usize,
}

/// Collects the reasons of refusals.
#[derive(Default)]
pub struct Refusals(pub Mutex<Vec<String>>);

impl Observer for Refusals {
    fn refused(&self, notice: &Notice<'_>) {
        self.0.lock().push(notice.refusal.reason.as_str().into());
    }

    fn asked(&self, _: &Asking<'_>) {}
}

pub struct Setup<'a> {
    pub policy: &'a str,
    pub known: Known,
    pub durability: Durability,
    /// What the listener's clients take it for.
    pub role: Role,
    /// PEM files of authorities that upstreams' certificates may come from.
    pub authorities: Vec<PathBuf>,
    /// Certificates that are shown to upstreams.
    pub identities: Vec<Identity>,
    /// Names that lead to the loopback.
    pub names: &'a str,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Self {
            policy: OPEN,
            known: Known::default(),
            durability: Durability::Written,
            role: Role::Forward,
            authorities: Vec::new(),
            identities: Vec::new(),
            names: "up.example other.example",
        }
    }
}

impl Stand {
    pub async fn open(policy: &str) -> Self {
        Self::with(Setup {
            policy,
            ..Setup::default()
        })
        .await
    }

    /// Where the gate keeps what it keeps.
    pub fn state(&self) -> &std::path::Path {
        self.state.path()
    }

    pub async fn with(setup: Setup<'_>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let policy = Policy::parse(setup.policy, "test.yaml").unwrap();
        let evidence = Evidence::open(&EvidenceConfig {
            state: state.path(),
            name: "test",
            durability: setup.durability,
            required: true,
            policy: policy.digest(),
            version: "0.0.0",
        })
        .unwrap();
        let refusals = Arc::<Refusals>::default();
        let gate = Gate::new(GateConfig {
            engine: Arc::new(Engine::knowing(policy, [1; 32], setup.known)),
            agent: "test".into(),
            bottle: None,
            evidence,
            resolver: Resolver::new(hosts(setup.names)),
            upstream: Upstream::new(&UpstreamConfig {
                extra_authorities: setup.authorities,
                identities: setup.identities,
                hosts: hosts(setup.names),
            })
            .unwrap(),
            interceptor: interceptor(),
            observer: refusals.clone(),
            approvals: Approvals::below(state.path()),
            names: Arc::new(Names::default()),
            health: Some("0.0.0"),
        })
        .unwrap();
        let holders = Arc::strong_count(&gate);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let listener = Listener {
            socket,
            role: setup.role,
        };
        let serving = tokio::spawn(carboy_proxy::serve(
            Arc::clone(&gate),
            vec![listener],
            Workers::here(),
            async {
                let _ = stopped.await;
            },
        ));
        Self {
            gate,
            address,
            refusals,
            state,
            stop,
            serving,
            holders,
        }
    }

    pub async fn client(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Sends one request on a connection of its own and returns all that comes back.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> String {
        let mut client = self.client().await;
        client.send(request).await;
        client.rest().await
    }

    /// `GET` of a URL on a connection of its own.
    pub async fn get(&self, url: &str) -> String {
        let host = url.split('/').nth(2).unwrap();
        self.ask(format!(
            "GET {url} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        ))
        .await
    }

    pub fn log(&self) -> PathBuf {
        self.gate.evidence().path().unwrap().to_owned()
    }

    /// The same as [`Stand::finish`], and that nothing that served a connection is left.
    pub async fn finish_alone(self) -> Finished {
        let (gate, holders) = (Arc::clone(&self.gate), self.holders);
        let done = self.finish().await;
        is_let_go(&gate, holders).await;
        done
    }

    /// Stops the gate and verifies its receipts: one for each crossing, none twice.
    pub async fn finish(self) -> Finished {
        let log = self.log();
        self.stop.send(()).unwrap();
        self.serving.await.unwrap().unwrap();
        self.gate.evidence().close().unwrap();
        let text = std::fs::read_to_string(log).unwrap();
        let mut verifier = Verifier::new(Verify {
            key: self.gate.evidence().public_key(),
            allow_open: false,
        });
        verifier.push(text.as_bytes()).unwrap();
        let report = verifier.finish().unwrap();
        let totals = self.gate.totals();
        assert_eq!(report.crossings, totals.crossings, "a receipt a crossing");
        assert_eq!(report.refusals, totals.refusals);
        let receipts: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .filter(|line: &serde_json::Value| line["kind"] == "crossing")
            .collect();
        let mut ids: Vec<_> = receipts.iter().map(|line| line["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), receipts.len(), "an id a crossing");
        drop(self.state);
        Finished {
            receipts,
            report,
            reasons: self.refusals.0.lock().clone(),
            text,
        }
    }
}

/// Waits until no task of a connection has the gate any more: each has it as long as it runs.
async fn is_let_go(gate: &Arc<Gate>, holders: usize) {
    let all = async {
        while Arc::strong_count(gate) > holders {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), all).await;
    let left = Arc::strong_count(gate) - holders.min(Arc::strong_count(gate));
    waited.unwrap_or_else(|_| panic!("{left} tasks are left"));
}

/// What a gate leaves behind.
pub struct Finished {
    pub receipts: Vec<serde_json::Value>,
    pub report: Report,
    pub reasons: Vec<String>,
    pub text: String,
}

impl Finished {
    /// Each receipt as `kind decision reason`, in order.
    pub fn lines(&self) -> Vec<String> {
        let line = |receipt: &serde_json::Value| {
            let part = |name: &str| receipt[name].as_str().unwrap_or_default().to_owned();
            format!(
                "{} {} {}",
                part("crossing"),
                part("decision"),
                part("reason")
            )
            .trim()
            .to_owned()
        };
        self.receipts.iter().map(line).collect()
    }
}

/// Every name that tests use leads to the loopback.
fn hosts(names: &str) -> HostsTable {
    HostsTable::parse(&format!("127.0.0.1 {names} # the upstreams\n")).unwrap()
}

fn interceptor() -> Interceptor {
    Interceptor::new(Arc::new(CertificateAuthority::generate().unwrap())).unwrap()
}

/// A client that speaks raw bytes.
pub struct Client(pub TcpStream);

impl Client {
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    /// All that comes until the end, be it a reset.
    pub async fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        let reading = self.0.read_to_end(&mut bytes);
        let _ = tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("the connection ends");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// So many bytes.
    pub async fn exactly(&mut self, length: usize) -> String {
        let mut bytes = vec![0; length];
        let reading = self.0.read_exact(&mut bytes);
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("an answer comes")
            .unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends the client's side.
    pub async fn end(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    /// One response whose length is told.
    pub async fn response(&mut self) -> String {
        let mut bytes = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some(end) = text.find("\r\n\r\n") {
                let length = text
                    .to_ascii_lowercase()
                    .split("content-length: ")
                    .nth(1)
                    .and_then(|rest| rest.split("\r\n").next())
                    .map_or(0, |length| length.parse::<usize>().unwrap());
                if bytes.len() >= end + 4 + length {
                    return text;
                }
            }
            let mut more = [0; 4096];
            let read = self.0.read(&mut more).await.unwrap();
            assert!(read > 0, "the connection ended early: {text}");
            bytes.extend_from_slice(&more[..read]);
        }
    }
}

/// An upstream that treats each connection by a function of its own.
pub struct Upstreams {
    pub address: SocketAddr,
    pub connections: Arc<AtomicUsize>,
    pub seen: Arc<Mutex<Vec<u8>>>,
}

impl Upstreams {
    pub fn url(&self, path: &str) -> String {
        format!("http://up.example:{}{path}", self.address.port())
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// All bytes that came, on any connection.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock()).into_owned()
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Serves each connection with `serve`.
    pub async fn run<F, Fut>(serve: F) -> Self
    where
        F: Fn(Far) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstreams = Self {
            address: socket.local_addr().unwrap(),
            connections: Arc::default(),
            seen: Arc::default(),
        };
        let connections = Arc::clone(&upstreams.connections);
        let seen = Arc::clone(&upstreams.seen);
        tokio::spawn(async move {
            loop {
                let (stream, _) = socket.accept().await.unwrap();
                connections.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(Far {
                    stream,
                    seen: Arc::clone(&seen),
                    buffer: Vec::new(),
                }));
            }
        });
        upstreams
    }

    /// Answers every request with 200 and its own head as the body; bodies of requests are read.
    pub async fn echo() -> Self {
        Self::run(|mut far| async move {
            while let Some(request) = far.request().await {
                far.answer(&request).await;
            }
        })
        .await
    }

    /// Answers every request with these bytes.
    pub async fn saying(bytes: impl Into<Vec<u8>>) -> Self {
        let bytes = Arc::new(bytes.into());
        Self::run(move |mut far| {
            let bytes = Arc::clone(&bytes);
            async move {
                while far.request().await.is_some() {
                    far.say(bytes.as_slice()).await;
                }
            }
        })
        .await
    }
}

/// The upstream's end of a connection.
pub struct Far {
    pub stream: TcpStream,
    seen: Arc<Mutex<Vec<u8>>>,
    buffer: Vec<u8>,
}

impl Far {
    /// Reads one request, with its body. `None` at the end.
    pub async fn request(&mut self) -> Option<String> {
        loop {
            // Byte for byte, so that an end in the text is one in the buffer.
            let ascii = |b: &u8| if b.is_ascii() { char::from(*b) } else { '?' };
            let text: String = self.buffer.iter().map(ascii).collect();
            if let Some(end) = request_end(&text) {
                return Some(
                    String::from_utf8_lossy(&self.buffer.drain(..end).collect::<Vec<_>>())
                        .into_owned(),
                );
            }
            self.read().await?;
        }
    }

    /// All that was read and is not part of a request.
    pub fn said(&self) -> &[u8] {
        &self.buffer
    }

    /// Where what comes is noted.
    pub fn log(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.seen)
    }

    /// Reads once, whatever comes.
    pub async fn read(&mut self) -> Option<()> {
        let mut more = [0; 65536];
        let read = self.stream.read(&mut more).await.unwrap_or(0);
        self.seen.lock().extend_from_slice(&more[..read]);
        self.buffer.extend_from_slice(&more[..read]);
        (read > 0).then_some(())
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub async fn answer(&mut self, body: &str) {
        self.say(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
        .await;
    }
}

fn request_end(text: &str) -> Option<usize> {
    let head = text.find("\r\n\r\n")? + 4;
    let lower = text[..head].to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        return text[head..].find("0\r\n\r\n").map(|end| head + end + 5);
    }
    let length = lower
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
        .map_or(0, |length| length.parse::<usize>().unwrap());
    (text.len() >= head + length).then_some(head + length)
}

/// The status of a raw response.
pub fn status(response: &str) -> u16 {
    let code = response.split(' ').nth(1).unwrap_or_default();
    code.parse()
        .unwrap_or_else(|_| panic!("no status in {response:?}"))
}

/// The body of a raw response.
pub fn body(response: &str) -> &str {
    response.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
