//! JSON, read so that no other parser can read it differently (RFC 8259; I-JSON, RFC 7493).
//!
//! Parsers disagree about names that stand twice, about what follows a document, and about text
//! that is no UTF-8: all of this is refused, so that what is judged can be passed on byte for byte.

use std::borrow::Cow;
use std::collections::HashSet;

/// Values within values. Schemas of tools nest some twenty deep; common parsers stop at 128.
pub const DEPTH_MAX: usize = 128;

/// Values in one document: half a million numbers are some 8 MiB of text, and 30 MiB of memory.
pub const NODES_MAX: usize = 500_000;

/// Objects with more names than this are checked for repeated ones by hash.
const LINEAR_NAMES_MAX: usize = 8;

/// One value and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// The value as it was sent, without white space around it.
    pub raw: &'a str,
    /// What it says.
    pub value: Value<'a>,
}

/// A JSON value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number as it was written.
    Number(&'a str),
    /// A string with its escapes undone. Half of a surrogate pair is U+FFFD: programs that cut a
    /// text by UTF-16 units send it.
    Text(Cow<'a, str>),
    /// An array.
    List(Vec<Node<'a>>),
    /// An object, in the order of its names, no two of which are the same.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

/// Why bytes are refused as JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not UTF-8 (RFC 8259, section 8.1).
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Not JSON from this byte on.
    #[error("the text is not JSON from byte {0} on")]
    Syntax(usize),
    /// Something follows the document.
    #[error("something follows the document at byte {0}")]
    Trailing(usize),
    /// Deeper than [`DEPTH_MAX`].
    #[error("values are nested more than {DEPTH_MAX} deep")]
    Deep,
    /// More than [`NODES_MAX`] values.
    #[error("more than {NODES_MAX} values in one document")]
    Large,
    /// A name stands twice in one object: parsers differ in which one counts.
    #[error("a name stands twice in one object, at byte {0}")]
    Duplicate(usize),
    /// A name holds half of a surrogate pair: parsers differ in what it is.
    #[error("a name holds half of a surrogate pair, at byte {0}")]
    BrokenName(usize),
}

/// Reads one document.
///
/// # Errors
/// When it is not one document of valid JSON that all parsers read alike, or goes beyond the limits.
pub fn parse(bytes: &[u8]) -> Result<Node<'_>, Flaw> {
    let text = std::str::from_utf8(bytes).map_err(|_| Flaw::NotUtf8)?;
    let mut reader = Reader {
        text,
        at: 0,
        nodes: 0,
    };
    let node = reader.node(0)?;
    reader.space();
    match reader.at == text.len() {
        true => Ok(node),
        false => Err(Flaw::Trailing(reader.at)),
    }
}

impl<'a> Node<'a> {
    /// The value under a name of an object.
    pub fn member(&self, name: &str) -> Option<&Node<'a>> {
        let found = self.members()?.iter().find(|(own, _)| own == name);
        found.map(|(_, node)| node)
    }

    /// An object's names and values.
    pub fn members(&self) -> Option<&[(Cow<'a, str>, Node<'a>)]> {
        match &self.value {
            Value::Object(members) => Some(members),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::List(_) => {
                None
            }
        }
    }

    /// A string.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Object(_) => {
                None
            }
        }
    }

    /// An array's items.
    pub fn items(&self) -> Option<&[Node<'a>]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Object(_) => {
                None
            }
        }
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn node(&mut self, depth: usize) -> Result<Node<'a>, Flaw> {
        self.space();
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Flaw::Large);
        }
        if depth > DEPTH_MAX {
            return Err(Flaw::Deep);
        }
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.object(depth)?,
            Some(b'[') => self.list(depth)?,
            Some(b'"') => Value::Text(self.string()?.0),
            Some(b'-' | b'0'..=b'9') => self.number()?,
            _ => self.word()?,
        };
        Ok(Node {
            raw: &self.text[start..self.at],
            value,
        })
    }

    fn object(&mut self, depth: usize) -> Result<Value<'a>, Flaw> {
        self.at += 1;
        let mut members = Vec::new();
        let mut names = Names::default();
        self.space();
        if self.take(b'}') {
            return Ok(Value::Object(members));
        }
        loop {
            self.space();
            let start = self.at;
            let (name, is_broken) = self.string()?;
            if is_broken {
                return Err(Flaw::BrokenName(start));
            }
            if !names.add(&name, &members) {
                return Err(Flaw::Duplicate(start));
            }
            self.space();
            self.expect(b':')?;
            let node = self.node(depth + 1)?;
            members.push((name, node));
            self.space();
            if self.take(b'}') {
                return Ok(Value::Object(members));
            }
            self.expect(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, Flaw> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.node(depth + 1)?);
            self.space();
            if self.take(b']') {
                return Ok(Value::List(items));
            }
            self.expect(b',')?;
        }
    }

    /// A string, and whether it holds half of a surrogate pair.
    fn string(&mut self) -> Result<(Cow<'a, str>, bool), Flaw> {
        self.expect(b'"')?;
        let mut text = Cow::Borrowed("");
        let mut is_broken = false;
        loop {
            let start = self.at;
            let rest = &self.text.as_bytes()[start..];
            let plain = |b: &u8| *b == b'"' || *b == b'\\' || *b < b' ';
            let end = start + rest.iter().position(plain).ok_or(Flaw::Syntax(start))?;
            let part = &self.text[start..end];
            match text.is_empty() {
                true => text = Cow::Borrowed(part),
                false => text.to_mut().push_str(part),
            }
            self.at = end + 1;
            match self.text.as_bytes()[end] {
                b'"' => return Ok((text, is_broken)),
                b'\\' => {
                    let c = self.escape()?;
                    is_broken |= c.is_none();
                    text.to_mut().push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                _ => return Err(Flaw::Syntax(end)),
            }
        }
    }

    /// What stands after a backslash (RFC 8259, section 7); nothing for half of a surrogate pair.
    fn escape(&mut self) -> Result<Option<char>, Flaw> {
        let at = self.at;
        let kind = self.peek().ok_or(Flaw::Syntax(at))?;
        self.at += 1;
        Ok(Some(match kind {
            b'"' | b'\\' | b'/' => char::from(kind),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unit_pair(),
            _ => return Err(Flaw::Syntax(at)),
        }))
    }

    fn unit_pair(&mut self) -> Result<Option<char>, Flaw> {
        let first = self.unit()?;
        let is_high = (0xd800..0xdc00).contains(&first);
        if !is_high || !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            return Ok(char::from_u32(first));
        }
        let back = self.at;
        self.at += 2;
        let second = self.unit()?;
        if !(0xdc00..0xe000).contains(&second) {
            self.at = back;
            return Ok(None);
        }
        let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        Ok(char::from_u32(code))
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, Flaw> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.ok_or(Flaw::Syntax(self.at))?;
        let mut unit = 0;
        for digit in digits {
            let value = char::from(*digit).to_digit(16);
            unit = unit << 4 | value.ok_or(Flaw::Syntax(self.at))?;
        }
        self.at += 4;
        Ok(unit)
    }

    fn number(&mut self) -> Result<Value<'a>, Flaw> {
        let start = self.at;
        self.take(b'-');
        match self.take(b'0') {
            true => {}
            false => self.digits()?,
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            self.digits()?;
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let rest = &self.text.as_bytes()[self.at..];
        match rest.iter().take_while(|b| b.is_ascii_digit()).count() {
            0 => Err(Flaw::Syntax(self.at)),
            count => {
                self.at += count;
                Ok(())
            }
        }
    }

    fn word(&mut self) -> Result<Value<'a>, Flaw> {
        const WORDS: [(&str, Value<'static>); 3] = [
            ("null", Value::Null),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
        ];
        let rest = &self.text[self.at..];
        for (word, value) in WORDS {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(Flaw::Syntax(self.at))
    }

    fn space(&mut self) {
        let rest = &self.text.as_bytes()[self.at..];
        let is_space = |b: &&u8| matches!(**b, b' ' | b'\t' | b'\n' | b'\r');
        self.at += rest.iter().take_while(is_space).count();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, byte: u8) -> Result<(), Flaw> {
        match self.take(byte) {
            true => Ok(()),
            false => Err(Flaw::Syntax(self.at)),
        }
    }
}

/// The names of one object. Few are compared one by one.
#[derive(Default)]
struct Names {
    hashed: HashSet<Box<str>>,
}

impl Names {
    /// Whether a name is new.
    fn add(&mut self, name: &str, before: &[(Cow<'_, str>, Node<'_>)]) -> bool {
        if before.len() < LINEAR_NAMES_MAX {
            return !before.iter().any(|(own, _)| own == name);
        }
        if self.hashed.is_empty() {
            self.hashed
                .extend(before.iter().map(|(own, _)| own.as_ref().into()));
        }
        self.hashed.insert(name.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{DEPTH_MAX, Flaw, Value, parse};

    #[test]
    fn texts_are_read_as_they_are_meant() {
        let cases: &[(&str, &str)] = &[
            (r#""plain""#, "plain"),
            (r#""a\"b\\c\/d""#, "a\"b\\c/d"),
            (r#""\b\f\n\r\t""#, "\u{8}\u{c}\n\r\t"),
            (r#""\u00e9\ud83d\ude00""#, "é😀"),
            (r#""cut \ud83d""#, "cut \u{fffd}"),
            (r#""\ude00 \ud83dx""#, "\u{fffd} \u{fffd}x"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            ("\"\u{2028}\"", "\u{2028}"),
        ];
        for (json, text) in cases {
            let node = parse(json.as_bytes()).expect(json);
            assert_eq!(node.text(), Some(*text), "{json}");
            assert_eq!(node.raw, *json);
        }
    }

    #[test]
    fn structure_is_kept() {
        let node = parse(b" {\"a\": [1, -2.5e+3, null], \"b\" : {\"c\":true} } ").expect("JSON");
        assert!(node.raw.starts_with('{') && node.raw.ends_with('}'));
        let items = node
            .member("a")
            .and_then(|node| node.items())
            .expect("a list");
        assert_eq!(items[1].value, Value::Number("-2.5e+3"));
        assert_eq!(items[2].value, Value::Null);
        let inner = node.member("b").expect("b");
        assert_eq!(inner.raw, r#"{"c":true}"#);
        assert_eq!(
            inner.member("c").map(|node| &node.value),
            Some(&Value::Bool(true))
        );
    }

    #[test]
    fn what_parsers_read_differently_is_refused() {
        let many: String = (0..20).map(|n| format!("\"k{n}\":0,")).collect();
        let deep = "[".repeat(DEPTH_MAX + 2);
        let cases: &[(&[u8], Flaw)] = &[
            (br#"{"a":1,"a":2}"#, Flaw::Duplicate(7)),
            (br#"{"a":1,"\u0061":2}"#, Flaw::Duplicate(7)),
            (br#"{"\ud800":1}"#, Flaw::BrokenName(1)),
            (b"{} {}", Flaw::Trailing(3)),
            (b"\"\xff\"", Flaw::NotUtf8),
            (b"\xef\xbb\xbf{}", Flaw::Syntax(0)),
            (b"\"a\nb\"", Flaw::Syntax(2)),
            (br#""\x41""#, Flaw::Syntax(2)),
            (b"01", Flaw::Trailing(1)),
            (b"+1", Flaw::Syntax(0)),
            (b"1.", Flaw::Syntax(2)),
            (b"NaN", Flaw::Syntax(0)),
            (b"[1,]", Flaw::Syntax(3)),
            (b"{\"a\":1,}", Flaw::Syntax(7)),
            (b"{'a':1}", Flaw::Syntax(1)),
            (b"// no\n{}", Flaw::Syntax(0)),
            (b"", Flaw::Syntax(0)),
            (deep.as_bytes(), Flaw::Deep),
        ];
        for (json, flaw) in cases {
            let text = String::from_utf8_lossy(json);
            assert_eq!(parse(json), Err(*flaw), "{text}");
        }
        let repeated = format!("{{{many}\"k3\":1}}");
        assert!(matches!(
            parse(repeated.as_bytes()),
            Err(Flaw::Duplicate(_))
        ));
        let distinct = format!("{{{many}\"k\":1}}");
        assert!(parse(distinct.as_bytes()).is_ok());
    }
}
