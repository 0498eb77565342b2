//! The HTTP cases of `cases/*.yaml`, as raw bytes through this crate's reading of them: the
//! verdict must be what the engine's own tests demand.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use ::http::request::Parts;
use ::http::{Request, Response};
use carboy_engine::{
    Action, Answer, Crossing, CrossingKind, Decision, Engine, Fault, Host, Inspection, Scheme,
    Session, Step, Surface, SurfaceKind, Target, Time, Verdict,
};
use carboy_wire::http::{Origin, request_surfaces, request_target, response_surfaces};
use carboy_wire::http1::{FIELDS_MAX, Framing};

use crate::reader::{self, Case};

/// 2026-01-01T00:00Z.
const START: u64 = 1_767_225_600;

/// How a crossing ended: in a verdict, or in a fault before there was anything to judge.
enum End {
    Judged(Box<Verdict>),
    Refused(Fault),
}

#[test]
fn each_http_case_has_its_verdict_from_raw_bytes() {
    let (mut wrong, mut judged, mut engines) = (Vec::new(), 0, HashMap::new());
    for case in all() {
        let end = case.run(&mut engines);
        judged += usize::from(matches!(end, End::Judged(_)));
        if let Some(fault) = case.fault(&end) {
            wrong.push(format!("{}: {fault}", case.name));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(judged >= 100, "only {judged} cases were judged");
}

/// Every HTTP case of every file.
fn all() -> Vec<Case> {
    let mut cases = reader::all();
    cases.retain(|case| kind(case).is_some());
    cases
}

fn kind(case: &Case) -> Option<CrossingKind> {
    match &*case.crossing {
        "http-request" => Some(CrossingKind::HttpRequest),
        "http-response" => Some(CrossingKind::HttpResponse),
        _ => None,
    }
}

impl Case {
    fn is_ascii(&self) -> bool {
        self.url.as_ref().is_none_or(|url| url.is_ascii())
    }

    /// What is wrong with the end, if anything is.
    fn fault(&self, end: &End) -> Option<String> {
        let verdict = match end {
            // What HTTP cannot even say never reaches the engine.
            End::Refused(_) if self.expect == "shape" => return None,
            End::Refused(_) if self.expect != "allow" && !self.is_ascii() => return None,
            End::Refused(fault) => return Some(format!("{fault:?}, not `{}`", self.expect)),
            End::Judged(verdict) => verdict,
        };
        let (is, rule) = match &verdict.decision {
            Decision::Allow => ("allow", ""),
            Decision::Block(refusal) => (refusal.reason.as_str(), &*refusal.rule),
        };
        let warned = verdict
            .findings
            .iter()
            .filter(|finding| finding.action == Action::Warn);
        let warned: BTreeSet<_> = warned.map(|finding| finding.rule.to_string()).collect();
        let expected: BTreeSet<_> = self.findings.iter().cloned().collect();
        let same_rule = self.rule.as_deref().is_none_or(|expected| expected == rule);
        let right = is == self.expect && same_rule && warned == expected;
        (!right).then(|| {
            format!(
                "{is} {rule} {warned:?}, not `{}` {:?}",
                self.expect, self.rule
            )
        })
    }

    fn run(&self, engines: &mut HashMap<String, Arc<Engine>>) -> End {
        let engine = engines.entry(self.engine_key()).or_insert_with(|| {
            let (policy, known) = (self.parsed_policy(), self.knowledge());
            Arc::new(Engine::knowing(policy, [7; 32], known))
        });
        let session = Session::default();
        for index in 1..self.times {
            self.cross(engine, &session, index - 1);
        }
        self.cross(engine, &session, self.times - 1)
    }

    fn cross(&self, engine: &Arc<Engine>, session: &Session, index: u64) -> End {
        let elapsed = Duration::from_millis(index * self.every);
        let now = Time {
            elapsed,
            unix_seconds: START + elapsed.as_secs(),
        };
        let judge = Judge {
            engine,
            session,
            now,
        };
        if kind(self) == Some(CrossingKind::HttpResponse) {
            return End::Judged(judge.response(self).into());
        }
        let url = self.url_at(index).unwrap();
        let (bytes, origin) = self.request(&url, index);
        let head = match parse(&bytes) {
            Ok(head) => head,
            Err(fault) => return End::Refused(fault),
        };
        match request_target(&head, &origin) {
            Ok(target) => End::Judged(judge.request(self, &head, &target).into()),
            Err(fault) => End::Refused(fault),
        }
    }

    /// The request as a client would send it: to a proxy, or on an intercepted connection.
    fn request(&self, url: &str, index: u64) -> (Vec<u8>, Origin) {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let path = if path.is_empty() { "/" } else { path };
        let (origin, uri) = match fixed(scheme, authority) {
            // A fragment is the client's own (RFC 9110, section 4.2.5).
            Some(target) => (
                Origin::Fixed(target),
                path.split('#').next().unwrap_or(path),
            ),
            None => (Origin::Forward, url),
        };
        let method = self.method.as_deref().unwrap_or("GET");
        let mut head = format!("{method} {uri} HTTP/1.1\r\nHost: {authority}\r\n");
        for header in &self.headers {
            head.push_str(&Self::filled(header, index));
            head.push_str("\r\n");
        }
        let body = self.body();
        head.push_str(&format!("Content-Length: {}\r\n\r\n", body.len()));
        ([head.as_bytes(), &body].concat(), origin)
    }
}

/// Where an intercepted connection goes, as its SNI says: any scheme but clear-text HTTP.
fn fixed(scheme: &str, authority: &str) -> Option<Target> {
    if scheme != "https" {
        return None;
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().ok()?),
        _ => (authority, 443),
    };
    let host = Host::parse(host.rsplit('@').next()?).ok()?;
    Some(Target {
        scheme: Scheme::Https,
        host,
        port,
    })
}

/// The head as the guard and the library read it.
fn parse(bytes: &[u8]) -> Result<Parts, Fault> {
    let vetted = Framing::new().advance(bytes)?;
    assert_eq!(vetted, bytes.len(), "a whole request");
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    assert!(request.parse(bytes).unwrap().is_complete());
    let mut head = Request::builder()
        .method(request.method.unwrap())
        .uri(request.path.unwrap());
    for field in request.headers {
        head = head.header(field.name, field.value);
    }
    let head = head
        .body(())
        .map_err(|error| Fault::Malformed(error.to_string()))?;
    Ok(head.into_parts().0)
}

/// Who judges, for whom and when.
struct Judge<'a> {
    engine: &'a Arc<Engine>,
    session: &'a Session,
    now: Time,
}

impl Judge<'_> {
    fn request(&self, case: &Case, head: &Parts, target: &Target) -> Verdict {
        let crossing = Crossing {
            kind: CrossingKind::HttpRequest,
            target,
            method: Some(head.method.as_str()),
        };
        let (mut inspection, step) = self.engine.open(crossing, self.session, self.now);
        let mut go = !matches!(step, Step::Stop)
            && request_surfaces(head, target, |surface| self.push(&mut inspection, surface))
                .is_ok();
        if go {
            let mut step = inspection.connect(self.session, self.now);
            if let Step::Ask(_) = step {
                let public = || vec!["93.184.216.34".parse().unwrap()];
                let addresses = case.resolve.clone().unwrap_or_else(public);
                step = inspection.answer(Answer::Addresses(addresses), self.session, self.now);
            }
            go = matches!(step, Step::Connect(_));
        }
        self.finish(case, inspection, go)
    }

    fn response(&self, case: &Case) -> Verdict {
        let target = case.url.as_deref().and_then(|url| {
            let (scheme, rest) = url.split_once("://")?;
            fixed(scheme, rest.split('/').next()?)
        });
        let target = target.unwrap_or_else(|| fixed("https", "a.example").unwrap());
        let crossing = Crossing {
            kind: CrossingKind::HttpResponse,
            target: &target,
            method: case.method.as_deref(),
        };
        let mut head = Response::builder();
        for (name, value) in case
            .headers
            .iter()
            .filter_map(|header| header.split_once(": "))
        {
            head = head.header(name, value);
        }
        let head = head.body(()).unwrap().into_parts().0;
        let (mut inspection, step) = self.engine.open(crossing, self.session, self.now);
        let path = case.url.as_deref().map_or("/", reader::path);
        let go = !matches!(step, Step::Stop)
            && response_surfaces(&head, path, |surface| self.push(&mut inspection, surface))
                .is_ok();
        self.finish(case, inspection, go)
    }

    fn finish(&self, case: &Case, mut inspection: Inspection, go: bool) -> Verdict {
        let body = case.body();
        if go && !body.is_empty() {
            let surface = Surface {
                kind: SurfaceKind::Body,
                name: "",
                bytes: &body,
            };
            // The verdict says whether it stopped.
            let _ = self.push(&mut inspection, surface);
        }
        inspection.finish(self.session, self.now)
    }

    fn push(&self, inspection: &mut Inspection, surface: Surface<'_>) -> Result<(), ()> {
        match inspection.push(surface, self.session, self.now) {
            Step::Stop => Err(()),
            Step::Release(_) | Step::Hold => Ok(()),
            step @ (Step::Ask(_) | Step::Connect(_)) => panic!("{step:?} for a surface"),
        }
    }
}
