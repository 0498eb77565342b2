//! A crossing's line, written field by field.
//!
//! An exchange writes two while others wait, so this does without a serializer: it takes a third of
//! the time. What it writes is what the derived serializer writes for the same line. The verifier,
//! which reads a line and compares it with the serializer's, holds it to that.

use std::io::Write as _;

use super::{CrossingLine, INTEGER_MAX, encode};
use crate::hex::DIGITS_MAX;
use crate::record::{Decision, Direction, Target};

/// Room for a line with ordinary names and no findings.
const LINE_BYTES: usize = 768;

impl CrossingLine<'_> {
    /// Appends the canonical form of the line to `out`, without a line end.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.reserve(LINE_BYTES);
        let mut fields = Fields {
            start: out.len(),
            out,
        };
        fields.optional("agent", self.agent.as_deref());
        fields.optional("answers", self.answers.as_deref());
        fields.optional("bottle", self.bottle.as_deref());
        fields.number("bytes", self.bytes);
        fields.text("crossing", &self.crossing);
        fields.text("decision", decision(self.decision));
        fields.text("direction", direction(self.direction));
        fields.number("duration_us", self.duration_us);
        if !self.findings.is_empty() {
            fields.value("findings", &self.findings);
        }
        fields.text("id", &self.id);
        fields.text("kind", "crossing");
        fields.optional("method", self.method.as_deref());
        fields.optional("path", self.path.as_deref());
        fields.text("policy", self.policy.digits(&mut [0; DIGITS_MAX]));
        fields.text("prev", self.prev.digits(&mut [0; DIGITS_MAX]));
        fields.optional("reason", self.reason.as_deref());
        fields.optional("rule", self.rule.as_deref());
        fields.number("seq", self.seq);
        if let Some(shadow) = &self.shadow {
            fields.value("shadow", shadow);
        }
        fields.target(&self.target);
        self.time.with_text(|text| fields.text("time", text));
        if let Some(upstream) = self.upstream {
            fields.key("upstream");
            write!(fields.out, "\"{upstream}\"").expect("writing to memory does not fail");
        }
        fields.number("v", self.v);
        fields.end();
    }
}

/// An object being written. Every field begins with a comma; the first one becomes the brace.
struct Fields<'a> {
    start: usize,
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn key(&mut self, name: &'static str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn value<T: serde::Serialize>(&mut self, name: &'static str, value: &T) {
        self.key(name);
        encode(value, self.out);
    }

    fn optional(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(name, text);
        }
    }

    fn text(&mut self, name: &'static str, text: &str) {
        if !is_plain(text) {
            return self.value(name, &text);
        }
        self.key(name);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// An integer, at most [`INTEGER_MAX`].
    fn number(&mut self, name: &'static str, number: u64) {
        self.key(name);
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut left = number.min(INTEGER_MAX);
        loop {
            at -= 1;
            digits[at] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        self.out.extend_from_slice(&digits[at..]);
    }

    fn target(&mut self, target: &Target<'_>) {
        self.key("target");
        let mut fields = Fields {
            start: self.out.len(),
            out: self.out,
        };
        fields.text("host", &target.host);
        fields.number("port", target.port.into());
        fields.text("scheme", &target.scheme);
        fields.end();
    }

    fn end(self) {
        self.out[self.start] = b'{';
        self.out.push(b'}');
    }
}

/// Whether JSON writes the text as it is (RFC 8785, section 3.2.2.2).
fn is_plain(text: &str) -> bool {
    let escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    // Counting looks at all of it at once, where finding the first would look byte by byte.
    text.bytes().filter(|byte| escaped(*byte)).count() == 0
}

fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Allow => "allow",
        Decision::Block => "block",
    }
}

fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Outbound => "outbound",
        Direction::Inbound => "inbound",
    }
}
