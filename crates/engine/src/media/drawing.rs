//! Reads an SVG drawing as it comes, for what would run or be fetched where it is shown: scripts, event
//! handlers, embedded pages, references to elsewhere (SVG 2, sections 2.2, 15 and 16; XML 1.0, section 2).

use std::ops::Range;

use memchr::memmem;

/// A part of a drawing that is not just drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Active {
    Script,
    Foreign,
    External,
}

/// What is kept of a name, of a value's beginning, and of what a declaration or a style says. Of the
/// rest nothing more is told.
const NAME_BYTES_MAX: usize = 64;
const VALUE_BYTES_MAX: usize = 256;
const TEXT_BYTES_MAX: usize = 16 * 1024;

/// Parts of one drawing that are told apart. More are told as one, to the drawing's end.
const PARTS_MAX: usize = 1024;

/// Follows a drawing's bytes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    at: u64,
    state: State,
    /// Where the tag or the declaration at hand begins.
    start: u64,
    tag: Tag,
    /// The element that goes as a whole, and how many of its name are open within it.
    within: Option<(Active, u64, Box<[u8]>, u32)>,
    /// What the style at hand says.
    style: Option<Vec<u8>>,
    style_start: u64,
    /// What was seen since it was last asked.
    fresh: Vec<(Active, Range<u64>)>,
    cuts: Vec<(Active, Range<u64>)>,
}

#[derive(Debug, Default)]
struct Tag {
    name: Vec<u8>,
    is_end: bool,
    is_empty: bool,
    attribute: Vec<u8>,
    value: Vec<u8>,
    /// Where the attribute at hand begins.
    start: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After `<`.
    Open,
    Name,
    /// Between attributes.
    Between,
    Attribute,
    /// After an attribute's name.
    Equals,
    Value(Option<u8>),
    /// `<!`, as long as it is not told what of.
    Declaration,
    Comment,
    Section,
    /// `<!DOCTYPE`, and whether within its brackets.
    Doctype(bool),
    Instruction,
}

impl Reader {
    /// Takes the next bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.take_byte(*byte);
            self.at += 1;
        }
    }

    /// Says that no more comes: what is open goes to the end.
    pub(super) fn end(&mut self) {
        if let Some((active, start, ..)) = self.within.take() {
            self.cuts.push((active, start..self.at));
        }
        self.end_style(self.at);
    }

    /// What was seen since it was last asked.
    pub(super) fn take(&mut self) -> Vec<(Active, Range<u64>)> {
        std::mem::take(&mut self.fresh)
    }

    /// What is to be cut of a drawing that has ended, apart from each other.
    pub(super) fn cuts(mut self) -> Vec<(Active, Range<u64>)> {
        self.cuts.sort_by_key(|(_, range)| range.start);
        let mut apart: Vec<(Active, Range<u64>)> = Vec::new();
        for (active, range) in self.cuts {
            match apart.last_mut() {
                Some((_, last)) if range.start < last.end => last.end = last.end.max(range.end),
                Some(_) | None => apart.push((active, range)),
            }
        }
        apart
    }

    fn take_byte(&mut self, byte: u8) {
        match self.state {
            State::Text => self.text(byte),
            State::Open => self.open(byte),
            State::Name => self.name(byte),
            State::Between => self.between(byte),
            State::Attribute => self.attribute(byte),
            State::Equals => self.equals(byte),
            State::Value(quote) => self.value(byte, quote),
            State::Declaration => self.declaration(byte),
            State::Comment => self.until(byte, b"-->", State::Text),
            State::Section => self.section(byte),
            State::Doctype(is_within) => self.doctype(byte, is_within),
            State::Instruction => self.instruction(byte),
        }
    }

    fn text(&mut self, byte: u8) {
        if byte == b'<' {
            self.start = self.at;
            self.tag = Tag::default();
            self.state = State::Open;
        } else if let Some(style) = &mut self.style
            && style.len() < TEXT_BYTES_MAX
        {
            style.push(byte);
        }
    }

    fn open(&mut self, byte: u8) {
        self.state = match byte {
            b'/' if !self.tag.is_end => {
                self.tag.is_end = true;
                State::Open
            }
            b'!' => State::Declaration,
            b'?' => State::Instruction,
            byte if byte.is_ascii_alphabetic() || byte >= 0x80 || byte == b'_' => {
                self.tag.name.push(byte);
                State::Name
            }
            _ => State::Text,
        };
    }

    fn name(&mut self, byte: u8) {
        match byte {
            b'>' => self.end_tag(),
            b'/' => {
                self.tag.is_empty = true;
                self.state = State::Between;
            }
            byte if byte.is_ascii_whitespace() => self.state = State::Between,
            byte if self.tag.name.len() < NAME_BYTES_MAX => self.tag.name.push(byte),
            _ => {}
        }
    }

    fn between(&mut self, byte: u8) {
        match byte {
            b'>' => self.end_tag(),
            b'/' => self.tag.is_empty = true,
            byte if byte.is_ascii_whitespace() => {}
            byte => {
                self.tag.is_empty = false;
                self.tag.attribute = vec![byte];
                self.tag.value.clear();
                self.tag.start = self.at;
                self.state = State::Attribute;
            }
        }
    }

    fn attribute(&mut self, byte: u8) {
        match byte {
            b'=' => self.state = State::Equals,
            b'>' => self.end_tag(),
            byte if byte.is_ascii_whitespace() => self.state = State::Equals,
            byte if self.tag.attribute.len() < NAME_BYTES_MAX => self.tag.attribute.push(byte),
            _ => {}
        }
    }

    fn equals(&mut self, byte: u8) {
        match byte {
            b'=' => {}
            byte if byte.is_ascii_whitespace() => {}
            b'"' | b'\'' => self.state = State::Value(Some(byte)),
            b'>' => self.end_tag(),
            byte => {
                self.tag.value.push(byte);
                self.state = State::Value(None);
            }
        }
    }

    fn value(&mut self, byte: u8, quote: Option<u8>) {
        match quote {
            Some(quote) if byte == quote => {
                self.end_attribute(self.at + 1);
                self.state = State::Between;
            }
            None if byte.is_ascii_whitespace() => {
                self.end_attribute(self.at);
                self.state = State::Between;
            }
            None if byte == b'>' => {
                self.end_attribute(self.at);
                self.end_tag();
            }
            Some(_) | None if self.tag.value.len() < VALUE_BYTES_MAX => self.tag.value.push(byte),
            Some(_) | None => {}
        }
    }

    fn declaration(&mut self, byte: u8) {
        let said = &mut self.tag.value;
        said.push(byte);
        self.state = match &said[..] {
            b"--" => State::Comment,
            b"[CDATA[" => State::Section,
            own if b"--".starts_with(own) || b"[CDATA[".starts_with(own) => State::Declaration,
            _ => State::Doctype(byte == b'['),
        };
        match self.state {
            State::Comment | State::Section => self.tag.value.clear(),
            State::Doctype(_) if byte == b'>' => self.state = State::Text,
            _ => {}
        }
    }

    /// Passes over bytes up to a mark of theirs.
    fn until(&mut self, byte: u8, mark: &[u8], next: State) {
        let said = &mut self.tag.value;
        if said.len() == mark.len() {
            said.remove(0);
        }
        said.push(byte);
        if said[..] == *mark {
            said.clear();
            self.state = next;
        }
    }

    /// A section is text that needs no escapes.
    fn section(&mut self, byte: u8) {
        if let Some(style) = &mut self.style
            && style.len() < TEXT_BYTES_MAX
        {
            style.push(byte);
        }
        self.until(byte, b"]]>", State::Text);
    }

    fn doctype(&mut self, byte: u8, is_within: bool) {
        let said = &mut self.tag.value;
        if said.len() < TEXT_BYTES_MAX {
            said.push(byte);
        }
        match (byte, is_within) {
            (b'[', false) => self.state = State::Doctype(true),
            (b']', true) => self.state = State::Doctype(false),
            (b'>', false) => {
                // An entity's text can be anything, and its file any file.
                if memmem::find(&self.tag.value, b"<!ENTITY").is_some() {
                    self.note(Active::Script, self.start..self.at + 1);
                }
                self.state = State::Text;
            }
            _ => {}
        }
    }

    fn instruction(&mut self, byte: u8) {
        let said = &mut self.tag.name;
        if said.len() < NAME_BYTES_MAX {
            said.push(byte);
        }
        let is_style = said.starts_with(b"xml-stylesheet");
        self.until(byte, b"?>", State::Text);
        if self.state == State::Text && is_style {
            self.note(Active::External, self.start..self.at + 1);
        }
    }

    fn end_attribute(&mut self, end: u64) {
        let range = self.tag.start..end;
        if let Some(active) = self.tag.active_attribute() {
            self.note(active, range);
        }
    }

    fn end_tag(&mut self) {
        self.state = State::Text;
        let name: Box<[u8]> = local(&self.tag.name).to_ascii_lowercase().into();
        let end = self.at + 1;
        if &*name == b"style" {
            self.end_style(self.start);
            if !self.tag.is_end && !self.tag.is_empty {
                (self.style, self.style_start) = (Some(Vec::new()), end);
            }
        }
        match &mut self.within {
            Some((active, start, own, depth)) if *own == name => {
                match (self.tag.is_end, self.tag.is_empty) {
                    (true, _) if *depth == 0 => {
                        let whole = (*active, *start..end);
                        self.within = None;
                        self.cuts.push(whole);
                    }
                    (true, _) => *depth -= 1,
                    (false, false) => *depth = depth.saturating_add(1),
                    (false, true) => {}
                }
            }
            Some(_) => {}
            None => self.begin_element(name, end),
        }
    }

    fn begin_element(&mut self, name: Box<[u8]>, end: u64) {
        let Some(active) = active_element(&name).filter(|_| !self.tag.is_end) else {
            return;
        };
        let range = self.start..end;
        match self.tag.is_empty {
            true => self.note(active, range),
            false => {
                self.fresh.push((active, range));
                self.within = Some((active, self.start, name, 0));
            }
        }
    }

    fn end_style(&mut self, end: u64) {
        let Some(style) = self.style.take() else {
            return;
        };
        if is_external_style(&style) {
            self.note(Active::External, self.style_start..end);
        }
    }

    fn note(&mut self, active: Active, range: Range<u64>) {
        if self.cuts.len() >= PARTS_MAX {
            self.within
                .get_or_insert_with(|| (active, range.start, Box::default(), 0));
            return;
        }
        self.fresh.push((active, range.clone()));
        self.cuts.push((active, range));
    }
}

impl Tag {
    fn active_attribute(&self) -> Option<Active> {
        if self.is_end {
            return None;
        }
        let name = local(&self.attribute).to_ascii_lowercase();
        let is_handler = name.len() > 3
            && name.starts_with(b"on")
            && name[2..].iter().all(u8::is_ascii_alphabetic);
        let value = plain(&self.value);
        let begins = |schemes: &[&str]| schemes.iter().any(|own| value.starts_with(own.as_bytes()));
        let is_set = name == b"attributename" && (value.starts_with(b"on") || value == b"href");
        if is_handler || is_set || runs(&value) {
            return Some(Active::Script);
        }
        let is_link = local(&self.name).eq_ignore_ascii_case(b"a");
        let is_reference = matches!(&name[..], b"href" | b"src");
        let leads_out = begins(&["http:", "https:", "//", "ftp:", "file:"]);
        let is_external = (is_reference && !is_link && leads_out)
            || (name != b"xmlns" && is_external_style(&self.value));
        is_external.then_some(Active::External)
    }
}

/// Whether a value is a program. In a list (`values` of an animation) it may be any.
fn runs(value: &[u8]) -> bool {
    const SCHEMES: [&[u8]; 4] = [
        b"javascript:",
        b"vbscript:",
        b"data:text/html",
        b"data:image/svg",
    ];
    let mut values = value.split(|byte| *byte == b';');
    let is_one = |value: &[u8]| SCHEMES.iter().any(|own| value.starts_with(own));
    value.contains(&b':') && (is_one(value) || values.any(is_one))
}

fn active_element(name: &[u8]) -> Option<Active> {
    match name {
        b"script" | b"handler" | b"listener" => Some(Active::Script),
        b"foreignobject" | b"iframe" | b"embed" | b"object" => Some(Active::Foreign),
        _ => None,
    }
}

/// Whether a style fetches something from elsewhere (CSS Values 4, section 4.5).
fn is_external_style(style: &[u8]) -> bool {
    let lower = style.to_ascii_lowercase();
    if memmem::find(&lower, b"@import").is_some() {
        return true;
    }
    memmem::find_iter(&lower, b"url(").any(|at| {
        let rest = &lower[at + 4..];
        let is_before = |byte: &&u8| byte.is_ascii_whitespace() || b"\"'".contains(byte);
        let begun = rest.iter().take_while(is_before).count();
        let schemes: [&[u8]; 4] = [b"http:", b"https:", b"//", b"ftp:"];
        schemes.iter().any(|own| rest[begun..].starts_with(own))
    })
}

/// A name without its prefix (Namespaces in XML, section 4).
fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| *byte == b':').next().unwrap_or_default()
}

/// A value in lower case, its references to characters undone, without blanks and controls: as a URL is
/// read (WHATWG URL, section 4.4).
fn plain(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let byte = match reference(rest).filter(|_| *first == b'&') {
            Some((byte, len)) => {
                rest = &rest[len..];
                byte
            }
            None => *first,
        };
        if byte > b' ' {
            plain.push(byte.to_ascii_lowercase());
        }
    }
    plain
}

/// The ASCII character that a reference after `&` stands for, and the reference's length.
fn reference(rest: &[u8]) -> Option<(u8, usize)> {
    const LONGEST: usize = 12;
    let end = rest.iter().take(LONGEST).position(|byte| *byte == b';')?;
    let own = std::str::from_utf8(&rest[..end]).ok()?;
    let code = match own.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        },
        None => match own.to_ascii_lowercase().as_str() {
            "colon" => u32::from(b':'),
            "tab" | "newline" => u32::from(b' '),
            "sol" => u32::from(b'/'),
            _ => return None,
        },
    };
    Some((u8::try_from(code).ok()?, end + 1))
}
