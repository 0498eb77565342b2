//! `carboy check`: a verdict without a crossing. Nothing is sent and no name is resolved.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, bail};
use carboy_engine::{
    Crossing, CrossingKind, Decision, Fault, Finding, Host, Inspection, Policy, Refusal, Scheme,
    Session, Step, Surface, SurfaceKind, Target, Time, Verdict,
};
use carboy_wire::http::{self as wire, Origin};
use serde_json::{Value, json};

use crate::assemble;
use crate::cli::CheckArgs;
use crate::known;
use crate::outcome::Outcome;
use crate::output::{self, Format, Paint};
use crate::policies;

/// The far end of a text that is judged on its own. Nobody can own it (RFC 6761, section 6.4).
const NOWHERE: &str = "check.invalid";
/// How much of a body is read and judged at once. The verdict does not depend on it.
const CHUNK_BYTES: usize = 256 * 1024;

/// Judges what the command line names.
pub(crate) fn run(args: &CheckArgs) -> Result<Outcome> {
    let chosen = policies::choose(args.policy.policy.as_deref())?;
    let verdict = match (&args.what.url, &args.what.text, &args.what.file) {
        (Some(dash), None, None) if dash == "-" => {
            body(chosen.policy, args.inbound, io::stdin().lock())?
        }
        (Some(url), None, None) if args.inbound => {
            bail!("a URL goes out; --inbound is for --text, --file and -, not for {url}")
        }
        (Some(url), None, None) => request(chosen.policy, url)?,
        (None, Some(text), None) => body(chosen.policy, args.inbound, text.as_bytes())?,
        (None, None, Some(file)) => body(chosen.policy, args.inbound, open(file)?)?,
        _ => bail!("give one of a URL, --text, --file or -"),
    };
    print(&verdict, args.format)?;
    let clean = matches!(verdict.decision, Decision::Allow) && verdict.shadow.is_none();
    Ok(if clean {
        Outcome::Clean
    } else {
        Outcome::Found
    })
}

fn open(path: &Path) -> Result<File> {
    File::open(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Judges a GET of a URL, just as the proxy does up to the point where it would resolve the name.
fn request(policy: Policy, url: &str) -> Result<Verdict> {
    let request = hyper::Request::get(url)
        .body(())
        .context("not a URL that a client can send")?;
    let (head, ()) = request.into_parts();
    match wire::request_target(&head, &Origin::Forward) {
        Ok(target) => {
            let crossing = Crossing {
                kind: CrossingKind::HttpRequest,
                target: &target,
                method: Some(head.method.as_str()),
            };
            let mut judge = Judge::open(policy, crossing)?;
            // A refusal ends the visit; the verdict has it.
            let _ = wire::request_surfaces(&head, &target, |surface| judge.push(surface));
            judge.connect();
            Ok(judge.finish())
        }
        Err(fault) => {
            let target = nowhere();
            let crossing = Crossing {
                kind: CrossingKind::HttpRequest,
                target: &target,
                method: None,
            };
            Ok(Judge::open(listing_nowhere(policy)?, crossing)?.fail(fault))
        }
    }
}

/// Judges a body by its content alone.
fn body(policy: Policy, inbound: bool, mut content: impl Read) -> Result<Verdict> {
    let target = nowhere();
    let (kind, method) = match inbound {
        true => (CrossingKind::HttpResponse, None),
        false => (CrossingKind::HttpRequest, Some("POST")),
    };
    let crossing = Crossing {
        kind,
        target: &target,
        method,
    };
    let mut judge = Judge::open(listing_nowhere(policy)?, crossing)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = content
            .read(&mut chunk)
            .context("cannot read the content")?;
        let surface = Surface {
            kind: SurfaceKind::Body,
            name: "",
            bytes: &chunk[..length],
        };
        if length == 0 || judge.push(surface).is_err() {
            return Ok(judge.finish());
        }
    }
}

fn nowhere() -> Target {
    Target {
        scheme: Scheme::Https,
        host: Host::Name(NOWHERE.into()),
        port: 443,
    }
}

/// The same policy with the made-up far end allowed, so that content is judged and not that host.
fn listing_nowhere(policy: Policy) -> Result<Policy> {
    let mut file: Value = serde_saphyr::from_str(&policy.to_yaml())?;
    let allow = file
        .pointer_mut("/egress/allow")
        .and_then(Value::as_array_mut);
    match allow {
        Some(hosts) if policy.mode() == carboy_engine::Mode::Strict => {
            hosts.push(NOWHERE.into());
            // JSON is YAML.
            Policy::parse(&file.to_string(), "policy").map_err(|error| anyhow!("{error}"))
        }
        _ => Ok(policy),
    }
}

/// One inspection with everything that it needs.
struct Judge {
    inspection: Inspection,
    session: Session,
    now: Time,
}

/// The inspection has its verdict.
struct Stopped;

impl Judge {
    fn open(policy: Policy, crossing: Crossing<'_>) -> Result<Self> {
        let wall = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let now = Time {
            elapsed: Duration::ZERO,
            unix_seconds: wall,
        };
        let session = Session::default();
        // What the first step says, the next ones and the verdict say again.
        let known = known::gather(&policy, &[])?.known;
        let (inspection, _) = assemble::engine(policy, known)?.open(crossing, &session, now);
        Ok(Self {
            inspection,
            session,
            now,
        })
    }

    fn push(&mut self, surface: Surface<'_>) -> Result<(), Stopped> {
        match self.inspection.push(surface, &self.session, self.now) {
            Step::Stop => Err(Stopped),
            Step::Release(_) | Step::Hold | Step::Ask(_) | Step::Connect(_) => Ok(()),
        }
    }

    /// Judges an address that a URL names. A name is not resolved.
    fn connect(&mut self) {
        // A refusal is in the verdict; what else it wants is for who goes on.
        let _ = self.inspection.connect(&self.session, self.now);
    }

    fn finish(self) -> Verdict {
        self.inspection.finish(&self.session, self.now)
    }

    fn fail(self, fault: Fault) -> Verdict {
        self.inspection.fail(fault, &self.session, self.now)
    }
}

fn print(verdict: &Verdict, format: Format) -> Result<()> {
    match format {
        Format::Json => output::json(&facts(verdict)),
        Format::Text => Ok(output::print(text(verdict, Paint::on(&io::stdout())))?),
    }
}

fn facts(verdict: &Verdict) -> Value {
    json!({
        "decision": if matches!(verdict.decision, Decision::Allow) { "allow" } else { "block" },
        "refusal": match &verdict.decision {
            Decision::Allow => Value::Null,
            Decision::Block(refusal) => refusal_facts(refusal),
        },
        "shadow": verdict.shadow.as_ref().map(refusal_facts),
        "findings": verdict.findings.iter().map(finding_facts).collect::<Vec<_>>(),
        "policy": verdict.policy.to_string(),
    })
}

fn refusal_facts(refusal: &Refusal) -> Value {
    json!({
        "reason": refusal.reason.as_str(),
        "message": refusal.message,
        "rule": refusal.rule,
        "locus": refusal.locus.as_ref().map(ToString::to_string),
        "remedy": refusal.remedy,
    })
}

fn finding_facts(finding: &Finding) -> Value {
    let mut facts = json!({
        "rule": finding.rule,
        "class": finding.class.as_str(),
        "severity": finding.severity.as_str(),
        "action": action(finding),
        "surface": finding.locus.surface.as_str(),
        "name": finding.locus.name,
        "offset": finding.locus.offset,
        "via": finding.locus.via,
        "fingerprint": finding.fingerprint.to_string(),
    });
    if let Some(score) = &finding.score {
        facts["score"] = score.points.into();
        facts["signals"] = json!(score.signals);
    }
    facts
}

fn action(finding: &Finding) -> &'static str {
    match finding.action {
        carboy_engine::Action::Warn => "warn",
        carboy_engine::Action::Redact => "redact",
        carboy_engine::Action::Strip => "strip",
        carboy_engine::Action::Rewrite => "rewrite",
        carboy_engine::Action::Block => "block",
    }
}

fn text(verdict: &Verdict, paint: Paint) -> String {
    let mut text = match (&verdict.decision, &verdict.shadow) {
        (Decision::Block(refusal), _) => {
            format!("{}  {}", paint.red("refused"), refusal_text(refusal))
        }
        (Decision::Allow, Some(refusal)) => {
            format!(
                "{}  {}",
                paint.yellow("would be refused"),
                refusal_text(refusal)
            )
        }
        (Decision::Allow, None) => format!("{}\n", paint.green("allowed")),
    };
    for finding in &verdict.findings {
        text.push_str(&format!(
            "  found  {} ({}, {}): {}; {}\n",
            finding.rule,
            finding.class.as_str(),
            finding.severity.as_str(),
            finding.locus,
            action(finding)
        ));
    }
    text
}

fn refusal_text(refusal: &Refusal) -> String {
    let mut text = format!("{}: {}\n", refusal.reason.as_str(), refusal.message);
    if !refusal.rule.is_empty() {
        text.push_str(&format!("  rule   {}\n", refusal.rule));
    }
    if let Some(locus) = &refusal.locus {
        text.push_str(&format!("  where  {locus}\n"));
    }
    for (index, line) in refusal.remedy.lines().enumerate() {
        let label = if index == 0 { "remedy" } else { "" };
        text.push_str(&format!("  {label:6} {line}\n"));
    }
    text
}
