//! Reads the strings out of JSON as it flows, each with the place where it stands.
//!
//! What a client joins is not the document but one field of many documents: the text of a model's
//! answer, delta by delta. The reading is lenient, since some clients' is.

use memchr::memchr2;

/// Objects and arrays within each other. Deeper ones are no messages; their strings are not read.
const DEPTH_MAX: usize = 64;

/// Where a string stands: the keys on the way to it, arrays counting as one key. Two places alike are
/// taken for one, which joins what nobody joins and hides nothing.
pub(crate) type Place = u64;

/// The place of what is no JSON.
pub(crate) const WHOLE: Place = 0;

/// The place of a path, whose parts a slash begins; a number is one in a list.
pub(crate) fn place_of(path: &str) -> Place {
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    path.split('/').fold(SEED, |place, part| {
        let part = if is_index(part) { "" } else { part };
        mix(mix(place, part.as_bytes()), b"/")
    })
}

/// The strings of one document, or of several one after the other.
#[derive(Debug, Default)]
pub(crate) struct Strings {
    levels: Vec<Level>,
    within: Within,
    /// The key that is being read, or that was read last.
    key: Place,
    high: Option<u16>,
    is_json: Option<bool>,
    values: usize,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    place: Place,
    /// An object's strings are keys where no colon came before them.
    is_object: bool,
    is_key_next: bool,
}

#[derive(Debug, Default, Clone, Copy)]
enum Within {
    #[default]
    Between,
    Text,
    Escape,
    Unicode {
        digits: u8,
        code: u16,
    },
}

impl Strings {
    /// Reads on. `visit` sees the text of values, unescaped, in the pieces in which it comes.
    pub(crate) fn feed(&mut self, mut bytes: &[u8], visit: &mut dyn FnMut(Place, &[u8])) {
        while let Some(first) = bytes.first()
            && self.is_json != Some(false)
        {
            let taken = match self.within {
                Within::Between => self.between(*first),
                Within::Text => self.text(bytes, visit),
                Within::Escape => self.escape(*first, visit),
                Within::Unicode { digits, code } => self.unicode(*first, digits, code, visit),
            };
            bytes = &bytes[taken..];
        }
    }

    /// Whether all that was read was JSON with strings in it, and whole.
    pub(crate) fn is_whole(&self) -> bool {
        let is_between = matches!(self.within, Within::Between);
        self.is_json == Some(true) && is_between && self.levels.is_empty() && self.values > 0
    }

    fn between(&mut self, byte: u8) -> usize {
        match byte {
            b'{' | b'[' => self.open(byte == b'{'),
            b'}' | b']' => {
                if self.levels.pop().is_none() {
                    self.is_json = Some(false);
                }
            }
            b'"' => {
                self.is_json.get_or_insert(false);
                self.within = Within::Text;
                if self.is_key() {
                    self.key = SEED;
                }
            }
            b':' | b',' => {
                if let Some(level) = self.levels.last_mut() {
                    level.is_key_next = level.is_object && byte == b',';
                }
            }
            byte if byte.is_ascii_whitespace() => {}
            // Numbers and words say nothing here; at the top they are no document.
            _ => {
                self.is_json.get_or_insert(false);
            }
        }
        1
    }

    fn open(&mut self, is_object: bool) {
        self.is_json.get_or_insert(true);
        if self.levels.len() >= DEPTH_MAX {
            self.is_json = Some(false);
            return;
        }
        let place = self.place();
        self.levels.push(Level {
            place,
            is_object,
            is_key_next: is_object,
        });
    }

    fn is_key(&self) -> bool {
        self.levels.last().is_some_and(|level| level.is_key_next)
    }

    /// Where the next value stands.
    fn place(&self) -> Place {
        match self.levels.last() {
            None => SEED,
            Some(level) if level.is_object => mix(level.place, &self.key.to_le_bytes()),
            Some(level) => mix(level.place, b"[]"),
        }
    }

    fn text(&mut self, bytes: &[u8], visit: &mut dyn FnMut(Place, &[u8])) -> usize {
        let end = memchr2(b'"', b'\\', bytes).unwrap_or(bytes.len());
        self.say(&bytes[..end], visit);
        match bytes.get(end) {
            None => end,
            Some(b'\\') => {
                self.within = Within::Escape;
                end + 1
            }
            Some(_) => {
                self.within = Within::Between;
                self.values += usize::from(!self.is_key());
                end + 1
            }
        }
    }

    fn say(&mut self, text: &[u8], visit: &mut dyn FnMut(Place, &[u8])) {
        if text.is_empty() {
            return;
        }
        match self.is_key() {
            true => self.key = mix(self.key, text),
            false => visit(self.place(), text),
        }
    }

    fn escape(&mut self, byte: u8, visit: &mut dyn FnMut(Place, &[u8])) -> usize {
        self.within = Within::Text;
        let plain = match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'b' => 8,
            b'f' => 12,
            b'u' => {
                self.within = Within::Unicode { digits: 0, code: 0 };
                return 1;
            }
            other => other,
        };
        self.say(&[plain], visit);
        1
    }

    fn unicode(
        &mut self,
        byte: u8,
        digits: u8,
        code: u16,
        visit: &mut dyn FnMut(Place, &[u8]),
    ) -> usize {
        let Some(digit) = char::from(byte).to_digit(16) else {
            self.within = Within::Text;
            return 0;
        };
        let code = code << 4 | digit as u16;
        if digits < 3 {
            self.within = Within::Unicode {
                digits: digits + 1,
                code,
            };
            return 1;
        }
        self.within = Within::Text;
        let units = [self.high.take().unwrap_or_default(), code];
        let paired = char::decode_utf16(units).next().and_then(Result::ok);
        match char::from_u32(code.into()).or(paired.filter(|c| *c > '\u{ffff}')) {
            Some(c) => self.say(c.encode_utf8(&mut [0; 4]).as_bytes(), visit),
            None => self.high = Some(code),
        }
        1
    }
}

const SEED: Place = 0xcbf2_9ce4_8422_2325;

/// FNV-1a.
fn mix(place: Place, bytes: &[u8]) -> Place {
    let step = |hash: Place, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(place, step)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{Place, Strings};

    /// The joined text of each place, in order, and whether the whole is JSON.
    fn read(pieces: &[&str]) -> (Vec<String>, bool) {
        let mut strings = Strings::default();
        let (mut order, mut texts) = (Vec::new(), HashMap::<Place, Vec<u8>>::new());
        for piece in pieces {
            strings.feed(piece.as_bytes(), &mut |place, text| {
                let known = texts.entry(place).or_insert_with(|| {
                    order.push(place);
                    Vec::new()
                });
                known.extend_from_slice(text);
            });
        }
        let texts = order.iter().map(|place| &texts[place]);
        let texts = texts.map(|text| String::from_utf8_lossy(text).into_owned());
        (texts.collect(), strings.is_whole())
    }

    #[test]
    fn strings_are_read_by_place() {
        let cases: &[(&str, &[&str], bool)] = &[
            (r#"{"a":"x","b":{"a":"y"}}"#, &["x", "y"], true),
            (r#"[{"t":"ig"},{"t":"nore"}]"#, &["ignore"], true),
            (r#"{"t":"ig"}{"t":"nore"}"#, &["ignore"], true),
            (
                r#"{"t":"a\n\"\u0041\ud83d\ude00"}"#,
                &["a\n\"A\u{1f600}"],
                true,
            ),
            (r#"{"n":1,"b":true,"c":null}"#, &[], false),
            ("[DONE]", &[], false),
            ("plain \"text\"", &[], false),
            ("\"text\"", &[], false),
            (r#"{"t":"open"#, &["open"], false),
            ("}", &[], false),
        ];
        for (text, expect, is_whole) in cases {
            assert_eq!(read(&[text]), (owned(expect), *is_whole), "{text}");
            for cut in 0..text.len() {
                if text.is_char_boundary(cut) {
                    let pieces = [&text[..cut], &text[cut..]];
                    assert_eq!(read(&pieces), (owned(expect), *is_whole), "{text} at {cut}");
                }
            }
        }
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "[".repeat(100_000);
        let mut strings = Strings::default();
        strings.feed(deep.as_bytes(), &mut |_, _| {});
        assert!(strings.levels.len() <= super::DEPTH_MAX);
        assert!(!strings.is_whole());
    }

    fn owned(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }
}
