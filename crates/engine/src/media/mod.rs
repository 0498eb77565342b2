//! Content that is not what it says, or that would run where it is shown: the rules of class `media`,
//! for what comes in as an HTTP response. They have no pattern: what follows the bytes says so.

mod drawing;
mod sniff;

use std::ops::Range;

use crate::finding::{Class, Severity};
use crate::rules::{Origin, Rule, RuleDirection};
use drawing::{Active, Reader};
use sniff::Sniffed;

/// What is looked at to tell what content is: as much as browsers do (WHATWG MIME Sniffing, section 5.2).
const SNIFF_BYTES: usize = 1445;

/// The longest content type that is kept; longer ones are no honest ones.
const TYPE_BYTES_MAX: usize = 128;

const fn rule(id: &'static str, title: &'static str, severity: Severity) -> Rule {
    Rule {
        id,
        title,
        class: Class::Media,
        severity,
        direction: RuleDirection::Inbound,
        origin: Origin::Builtin,
        home: &[],
        home_in: &[],
        seen_in: &[],
        shape: None,
        checks: &[],
    }
}

static SCRIPT: Rule = rule("svg-script", "Script in an SVG drawing", Severity::Medium);
static FOREIGN: Rule = rule(
    "svg-foreign",
    "Other content embedded in an SVG drawing",
    Severity::Medium,
);
static EXTERNAL: Rule = rule(
    "svg-external",
    "A reference out of an SVG drawing",
    Severity::Medium,
);
static UNREADABLE: Rule = rule(
    "svg-unreadable",
    "An SVG drawing in a form that is not read",
    Severity::Medium,
);
static PAGE: Rule = rule(
    "disguised-page",
    "A page that passes for a picture, a sound or a font",
    Severity::High,
);
static PROGRAM: Rule = rule(
    "disguised-program",
    "A program that passes for a picture, a sound or a font",
    Severity::High,
);
static POLYGLOT: Rule = rule(
    "polyglot",
    "A picture that is a script or a page as well",
    Severity::High,
);
static MISMATCH: Rule = rule(
    "content-mismatch",
    "Content that is not of its content type",
    Severity::Low,
);

/// Every rule.
pub(crate) fn rules() -> impl Iterator<Item = &'static Rule> {
    [
        &SCRIPT,
        &FOREIGN,
        &EXTERNAL,
        &UNREADABLE,
        &PAGE,
        &PROGRAM,
        &POLYGLOT,
        &MISMATCH,
    ]
    .into_iter()
}

/// What a response's head says of its content.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    /// The content type without its parameters, in lower case; none where there is none.
    kind: Option<Box<str>>,
    /// The content's length.
    length: Option<u64>,
    /// Whether it is a part that does not begin where the whole does.
    is_rest: bool,
}

/// Something seen in content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) rule: &'static Rule,
    pub(crate) range: Range<u64>,
}

impl Declared {
    /// Hears a field of the head.
    pub(crate) fn hear(&mut self, name: &str, value: &[u8]) {
        let text = || std::str::from_utf8(value).ok().map(str::trim);
        if name.eq_ignore_ascii_case("content-type") {
            let value = &value[..value.len().min(TYPE_BYTES_MAX)];
            let kind = value.split(|byte| *byte == b';').next();
            let kind = kind.unwrap_or_default().trim_ascii();
            self.kind = Some(String::from_utf8_lossy(kind).to_ascii_lowercase().into());
        } else if name.eq_ignore_ascii_case("content-length") {
            self.length = text().and_then(|text| text.parse().ok());
        } else if name.eq_ignore_ascii_case("content-range") {
            let is_first = text().is_some_and(|text| text.starts_with("bytes 0-"));
            self.is_rest = !is_first;
        }
    }

    pub(crate) fn kind(&self) -> Option<&str> {
        self.kind.as_deref()
    }

    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it says that it is a picture, a sound, a film or a font, and no drawing.
    fn is_binary_media(&self) -> bool {
        const MEDIA: [&str; 4] = ["image/", "audio/", "video/", "font/"];
        self.kind().is_some_and(|kind| {
            MEDIA.iter().any(|own| kind.starts_with(own)) && !kind.contains("svg")
        })
    }

    fn is_drawing(&self) -> bool {
        self.kind().is_some_and(|kind| kind.contains("svg"))
    }

    /// Whether a client may take it for a drawing: where it says so, and where it says nothing that
    /// tells.
    pub(crate) fn may_be_drawing(&self) -> bool {
        match self.kind() {
            None | Some("" | "application/octet-stream" | "text/plain") => true,
            Some(kind) => kind.contains("svg") || (kind.contains("xml") && !kind.contains("xhtml")),
        }
    }
}

/// Follows the decoded bytes of one response's body.
#[derive(Debug)]
pub(crate) struct Watch {
    declared: Declared,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The beginning of the content, which does not tell yet what it is.
    Undecided(Vec<u8>),
    Drawing(Box<Reader>),
    /// Nothing more is to be seen in it.
    Done,
}

impl Watch {
    /// Watches content, where there is reason to.
    pub(crate) fn of(declared: &Declared) -> Option<Self> {
        let state = match (declared.is_rest, declared.is_drawing()) {
            (true, true) => State::Drawing(Box::default()),
            (true, false) => return None,
            (false, _) => State::Undecided(Vec::new()),
        };
        (declared.is_binary_media() || declared.may_be_drawing()).then(|| Self {
            declared: declared.clone(),
            state,
        })
    }

    /// Whether nothing may go on, since what it is is not known yet.
    pub(crate) fn is_undecided(&self) -> bool {
        matches!(&self.state, State::Undecided(begun) if !begun.is_empty())
    }

    /// Takes the next bytes.
    pub(crate) fn feed(&mut self, bytes: &[u8]) -> Vec<Seen> {
        match &mut self.state {
            State::Done => Vec::new(),
            State::Drawing(reader) => {
                reader.feed(bytes);
                self.drawn()
            }
            State::Undecided(begun) => {
                begun.extend_from_slice(bytes);
                let is_enough = begun.len() >= SNIFF_BYTES
                    || (!self.declared.is_binary_media() && !sniff::may_be_markup(begun));
                match is_enough {
                    true => self.decide(),
                    false => Vec::new(),
                }
            }
        }
    }

    /// Says that no more comes.
    pub(crate) fn end(&mut self) -> Vec<Seen> {
        match &mut self.state {
            State::Done => Vec::new(),
            State::Drawing(reader) => {
                reader.end();
                self.drawn()
            }
            State::Undecided(_) => {
                let mut seen = self.decide();
                seen.extend(self.end());
                seen
            }
        }
    }

    fn decide(&mut self) -> Vec<Seen> {
        let State::Undecided(begun) = std::mem::replace(&mut self.state, State::Done) else {
            return Vec::new();
        };
        if begun.is_empty() {
            return Vec::new();
        }
        if self.declared.is_binary_media() {
            let head = &begun[..begun.len().min(SNIFF_BYTES)];
            return pretence(head)
                .map(|rule| Seen {
                    rule,
                    range: 0..head.len() as u64,
                })
                .into_iter()
                .collect();
        }
        match (sniff::may_be_markup(&begun), self.declared.is_drawing()) {
            (true, _) => {
                self.state = State::Drawing(Box::default());
                self.feed(&begun)
            }
            // Some drawing in UTF-16, or compressed by itself.
            (false, true) => vec![Seen {
                rule: &UNREADABLE,
                range: 0..begun.len() as u64,
            }],
            (false, false) => Vec::new(),
        }
    }

    /// What was seen in a drawing; nothing of what does not say that it is one, until its first element does.
    fn drawn(&mut self) -> Vec<Seen> {
        let State::Drawing(reader) = &mut self.state else {
            return Vec::new();
        };
        let is_drawing = match self.declared.is_drawing() {
            true => Some(true),
            false => reader.is_drawing(),
        };
        match is_drawing {
            Some(true) => seen(reader.take()),
            Some(false) => {
                self.state = State::Done;
                Vec::new()
            }
            None => Vec::new(),
        }
    }
}

/// What content that says it is a picture, a sound, a film or a font is instead, or as well.
fn pretence(head: &[u8]) -> Option<&'static Rule> {
    match sniff::of(head)? {
        Sniffed::Page => Some(&PAGE),
        Sniffed::Program => Some(&PROGRAM),
        Sniffed::Picture if sniff::holds_script(head) => Some(&POLYGLOT),
        Sniffed::Picture => None,
        Sniffed::Other => Some(&MISMATCH),
    }
}

/// The active parts of a drawing, each with what is to be cut to be rid of it; none where content is no
/// drawing, or one that is not read.
pub(crate) fn active_parts(declared: &Declared, content: &[u8]) -> Vec<Seen> {
    if !declared.may_be_drawing() || !sniff::may_be_markup(content) {
        return Vec::new();
    }
    let mut reader = Reader::default();
    reader.feed(content);
    reader.end();
    match declared.is_drawing() || reader.is_drawing() == Some(true) {
        true => seen(reader.cuts()),
        false => Vec::new(),
    }
}

fn seen(active: Vec<(Active, Range<u64>)>) -> Vec<Seen> {
    let rule = |active| match active {
        Active::Script => &SCRIPT,
        Active::Foreign => &FOREIGN,
        Active::External => &EXTERNAL,
    };
    let seen = active.into_iter().map(|(active, range)| Seen {
        rule: rule(active),
        range,
    });
    seen.collect()
}

#[cfg(test)]
mod tests;
