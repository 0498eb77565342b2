//! Ways to write a value that no view undoes, since they would make text of any text.

use std::ops::Range;

use crate::scan::BudgetSpent;

pub(super) const REVERSED: &str = "reversed";

/// A value in every Caesar shift, in ROT47 and in Atbash, in lower case; only those that change it.
pub(super) fn rotations(exact: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    /// With fewer letters, a shift leaves nearly all of a value as it is.
    const LETTERS_MIN: usize = 4;
    let letters = exact.iter().filter(|b| b.is_ascii_alphabetic()).count();
    let mut all = Vec::new();
    if letters >= LETTERS_MIN {
        for shift in 1..26 {
            let name = if shift == 13 { "rot13" } else { "caesar" };
            all.push((name, mapped(exact, |b| b'a' + (b - b'a' + shift) % 26)));
        }
        all.push(("atbash", mapped(exact, |b| b'z' - (b - b'a'))));
    }
    let rot47 = |b: &u8| match b {
        b'!'..=b'~' => b'!' + (b - b'!' + 47) % 94,
        _ => *b,
    };
    let rot47: Vec<u8> = exact.iter().map(rot47).collect();
    all.push(("rot47", rot47.to_ascii_lowercase()));
    all
}

fn mapped(exact: &[u8], letter: impl Fn(u8) -> u8) -> Vec<u8> {
    let lower = exact.iter().map(u8::to_ascii_lowercase);
    lower
        .map(|b| if b.is_ascii_lowercase() { letter(b) } else { b })
        .collect()
}

/// Fewer characters hold no part of a value that is a leak.
const CHARACTERS_MIN: usize = 8;

/// Tells what each run of Braille cells or of Morse code says, with its name and its place.
pub(super) fn dots(
    view: &[u8],
    mut tell: impl FnMut(Vec<u8>, &'static str, Range<usize>) -> Result<(), BudgetSpent>,
) -> Result<(), BudgetSpent> {
    let mut from = 0;
    while let Some(found) = memchr::memchr(BRAILLE, &view[from..]) {
        let start = from + found;
        let (cells, end) = cells(view, start);
        if cells.len() >= CHARACTERS_MIN {
            tell(literary(&cells), "braille", start..end)?;
            let ascii = cells
                .iter()
                .map(|cell| BRAILLE_ASCII[usize::from(cell & 0x3f)]);
            tell(ascii.collect(), "braille", start..end)?;
            tell(cells, "braille", start..end)?;
        }
        from = end;
    }
    let mut from = 0;
    while let Some(range) = morse_run(view, from) {
        from = range.end;
        let text = morse(&view[range.clone()]);
        if text.len() >= CHARACTERS_MIN {
            tell(text, "morse", range)?;
        }
    }
    Ok(())
}

/// The first of the three bytes that cells have in UTF-8.
const BRAILLE: u8 = 0xe2;

/// North American Braille ASCII, by the number of the cell.
static BRAILLE_ASCII: &[u8; 64] =
    b" A1B'K2L@CIF/MSP\"E3H9O6R^DJG>NTQ,*5<-U8V.%[$+X!&;:4\\0Z7(_?W]#Y)=";

/// The cells from `start` on, blanks between them left out, and where they end.
fn cells(view: &[u8], start: usize) -> (Vec<u8>, usize) {
    let (mut cells, mut at, mut end) = (Vec::new(), start, start + 1);
    while let Some(next) = view.get(at) {
        match view[at..] {
            [0xe2, high @ 0xa0..=0xa3, low @ 0x80..=0xbf, ..] => {
                cells.push((high & 3) << 6 | low & 0x3f);
                at += 3;
                end = at;
            }
            _ if next.is_ascii_whitespace() => at += 1,
            _ => break,
        }
    }
    (cells, end)
}

/// Letters, and digits after a number sign, as books are set (Unified English Braille, sections 3
/// and 6). What capitals and other signs say is left out.
fn literary(cells: &[u8]) -> Vec<u8> {
    const NUMBER: u8 = 0x3c;
    const HYPHEN: u8 = 0x24;
    let (mut text, mut is_number) = (Vec::with_capacity(cells.len()), false);
    for cell in cells {
        let letter = BRAILLE_ASCII[usize::from(cell & 0x3f)];
        match (*cell, letter) {
            (NUMBER, _) => is_number = true,
            (HYPHEN, _) => text.push(b'-'),
            (_, b'A'..=b'I') if is_number => text.push(letter - b'A' + b'1'),
            (_, b'J') if is_number => text.push(b'0'),
            (_, b'A'..=b'Z') => {
                is_number = false;
                text.push(letter);
            }
            _ => is_number = false,
        }
    }
    text
}

/// The next run of Morse code. One look in so many bytes finds each that is long enough.
fn morse_run(view: &[u8], from: usize) -> Option<Range<usize>> {
    const STEP: usize = 32;
    const LOOK: usize = 8;
    const MARKS_MIN: usize = 4;
    let is_code = |b: &u8| matches!(b, b'.' | b'-' | b'_' | b' ' | b'/' | b'|');
    let is_mark = |b: &&u8| matches!(b, b'.' | b'-' | b'_');
    let mut probe = from;
    while let Some(look) = view.get(probe..probe + LOOK) {
        let is_run = is_code(&look[0])
            && look.iter().all(is_code)
            && look.iter().filter(is_mark).count() >= MARKS_MIN;
        if is_run {
            let back = view[from..probe].iter().rev().take_while(|b| is_code(b));
            let on = view[probe..].iter().take_while(|b| is_code(b));
            return Some(probe - back.count()..probe + on.count());
        }
        probe += STEP;
    }
    None
}

/// What Morse code says (Recommendation ITU-R M.1677-1), its letters apart by blanks or strokes.
fn morse(run: &[u8]) -> Vec<u8> {
    let letters = run.split(|b| matches!(b, b' ' | b'/' | b'|'));
    letters.filter_map(morse_letter).collect()
}

fn morse_letter(marks: &[u8]) -> Option<u8> {
    /// Letters and digits in the order of the numbers that their marks make: a one, then a bit a
    /// mark, a dash being one.
    const CODE: &[u8; 64] = b"??ETIANMSURWDKGOHVF?L?PJBXCYZQ??54?3???2??+????16=/?????7???8?90";
    const MARKS_MAX: usize = 5;
    if marks.is_empty() || marks.len() > MARKS_MAX {
        return None;
    }
    let number = marks
        .iter()
        .fold(1, |number, mark| number << 1 | usize::from(*mark != b'.'));
    Some(CODE[number]).filter(|letter| *letter != b'?')
}

#[cfg(test)]
mod tests {
    use super::{BRAILLE_ASCII, dots, morse, rotations};

    fn read(view: &str) -> Vec<String> {
        let mut texts = Vec::new();
        dots(view.as_bytes(), |text, _, _| {
            texts.push(String::from_utf8_lossy(&text).into_owned());
            Ok(())
        })
        .expect("no budget");
        texts
    }

    #[test]
    fn braille_is_read_in_three_ways() {
        let cell = |letter: char| {
            let place = BRAILLE_ASCII
                .iter()
                .position(|own| char::from(*own) == letter);
            char::from_u32(0x2800 + place.expect("a cell") as u32).expect("a character")
        };
        let ascii: String = "CARBOY4321".chars().map(cell).collect();
        assert!(read(&format!("say {ascii} now")).contains(&"CARBOY4321".to_owned()));
        // With signs for capitals and numbers.
        let signs: String = ",C,ARBOY#DCBA".chars().map(cell).collect();
        assert!(read(&signs).contains(&"CARBOY4321".to_owned()));
        let bytes = "CARBOY4321".bytes().map(u32::from);
        let bytes: String = bytes.filter_map(|b| char::from_u32(0x2800 + b)).collect();
        assert!(read(&bytes).contains(&"CARBOY4321".to_owned()));
    }

    #[test]
    fn morse_is_read_with_blanks_or_strokes() {
        let code = [
            "-.-.", ".-", ".-.", "-...", "---", "-.--", "....-", "...--", "..---", ".----", "-----",
        ];
        for between in [" ", "/", " / ", "|"] {
            assert_eq!(
                morse(code.join(between).as_bytes()),
                b"CARBOY43210",
                "{between}"
            );
            let found = read(&format!("see: {} and more", code.join(between)));
            assert_eq!(found, ["CARBOY43210"], "{between}");
        }
        assert_eq!(read(&"| --- | --- |\n".repeat(9)), Vec::<String>::new());
    }

    #[test]
    fn rotations_are_the_known_ones() {
        let all = rotations(b"Hello9");
        let named = |name: &str| {
            all.iter()
                .find(|(own, _)| *own == name)
                .map(|(_, text)| &text[..])
        };
        assert_eq!(named("rot13"), Some(&b"uryyb9"[..]));
        assert_eq!(named("atbash"), Some(&b"svool9"[..]));
        assert_eq!(named("rot47"), Some(&b"w6==@h"[..]));
        assert_eq!(all.len(), 27);
        assert_eq!(rotations(b"0123456789").len(), 1);
    }
}
