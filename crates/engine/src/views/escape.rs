//! One escape at a time: percent, the backslashes of JSON, C, JavaScript, CSS and shells, and the
//! character references of HTML.

/// What an escape stands for, and how many bytes it takes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Escape {
    Byte(usize, u8),
    Char(usize, char),
    /// Nothing: a line that goes on.
    Nothing(usize),
}

/// Percent escapes on top of each other that are undone at once.
const NESTED_MAX: usize = 64;

/// `%67`, and `%u0067` of old browsers. `%25` before more digits is an escape of an escape, however
/// often.
pub(super) fn percent(rest: &[u8]) -> Option<Escape> {
    if rest.get(1).is_some_and(|b| matches!(b, b'u' | b'U')) {
        let code = hex(rest.get(2..6)?)?;
        return Some(Escape::Char(6, char::from_u32(code)?));
    }
    let once = hex(rest.get(1..3)?)? as u8;
    let mut nested = rest[1..].chunks_exact(2).take(NESTED_MAX);
    let depth = nested.by_ref().take_while(|pair| *pair == b"25").count();
    let last = rest.get(1 + 2 * depth..3 + 2 * depth).and_then(hex);
    match (depth, last) {
        // Twice is for the next view, which shows both.
        (2.., Some(byte)) => Some(Escape::Byte(3 + 2 * depth, byte as u8)),
        _ => Some(Escape::Byte(3, once)),
    }
}

/// What a backslash begins: JSON's escapes (RFC 8259, section 7) and what C, JavaScript, Python,
/// CSS, Markdown and shells add.
pub(super) fn backslash(rest: &[u8]) -> Option<Escape> {
    let byte = |taken, byte| Some(Escape::Byte(taken, byte));
    let next = *rest.get(1)?;
    match next {
        b'n' => byte(2, b'\n'),
        b'r' => byte(2, b'\r'),
        b't' => byte(2, b'\t'),
        b'\n' => Some(Escape::Nothing(2)),
        b'\r' if rest.get(2) == Some(&b'\n') => Some(Escape::Nothing(3)),
        b'x' if rest.get(2) == Some(&b'{') => braced(rest),
        b'x' => byte(4, hex(rest.get(2..4)?)? as u8),
        b'u' if rest.get(2) == Some(&b'{') => braced(rest),
        b'u' => utf16(rest),
        b'U' => {
            let digits = rest.get(2..10)?.strip_prefix(b"00")?;
            Some(Escape::Char(10, char::from_u32(hex(digits)?)?))
        }
        b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' => numeric(rest),
        // Most escaped signs stand for themselves.
        _ if next.is_ascii_punctuation() => byte(2, next),
        _ => None,
    }
}

/// `\x{67}` and `\u{67}`.
fn braced(rest: &[u8]) -> Option<Escape> {
    let len = rest.iter().take(10).position(|b| *b == b'}')?;
    let code = hex(&rest[3..len])?;
    Some(Escape::Char(len + 1, char::from_u32(code)?))
}

fn utf16(rest: &[u8]) -> Option<Escape> {
    let first = hex(rest.get(2..6)?)?;
    if let Some(c) = char::from_u32(first) {
        return Some(Escape::Char(6, c));
    }
    let second = rest.get(6..12)?.strip_prefix(b"\\u").and_then(hex)?;
    let units = [first as u16, u16::try_from(second).ok()?];
    let c = char::decode_utf16(units).next()?.ok()?;
    Some(Escape::Char(12, c))
}

/// Octal of C and shells, `\147` or `\0147`, and hexadecimal of CSS, `\67 ` or `\000067`, where they
/// stand for something printed: numbers of groups in a regular expression do not.
fn numeric(rest: &[u8]) -> Option<Escape> {
    let is_shown = |code: &u32| matches!(code, 9 | 10 | 0x20..=0x7e);
    let digits = rest[1..]
        .iter()
        .take(6)
        .take_while(|b| b.is_ascii_hexdigit());
    let digits = &rest[1..1 + digits.count()];
    let space = usize::from(matches!(
        rest.get(1 + digits.len()),
        Some(b' ' | b'\t' | b'\n')
    ));
    // CSS Syntax, section 4.3.7: six digits, or fewer and a space.
    if digits.len() == 6 && digits.starts_with(b"00") || (digits.len() == 2 && space == 1) {
        let code = hex(digits).filter(is_shown)?;
        return Some(Escape::Byte(1 + digits.len() + space, code as u8));
    }
    let octal = |from: usize| {
        let three = rest.get(from..from + 3)?;
        let digits = three.iter().map(|digit| char::from(*digit).to_digit(8));
        digits
            .into_iter()
            .try_fold(0, |sum, digit| Some(sum << 3 | digit?))
    };
    if rest[1] == b'0'
        && let Some(code) = octal(2).filter(is_shown)
    {
        return Some(Escape::Byte(5, code as u8));
    }
    let code = octal(1).filter(is_shown)?;
    Some(Escape::Byte(4, code as u8))
}

/// The longest name of a reference that is known, with its semicolon.
const ENTITY_MAX: usize = 20;

/// The references that have a name and stand for ASCII or for what is not shown (HTML standard,
/// section 13.5), besides letters and digits, which have none.
const ENTITIES: [(&str, char); 61] = [
    ("Tab;", '\t'),
    ("NewLine;", '\n'),
    ("excl;", '!'),
    ("quot;", '"'),
    ("QUOT;", '"'),
    ("num;", '#'),
    ("dollar;", '$'),
    ("percnt;", '%'),
    ("amp;", '&'),
    ("AMP;", '&'),
    ("apos;", '\''),
    ("lpar;", '('),
    ("rpar;", ')'),
    ("ast;", '*'),
    ("midast;", '*'),
    ("plus;", '+'),
    ("comma;", ','),
    ("hyphen;", '-'),
    ("dash;", '-'),
    ("minus;", '-'),
    ("period;", '.'),
    ("sol;", '/'),
    ("colon;", ':'),
    ("semi;", ';'),
    ("lt;", '<'),
    ("LT;", '<'),
    ("equals;", '='),
    ("gt;", '>'),
    ("GT;", '>'),
    ("quest;", '?'),
    ("commat;", '@'),
    ("lsqb;", '['),
    ("lbrack;", '['),
    ("bsol;", '\\'),
    ("rsqb;", ']'),
    ("rbrack;", ']'),
    ("Hat;", '^'),
    ("lowbar;", '_'),
    ("UnderBar;", '_'),
    ("grave;", '`'),
    ("DiacriticalGrave;", '`'),
    ("lcub;", '{'),
    ("lbrace;", '{'),
    ("verbar;", '|'),
    ("vert;", '|'),
    ("VerticalLine;", '|'),
    ("rcub;", '}'),
    ("rbrace;", '}'),
    ("nbsp;", ' '),
    ("NonBreakingSpace;", ' '),
    ("ensp;", ' '),
    ("emsp;", ' '),
    ("thinsp;", ' '),
    ("hairsp;", ' '),
    ("shy;", '\u{ad}'),
    ("zwj;", '\u{200d}'),
    ("zwnj;", '\u{200c}'),
    ("lrm;", '\u{200e}'),
    ("rlm;", '\u{200f}'),
    ("NoBreak;", '\u{2060}'),
    ("ZeroWidthSpace;", '\u{200b}'),
];

/// Those that browsers also read without their semicolon.
const BARE: [(&str, char); 10] = [
    ("quot", '"'),
    ("QUOT", '"'),
    ("amp", '&'),
    ("AMP", '&'),
    ("lt", '<'),
    ("LT", '<'),
    ("gt", '>'),
    ("GT", '>'),
    ("nbsp", ' '),
    ("shy", '\u{ad}'),
];

/// A reference by number or by name. Browsers do without the semicolon after a number.
pub(super) fn entity(rest: &[u8]) -> Option<Escape> {
    if rest.get(1) == Some(&b'#') {
        return numbered(rest);
    }
    let first = rest.get(1).filter(|b| b.is_ascii_alphabetic())?;
    let end = rest.iter().take(ENTITY_MAX).position(|b| *b == b';');
    let named = end.and_then(|end| {
        let name = &rest[1..=end];
        ENTITIES.iter().find(|(known, _)| known.as_bytes() == name)
    });
    let is_bare = |(known, _): &&(&str, char)| {
        known.as_bytes()[0] == *first && rest[1..].starts_with(known.as_bytes())
    };
    let (name, c) = named.or_else(|| BARE.iter().find(is_bare))?;
    Some(Escape::Char(1 + name.len(), *c))
}

/// More digits than any character's number has; leading zeros are read over.
const DIGITS_MAX: usize = 16;

fn numbered(rest: &[u8]) -> Option<Escape> {
    let (radix, from) = match rest.get(2)? {
        b'x' | b'X' => (16, 3),
        _ => (10, 2),
    };
    let is_digit = |byte: &&u8| char::from(**byte).is_digit(radix);
    let len = rest[from..]
        .iter()
        .take(DIGITS_MAX)
        .take_while(is_digit)
        .count();
    let digits = std::str::from_utf8(&rest[from..from + len]).ok()?;
    let code = u32::from_str_radix(digits, radix).ok()?;
    let end = from + len;
    let end = end + usize::from(rest.get(end) == Some(&b';'));
    Some(Escape::Char(end, char::from_u32(code)?))
}

fn hex(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() || digits.len() > 6 {
        return None;
    }
    digits.iter().try_fold(0, |sum, digit| {
        Some(sum << 4 | char::from(*digit).to_digit(16)?)
    })
}

#[cfg(test)]
mod tests {
    use super::{Escape, backslash, entity, percent};

    #[test]
    fn escapes_are_undone() {
        for (text, expect) in [
            ("%67h", Some(Escape::Byte(3, b'g'))),
            ("%2567", Some(Escape::Byte(3, b'%'))),
            ("%25252567", Some(Escape::Byte(9, b'g'))),
            ("%252525zz", Some(Escape::Byte(3, b'%'))),
            ("%zz", None),
            ("%6", None),
            ("%u0067", Some(Escape::Char(6, 'g'))),
            ("\\x67", Some(Escape::Byte(4, b'g'))),
            ("\\x{67}", Some(Escape::Char(6, 'g'))),
            ("\\u0067", Some(Escape::Char(6, 'g'))),
            ("\\u{1f600}", Some(Escape::Char(9, '\u{1f600}'))),
            ("\\ud83d\\ude00", Some(Escape::Char(12, '\u{1f600}'))),
            ("\\U00000067", Some(Escape::Char(10, 'g'))),
            ("\\147", Some(Escape::Byte(4, b'g'))),
            ("\\0147", Some(Escape::Byte(5, b'g'))),
            ("\\67 h", Some(Escape::Byte(4, b'g'))),
            ("\\000067h", Some(Escape::Byte(7, b'g'))),
            ("\\_", Some(Escape::Byte(2, b'_'))),
            ("\\\nh", Some(Escape::Nothing(2))),
            ("\\1", None),
            ("\\d", None),
            ("&#103;", Some(Escape::Char(6, 'g'))),
            ("&#103h", Some(Escape::Char(5, 'g'))),
            ("&#x0000067;", Some(Escape::Char(11, 'g'))),
            ("&#X67h", Some(Escape::Char(5, 'g'))),
            ("&lowbar;", Some(Escape::Char(8, '_'))),
            ("&ampx", Some(Escape::Char(4, '&'))),
            ("&lowbar", None),
            ("&q=1", None),
            ("&#;", None),
            ("&", None),
        ] {
            let undo = match text.as_bytes()[0] {
                b'%' => percent,
                b'\\' => backslash,
                _ => entity,
            };
            assert_eq!(undo(text.as_bytes()), expect, "{text}");
        }
    }
}
