//! The HTTP cases of `cases/*.yaml` through the gate: a client on one side, an upstream on the
//! other, which must see what the verdict says.
//!
//! Names lead to the loopback, and URLs to the upstream's port in clear text; cases that this would
//! change are left to the engine's own tests, which run them all.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::reader::{Case, all};
use crate::socks;
use crate::support::{Setup, Stand, Upstreams, body, status};
use crate::ws::{self, Ws};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_http_case_has_its_verdict_through_the_gate() {
    run(Carrier::Forward).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_http_case_has_its_verdict_by_socks() {
    run(Carrier::Socks).await;
}

/// How a client reaches the gate.
#[derive(Debug, Clone, Copy)]
enum Carrier {
    /// As a proxy, by absolute URLs.
    Forward,
    /// By a SOCKS request for the name.
    Socks,
}

async fn run(carrier: Carrier) {
    let mut by_policy = BTreeMap::<(String, String), Vec<(Case, Place)>>::new();
    for case in all() {
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
            if let Some(fault) = case.fault(&stand, place, carrier).await {
                wrong.push(format!("{}: {fault}", case.name));
            }
        }
        count += cases.len();
        stand.finish().await;
    }
    assert!(
        wrong.is_empty(),
        "{} wrong of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 100, "only {count} cases were run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_case_that_a_message_can_carry_has_its_verdict_in_a_websocket() {
    let mut by_policy = BTreeMap::<(String, String), Vec<(Case, Place)>>::new();
    for case in all().into_iter().filter(Case::is_for_a_message) {
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
            if let Some(fault) = case.fault_in_message(&stand, place).await {
                wrong.push(format!("{}: {fault}", case.name));
            }
        }
        count += cases.len();
        stand.finish().await;
    }
    assert!(
        wrong.is_empty(),
        "{} wrong of {count}:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 100, "only {count} cases were run");
}

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
        let same_rule = self.rule.as_deref().is_none_or(|expected| expected == rule);
        let right = reason == self.expect && same_rule;
        let leak = self.leak(&up);
        leak.or_else(|| (!right).then(|| format!("not `{}` {:?}: {close}", self.expect, self.rule)))
    }

    /// What is wrong with the verdict, if anything is.
    async fn fault(&self, stand: &Stand, place: &Place, carrier: Carrier) -> Option<String> {
        let answer = match self.is_response() {
            true => self.message("HTTP/1.1 200 OK\r\n"),
            false => b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
        };
        let up = Upstreams::saying(answer).await;
        let authority = format!("{}:{}", place.host, up.port());
        let method = self.method.as_deref().unwrap_or("GET");
        let start = match carrier {
            Carrier::Forward => format!("http://{authority}"),
            Carrier::Socks => String::new(),
        };
        let line = format!(
            "{method} {start}{} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n",
            place.path
        );
        let request = match self.is_response() {
            true => format!("{line}\r\n").into_bytes(),
            false => self.message(&line),
        };
        let mut client = match carrier {
            Carrier::Forward => stand.client().await,
            Carrier::Socks => match socks::open(stand, &place.host, up.port()).await {
                Some(client) => client,
                None => return self.judge_tunnel(stand),
            },
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
        let same_rule = self.rule.as_deref().is_none_or(|expected| expected == rule);
        let right = reason == self.expect && same_rule;
        (!right).then(|| format!("not `{}` {:?}\n{response}", self.expect, self.rule))
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
