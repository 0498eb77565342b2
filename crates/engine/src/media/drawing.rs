//! Reads an SVG drawing as it comes, for what would run or be fetched where it is shown: scripts, event
//! handlers, embedded pages, references to elsewhere (SVG 2, sections 2.2, 15 and 16; XML 1.0, section 2).

mod value;

use std::ops::Range;

use value::Value;

/// A part of a drawing that is not just drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Active {
    Script,
    Foreign,
    External,
}

/// What is kept of a name, without its prefix. The rest is no name of anything that matters.
const NAME_BYTES_MAX: usize = 64;

/// Parts of one drawing that are told apart. More are told as one, to the drawing's end.
const PARTS_MAX: usize = 1024;

/// Follows a drawing's bytes.
#[derive(Debug, Default)]
pub(super) struct Reader {
    at: u64,
    state: State,
    /// Whether the first element is a drawing's, once it has come.
    root: Option<bool>,
    /// Where the tag or the declaration at hand begins.
    start: u64,
    tag: Tag,
    /// The last bytes of what ends with a mark.
    last: Vec<u8>,
    /// Whether the document's type declares what its text or its attributes stand for.
    declares: bool,
    /// The element that goes as a whole, and how many of its name are open within it.
    within: Option<(Active, u64, Box<[u8]>, u32)>,
    /// What the style at hand says.
    style: Option<Value>,
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
    /// Whether that says what a prefix stands for.
    is_namespace: bool,
    value: Value,
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
    Doctype(Doctype),
    Instruction,
}

/// Where in `<!DOCTYPE` (XML 1.0, section 2.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doctype {
    Outside,
    /// Within its brackets.
    Within,
    /// In quotes, and whether within its brackets.
    Quoted(u8, bool),
    /// In a comment within its brackets.
    Comment,
    /// In an instruction within its brackets.
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

    /// Whether the first element is a drawing's; none as long as there is none.
    pub(super) fn is_drawing(&self) -> Option<bool> {
        self.root
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
            State::Doctype(place) => self.doctype(byte, place),
            State::Instruction => self.instruction(byte),
        }
    }

    fn text(&mut self, byte: u8) {
        if byte == b'<' {
            self.start = self.at;
            self.tag = Tag::default();
            self.state = State::Open;
        } else if let Some(style) = &mut self.style {
            style.push(byte);
        }
    }

    fn open(&mut self, byte: u8) {
        self.state = match byte {
            b'/' if !self.tag.is_end => {
                self.tag.is_end = true;
                State::Open
            }
            b'!' => {
                self.last.clear();
                State::Declaration
            }
            b'?' => {
                self.last.clear();
                State::Instruction
            }
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
            byte => push_name(&mut self.tag.name, byte),
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
                self.tag.is_namespace = false;
                self.tag.value = Value::default();
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
            byte => {
                self.tag.is_namespace |= byte == b':' && self.tag.attribute == b"xmlns";
                push_name(&mut self.tag.attribute, byte);
            }
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
            Some(_) | None => self.tag.value.push(byte),
        }
    }

    fn declaration(&mut self, byte: u8) {
        let said = &mut self.last;
        said.push(byte);
        self.state = match &said[..] {
            b"--" => State::Comment,
            b"[CDATA[" => State::Section,
            own if b"--".starts_with(own) || b"[CDATA[".starts_with(own) => State::Declaration,
            _ if byte == b'>' => State::Text,
            _ => State::Doctype(Doctype::Outside),
        };
        if self.state != State::Declaration {
            self.last.clear();
        }
    }

    /// Passes over bytes up to a mark of theirs. Whether that has come.
    fn is_over(&mut self, byte: u8, mark: &[u8]) -> bool {
        if self.last.len() == mark.len() {
            self.last.remove(0);
        }
        self.last.push(byte);
        let is_over = self.last == mark;
        if is_over {
            self.last.clear();
        }
        is_over
    }

    fn until(&mut self, byte: u8, mark: &[u8], next: State) {
        if self.is_over(byte, mark) {
            self.state = next;
        }
    }

    /// A section is text that needs no escapes.
    fn section(&mut self, byte: u8) {
        if let Some(style) = &mut self.style {
            style.push_bare(byte);
        }
        self.until(byte, b"]]>", State::Text);
    }

    fn doctype(&mut self, byte: u8, place: Doctype) {
        let next = match (place, byte) {
            (Doctype::Quoted(quote, is_within), _) if byte == quote => match is_within {
                true => Doctype::Within,
                false => Doctype::Outside,
            },
            (Doctype::Comment, _) if self.is_over(byte, b"-->") => Doctype::Within,
            (Doctype::Instruction, _) if self.is_over(byte, b"?>") => Doctype::Within,
            (Doctype::Outside, b'[') => Doctype::Within,
            (Doctype::Outside, b'>') => return self.end_doctype(),
            (Doctype::Within, b']') => Doctype::Outside,
            (Doctype::Outside | Doctype::Within, b'"' | b'\'') => {
                Doctype::Quoted(byte, place == Doctype::Within)
            }
            (Doctype::Within, _) => self.declared(byte),
            (
                Doctype::Quoted(..) | Doctype::Comment | Doctype::Instruction | Doctype::Outside,
                _,
            ) => place,
        };
        if next != place {
            self.last.clear();
        }
        self.state = State::Doctype(next);
    }

    /// What is declared within a document's type. An entity's text can be anything, its file any file, and
    /// an attribute that is declared is set where it is not given.
    fn declared(&mut self, byte: u8) -> Doctype {
        const LENGTH: usize = 4;
        if byte == b'<' {
            self.last.clear();
        }
        if self.last.len() < LENGTH {
            self.last.push(byte);
        }
        // An element's declaration is `<!EL`.
        self.declares |= self.last == b"<!EN" || self.last == b"<!AT";
        match &self.last[..] {
            b"<!--" => Doctype::Comment,
            b"<?" => Doctype::Instruction,
            _ => Doctype::Within,
        }
    }

    fn end_doctype(&mut self) {
        self.state = State::Text;
        if std::mem::take(&mut self.declares) {
            self.note(Active::Script, self.start..self.at + 1);
        }
    }

    fn instruction(&mut self, byte: u8) {
        const STYLE: &[u8] = b"xml-stylesheet";
        if self.tag.name.len() < STYLE.len() {
            self.tag.name.push(byte);
        }
        if self.is_over(byte, b"?>") {
            self.state = State::Text;
            if self.tag.name == STYLE {
                self.note(Active::External, self.start..self.at + 1);
            }
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
        let name: Box<[u8]> = self.tag.name.to_ascii_lowercase().into();
        let end = self.at + 1;
        self.root.get_or_insert(&*name == b"svg");
        if &*name == b"style" {
            self.end_style(self.start);
            if !self.tag.is_end && !self.tag.is_empty {
                (self.style, self.style_start) = (Some(Value::default()), end);
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
        let Some(mut style) = self.style.take() else {
            return;
        };
        if style.fetches() {
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
    fn active_attribute(&mut self) -> Option<Active> {
        const GEOMETRY: [&[u8]; 4] = [b"d", b"points", b"transform", b"viewbox"];
        let name = self.attribute.to_ascii_lowercase();
        if self.is_end || self.is_namespace || GEOMETRY.contains(&&name[..]) {
            return None;
        }
        let is_handler = name.len() > 2
            && name.starts_with(b"on")
            && name[2..].iter().all(u8::is_ascii_alphabetic);
        let value = &mut self.value;
        let is_set = name == b"attributename"
            && (value.begins(b"on") || value.is(&[b"href", b"xlink:href", b"src"]));
        if is_handler || is_set || value.runs() {
            return Some(Active::Script);
        }
        let is_link = self.name.eq_ignore_ascii_case(b"a");
        let is_reference = matches!(&name[..], b"href" | b"src") && !is_link;
        let is_refresh = name == b"http-equiv" && value.is(&[b"refresh"]);
        let is_external = is_refresh || (is_reference && value.leads_out()) || value.fetches();
        is_external.then_some(Active::External)
    }
}

fn active_element(name: &[u8]) -> Option<Active> {
    match name {
        b"script" | b"handler" | b"listener" => Some(Active::Script),
        b"foreignobject" | b"iframe" | b"frame" | b"embed" | b"object" | b"applet" => {
            Some(Active::Foreign)
        }
        _ => None,
    }
}

/// Adds a byte to a name. A prefix is left out (Namespaces in XML, section 4).
fn push_name(name: &mut Vec<u8>, byte: u8) {
    match byte {
        b':' => name.clear(),
        byte if name.len() < NAME_BYTES_MAX => name.push(byte),
        _ => {}
    }
}
