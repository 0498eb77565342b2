//! A crossing's line, written field by field.
//!
//! An exchange writes two while others wait, so this does without a serializer: it takes a third of
//! the time. What it writes is what the derived serializer writes for the same line. The verifier,
//! which reads a line and compares it with the serializer's, holds it to that.

use std::io::Write as _;

use super::{CrossingLine, INTEGER_MAX, encode};
use crate::hex::DIGITS_MAX;
use crate::record::{Decision, Direction, Target};

/// A field's name as it stands in a line, written in one go.
macro_rules! key {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}

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
        fields.optional(key!("agent"), self.agent.as_deref());
        fields.optional(key!("answers"), self.answers.as_deref());
        fields.optional(key!("bottle"), self.bottle.as_deref());
        fields.number(key!("bytes"), self.bytes);
        fields.text(key!("crossing"), &self.crossing);
        fields.plain(key!("decision"), decision(self.decision));
        fields.plain(key!("direction"), direction(self.direction));
        fields.number(key!("duration_us"), self.duration_us);
        if !self.findings.is_empty() {
            fields.value(key!("findings"), &self.findings);
        }
        fields.text(key!("id"), &self.id);
        fields.plain(key!("kind"), "crossing");
        fields.optional(key!("method"), self.method.as_deref());
        fields.optional(key!("path"), self.path.as_deref());
        fields.plain(key!("policy"), self.policy.digits(&mut [0; DIGITS_MAX]));
        fields.plain(key!("prev"), self.prev.digits(&mut [0; DIGITS_MAX]));
        fields.optional(key!("protocol"), self.protocol.as_deref());
        fields.optional(key!("reason"), self.reason.as_deref());
        fields.optional(key!("rule"), self.rule.as_deref());
        fields.optional(key!("ruling"), self.ruling.as_deref());
        fields.number(key!("seq"), self.seq);
        if let Some(shadow) = &self.shadow {
            fields.value(key!("shadow"), shadow);
        }
        fields.target(&self.target);
        self.time.with_text(|text| fields.plain(key!("time"), text));
        if let Some(upstream) = self.upstream {
            fields.key(key!("upstream"));
            write!(fields.out, "\"{upstream}\"").expect("writing to memory does not fail");
        }
        fields.number(key!("v"), self.v);
        fields.end();
    }
}

/// An object being written. Every field begins with a comma; the first one becomes the brace.
struct Fields<'a> {
    start: usize,
    out: &'a mut Vec<u8>,
}

impl Fields<'_> {
    fn key(&mut self, key: &'static str) {
        self.out.extend_from_slice(key.as_bytes());
    }

    fn value<T: serde::Serialize>(&mut self, key: &'static str, value: &T) {
        self.key(key);
        encode(value, self.out);
    }

    fn optional(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }

    fn text(&mut self, key: &'static str, text: &str) {
        if is_plain(text) {
            self.plain(key, text);
        } else {
            self.value(key, &text);
        }
    }

    /// A text that JSON writes as it is.
    fn plain(&mut self, key: &'static str, text: &str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// An integer, at most [`INTEGER_MAX`].
    fn number(&mut self, key: &'static str, number: u64) {
        self.key(key);
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
        self.key(key!("target"));
        let mut fields = Fields {
            start: self.out.len(),
            out: self.out,
        };
        fields.text(key!("host"), &target.host);
        fields.number(key!("port"), target.port.into());
        fields.text(key!("scheme"), &target.scheme);
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
