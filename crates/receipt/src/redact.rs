//! What a receipt leaves out, and how long its texts may be. It happens before hashing, so that a
//! log verifies as it stands.

use std::borrow::Cow;

use crate::record::{Direction, Finding, Record};

/// What stands where content was left out.
const REDACTED: &str = "[redacted]";

/// The most findings that one receipt lists; a body of nothing but keys makes no longer line.
const FINDINGS_MAX: usize = 32;
/// The most decodings of a finding that are named, the outermost.
const VIA_MAX: usize = 8;
/// The most signals of a finding that are named, the weightiest.
const SIGNALS_MAX: usize = 8;
/// The longest name of a decoding or a signal.
const STEP_BYTES_MAX: usize = 32;
/// The longest of a finding's stable names.
const FINDING_BYTES_MAX: usize = 64;
/// The longest path; what is longer is cut.
const PATH_BYTES_MAX: usize = 2048;
/// The longest host: a DNS name's limit (RFC 1035 section 2.3.4), with room for an address's scope.
const HOST_BYTES_MAX: usize = 255;
/// The longest agent's or bottle's name, id, method, rule or stable name.
const NAME_BYTES_MAX: usize = 128;
/// The longest name of a surface that is shown. Longer ones may hide content.
const SURFACE_NAME_BYTES_MAX: usize = 40;

/// Which parts of a target are left out of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Withhold {
    /// The host, whole or up to its last two labels.
    pub host: HostCut,
    /// The path.
    pub path: bool,
}

/// How much of a host is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum HostCut {
    /// Nothing.
    #[default]
    Shown,
    /// All but the last two labels, which a finding does not touch.
    Labels,
    /// All of it.
    Whole,
}

impl Record<'_> {
    /// What this record leaves out. Give it to the record of the response, whose own findings do
    /// not tell that the request's URL held something.
    pub fn withhold(&self) -> Withhold {
        self.findings
            .iter()
            .fold(self.withhold, |sum, finding| Withhold {
                host: sum.host.max(host_cut(finding, &self.target.host)),
                path: sum.path || matches!(&*finding.surface, "url" | "path" | "query" | "tool"),
            })
    }

    /// Leaves out all content that triggered a finding, and cuts texts to their limits.
    pub(crate) fn redact(&mut self) {
        let withhold = self.withhold();
        if withhold.path || self.direction == Direction::Inbound {
            self.path = None;
        }
        match withhold.host {
            HostCut::Shown => {}
            HostCut::Labels => {
                let start = tail_start(&self.target.host);
                self.target.host = format!("*.{}", &self.target.host[start..]).into();
            }
            HostCut::Whole => self.target.host = REDACTED.into(),
        }
        self.findings.truncate(FINDINGS_MAX);
        self.findings.iter_mut().for_each(redact_finding);
        self.cut();
    }

    fn cut(&mut self) {
        cut(&mut self.id, NAME_BYTES_MAX);
        cut(&mut self.crossing, NAME_BYTES_MAX);
        cut(&mut self.target.scheme, NAME_BYTES_MAX);
        cut(&mut self.target.host, HOST_BYTES_MAX);
        let names = [
            &mut self.agent,
            &mut self.bottle,
            &mut self.answers,
            &mut self.method,
            &mut self.protocol,
            &mut self.reason,
            &mut self.rule,
            &mut self.ruling,
        ];
        for name in names.into_iter().flatten() {
            cut(name, NAME_BYTES_MAX);
        }
        if let Some(path) = &mut self.path {
            cut(path, PATH_BYTES_MAX);
        }
        if let Some(shadow) = &mut self.shadow {
            cut(&mut shadow.reason, NAME_BYTES_MAX);
            cut(&mut shadow.rule, NAME_BYTES_MAX);
        }
    }
}

/// How much of the host a finding touches. Random labels of a provider's domain are worth
/// knowing by that domain; a credential in a host is not worth any risk.
fn host_cut(finding: &Finding<'_>, host: &str) -> HostCut {
    if finding.surface != "host" {
        return HostCut::Shown;
    }
    let start = tail_start(host);
    let sensitive = matches!(&*finding.class, "secret" | "personal");
    if sensitive || start == 0 || finding.offset >= start as u64 {
        HostCut::Whole
    } else {
        HostCut::Labels
    }
}

/// Where the last two labels of a host start; 0 if it has no more than two.
fn tail_start(host: &str) -> usize {
    host.rmatch_indices('.').nth(1).map_or(0, |(at, _)| at + 1)
}

fn redact_finding(finding: &mut Finding<'_>) {
    finding.via.truncate(VIA_MAX);
    finding
        .via
        .iter_mut()
        .for_each(|step| cut(step, STEP_BYTES_MAX));
    finding.signals.truncate(SIGNALS_MAX);
    finding
        .signals
        .iter_mut()
        .for_each(|signal| cut(signal, STEP_BYTES_MAX));
    let names = [
        &mut finding.action,
        &mut finding.class,
        &mut finding.rule,
        &mut finding.severity,
        &mut finding.surface,
    ];
    names
        .into_iter()
        .for_each(|name| cut(name, FINDING_BYTES_MAX));
    if !is_plain_name(&finding.surface, &finding.name) {
        finding.name = REDACTED.into();
    }
}

/// Whether a surface's name can be shown. The agent chooses the names too, so a credential may
/// stand there; one has digits in it or, as a phrase, spaces. Of a path in a document, whoever made
/// it has left out the keys that are no words.
fn is_plain_name(surface: &str, name: &str) -> bool {
    let in_document = matches!(surface, "argument" | "message" | "definition");
    let digits = in_document || matches!(surface, "header" | "trailer");
    name.len() <= SURFACE_NAME_BYTES_MAX
        && name.bytes().all(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' | b'.' | b'[' | b']' => true,
            b'0'..=b'9' => digits,
            b'/' => in_document,
            _ => false,
        })
}

fn cut(text: &mut Cow<'_, str>, bytes_max: usize) {
    if text.len() <= bytes_max {
        return;
    }
    let end = (0..=bytes_max)
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0);
    match text {
        Cow::Borrowed(text) => *text = &text[..end],
        Cow::Owned(text) => text.truncate(end),
    }
}
