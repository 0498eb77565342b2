//! Runs one case of the corpus through an inspection.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use crate::reader::Case;
use carboy_engine::{
    Answer, Crossing, CrossingKind, Decision, Engine, Host, Question, Scheme, Session, Step,
    Surface, SurfaceKind, Target, Time, Verdict,
};

/// 2026-01-01T00:00Z.
const START: u64 = 1_767_225_600;
const PUBLIC: &str = "93.184.216.34";

/// What came of one crossing.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) resolved: bool,
    /// Body bytes that were let go before the verdict.
    pub(crate) released: usize,
}

impl Case {
    /// The engine that judges this case; one for each policy, as its rules compile when first
    /// woken.
    pub(crate) fn engine(&self) -> Arc<Engine> {
        static ENGINES: LazyLock<Mutex<HashMap<String, Arc<Engine>>>> =
            LazyLock::new(Mutex::default);
        let mut engines = ENGINES.lock().expect("no other test panicked with it");
        if let Some(engine) = engines.get(&self.engine_key()) {
            return Arc::clone(engine);
        }
        let engine = Arc::new(Engine::knowing(
            self.parsed_policy(),
            [7; 32],
            self.knowledge(),
        ));
        engines.insert(self.engine_key(), Arc::clone(&engine));
        engine
    }

    /// Runs the case with its body in these pieces.
    pub(crate) fn run(&self, engine: &Arc<Engine>, pieces: &[&[u8]]) -> Outcome {
        let session = Session::default();
        for index in 1..self.times {
            let outcome = self.cross(engine, &session, pieces, index - 1);
            assert!(
                matches!(outcome.verdict.decision, Decision::Allow),
                "{}: crossing {index} of {}: {:?}",
                self.name,
                self.times,
                outcome.verdict
            );
        }
        self.cross(engine, &session, pieces, self.times - 1)
    }

    fn cross(
        &self,
        engine: &Arc<Engine>,
        session: &Session,
        pieces: &[&[u8]],
        index: u64,
    ) -> Outcome {
        let elapsed = Duration::from_millis(index * self.every);
        let now = Time {
            elapsed,
            unix_seconds: START + elapsed.as_secs(),
        };
        let target = self.target_at(index);
        let crossing = Crossing {
            kind: self.kind(),
            target: &target,
            method: self.method.as_deref(),
        };
        let (mut inspection, mut step) = engine.open(crossing, session, now);
        let (mut resolved, mut released) = (false, 0);
        let url = self.url_at(index);
        for (kind, name, bytes) in self.surfaces(url.as_deref(), &target, index) {
            if matches!(step, Step::Stop) {
                break;
            }
            let surface = Surface {
                kind,
                name: &name,
                bytes: &bytes,
            };
            step = inspection.push(surface, session, now);
        }
        let dials = !matches!(
            self.kind(),
            CrossingKind::DnsQuery
                | CrossingKind::HttpResponse
                | CrossingKind::TcpResponse
                | CrossingKind::WsMessage
                | CrossingKind::WsReply
        );
        if dials && !matches!(step, Step::Stop) {
            step = inspection.connect(session, now);
            if let Step::Ask(Question::Resolve(_)) = step {
                resolved = true;
                step = inspection.answer(Answer::Addresses(self.addresses()), session, now);
            }
            assert!(
                matches!(step, Step::Connect(_) | Step::Stop),
                "{}: {step:?}",
                self.name
            );
        }
        for piece in pieces {
            if matches!(step, Step::Stop) {
                break;
            }
            let surface = Surface {
                kind: self.stream_kind(),
                name: "",
                bytes: piece,
            };
            for next in [inspection.push(surface, session, now), inspection.lull(now)] {
                if let Step::Release(bytes) = next {
                    released += bytes;
                }
                step = next;
            }
        }
        Outcome {
            verdict: inspection.finish(session, now),
            resolved,
            released,
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        let default = || vec![PUBLIC.parse().expect("an address")];
        self.resolve.clone().unwrap_or_else(default)
    }

    fn kind(&self) -> CrossingKind {
        match self.crossing.as_str() {
            "http-request" => CrossingKind::HttpRequest,
            "http-response" => CrossingKind::HttpResponse,
            "dns-query" => CrossingKind::DnsQuery,
            "tunnel" => CrossingKind::Tunnel,
            "tcp" => CrossingKind::TcpConnection,
            "tcp-response" => CrossingKind::TcpResponse,
            "ws-message" => CrossingKind::WsMessage,
            "ws-reply" => CrossingKind::WsReply,
            "mcp-request" => CrossingKind::McpRequest,
            "mcp-response" => CrossingKind::McpResponse,
            other => panic!("{}: no crossing {other}", self.name),
        }
    }

    fn stream_kind(&self) -> SurfaceKind {
        match self.kind() {
            CrossingKind::TcpConnection | CrossingKind::TcpResponse | CrossingKind::Tunnel => {
                SurfaceKind::Stream
            }
            CrossingKind::DnsQuery | CrossingKind::HttpRequest | CrossingKind::HttpResponse => {
                SurfaceKind::Body
            }
            CrossingKind::WsMessage | CrossingKind::WsReply => SurfaceKind::WsMessage,
            CrossingKind::McpRequest => SurfaceKind::Argument,
            CrossingKind::McpResponse => SurfaceKind::Message,
        }
    }

    fn target_at(&self, index: u64) -> Target {
        if let Some(url) = self.url_at(index) {
            let (scheme, rest) = url.split_once("://").expect("an absolute URL");
            let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
            let authority = authority.rsplit('@').next().unwrap_or_default();
            let (scheme, port) = match scheme {
                "http" => (Scheme::Http, 80),
                _ => (Scheme::Https, 443),
            };
            return self.target_of(scheme, authority, port);
        }
        let text = self
            .target
            .as_deref()
            .unwrap_or_else(|| panic!("{}: no target", self.name));
        let text = Self::filled(text, index);
        match self.kind() {
            CrossingKind::DnsQuery => self.target_of(Scheme::Dns, &text, 53),
            CrossingKind::TcpConnection | CrossingKind::TcpResponse => {
                self.target_of(Scheme::Tcp, &text, 0)
            }
            CrossingKind::Tunnel
            | CrossingKind::HttpRequest
            | CrossingKind::HttpResponse
            | CrossingKind::WsMessage
            | CrossingKind::WsReply => self.target_of(Scheme::Tls, &text, 443),
            CrossingKind::McpRequest | CrossingKind::McpResponse => {
                self.target_of(Scheme::Mcp, &text, 0)
            }
        }
    }

    fn target_of(&self, scheme: Scheme, authority: &str, default: u16) -> Target {
        let bracketed = authority.starts_with('[');
        let split = authority
            .rsplit_once(':')
            .filter(|(_, port)| !bracketed || !port.contains(']'));
        let (host, port) = match split {
            Some((host, port)) => (host, port.parse().expect("a port")),
            None => (authority, default),
        };
        let host =
            Host::parse(host).unwrap_or_else(|error| panic!("{}: {host}: {error}", self.name));
        Target { scheme, host, port }
    }

    fn surfaces(
        &self,
        url: Option<&str>,
        target: &Target,
        index: u64,
    ) -> Vec<(SurfaceKind, String, Vec<u8>)> {
        let mut surfaces = Vec::new();
        let mut push = |kind, name: &str, bytes: &str| {
            surfaces.push((kind, name.to_owned(), bytes.as_bytes().to_vec()));
        };
        match (url, self.kind()) {
            (Some(url), CrossingKind::HttpRequest) => {
                push(SurfaceKind::Host, "", &target.host.to_string());
                push(SurfaceKind::Url, "", url);
                let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
                let path_and_query = rest.find('/').map_or("/", |at| &rest[at..]);
                let (path, query) = path_and_query
                    .split_once('?')
                    .unwrap_or((path_and_query, ""));
                push(SurfaceKind::Path, "", path);
                for item in query.split('&').filter(|item| !item.is_empty()) {
                    let (key, value) = item.split_once('=').unwrap_or(("", item));
                    push(SurfaceKind::Query, key, value);
                }
            }
            (
                Some(url),
                CrossingKind::HttpResponse | CrossingKind::WsMessage | CrossingKind::WsReply,
            ) => {
                push(SurfaceKind::Path, "", crate::reader::path(url));
            }
            (None, CrossingKind::DnsQuery) => {
                push(
                    SurfaceKind::Host,
                    "",
                    &Self::filled(self.target.as_deref().unwrap_or_default(), index),
                );
            }
            _ => {}
        }
        for header in &self.headers {
            let (name, value) = header.split_once(": ").expect("`name: value`");
            push(SurfaceKind::Header, name, &Self::filled(value, index));
        }
        surfaces
    }
}
