//! Text spelt byte by byte, with the same few bytes after each: `A-K-I-A`, `"g","h","p"`.

use std::ops::Range;

use super::branch::{Decoded, Output};

/// A shorter row is an abbreviation or a heading; no credential is shorter.
const SYMBOLS_MIN: usize = 16;

/// As many of a row are letters or digits; ornaments have none.
const LETTERS_MIN: usize = 10;

/// A longer row goes on in the next one: what one spells fits a window.
const RUN_MAX: usize = 64 * 1024;

/// How far apart spelt bytes are, the most first: what stands between may itself come again.
const PERIODS: [usize; 4] = [5, 4, 3, 2];

/// Reads the row around a place, and tells where it ends.
pub(super) fn decode(bytes: &[u8], at: usize, clipped: bool) -> (usize, Vec<Decoded>) {
    for period in PERIODS {
        for first in at..at + period {
            let Some(row) = row(bytes, first, period) else {
                continue;
            };
            let end = row.end;
            if let Some(output) = read(bytes, row, period) {
                return (end, vec![output.decoded("spelt", end, clipped)]);
            }
        }
    }
    words(bytes, at, clipped)
}

/// A word that is spelt has so many letters, and all words together as many as a row.
const WORD_LETTERS_MIN: usize = 3;

/// Blanks between spelt words, or a short word that is not spelt.
const APART_BYTES_MAX: usize = 12;

/// Reads words whose letters have the same mark after each, and which stand apart: `i-g-n-o-r-e a-l-l`.
fn words(bytes: &[u8], at: usize, clipped: bool) -> (usize, Vec<Decoded>) {
    let found = (at..at + 2).find_map(|first| {
        let mark = *bytes.get(first + 1)?;
        let is_mark = b"-._*~ ".contains(&mark);
        (is_mark && word_len(bytes, first, mark) >= WORD_LETTERS_MIN).then_some((first, mark))
    });
    let Some((first, mark)) = found else {
        return (at, Vec::new());
    };
    let start = (0..RUN_MAX.min(first) / 2)
        .take_while(|back| is_spelt_at(bytes, first - 2 * (back + 1), mark))
        .count();
    let (mut output, mut from, mut letters) = (Output::default(), first - 2 * start, 0);
    while from < bytes.len() && output.bytes().len() < RUN_MAX {
        let len = word_len(bytes, from, mark);
        if len < WORD_LETTERS_MIN {
            break;
        }
        (0..len).for_each(|letter| output.push(bytes[from + 2 * letter], from + 2 * letter));
        letters += len;
        let end = from + 2 * len - 1;
        let near = end..bytes.len().min(end + APART_BYTES_MAX);
        let next = near
            .clone()
            .find(|next| *next > end && word_len(bytes, *next, mark) >= WORD_LETTERS_MIN);
        let Some(next) = next.filter(|next| bytes[end..*next].iter().any(u8::is_ascii_whitespace))
        else {
            from = end;
            break;
        };
        let is_blank = bytes[end..next].iter().all(u8::is_ascii_whitespace);
        output.copy(bytes, if is_blank { next - 1..next } else { end..next });
        from = next;
    }
    let is_row = letters >= LETTERS_MIN;
    let end = from.min(bytes.len());
    (
        end.max(at),
        Vec::from_iter(is_row.then(|| output.decoded("spelt", end, clipped))),
    )
}

/// The letters of a spelt word that begins at a place.
fn word_len(bytes: &[u8], first: usize, mark: u8) -> usize {
    let begins = first == 0 || !bytes[first - 1].is_ascii_alphanumeric();
    let spelt = (0..RUN_MAX)
        .take_while(|letter| is_spelt_at(bytes, first + 2 * letter, mark))
        .count();
    let is_letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_alphanumeric);
    let end = first + 2 * spelt;
    match (begins, is_letter(end)) {
        (true, true) if !is_letter(end + 1) => spelt + 1,
        // Its last letter has a blank after it too.
        (true, false) if mark == b' ' => spelt,
        (true | false, true | false) => 0,
    }
}

/// Whether one letter stands at a place, and the mark after it.
fn is_spelt_at(bytes: &[u8], at: usize, mark: u8) -> bool {
    matches!(bytes.get(at..at + 2), Some([letter, own]) if letter.is_ascii_alphanumeric() && *own == mark)
}

/// The row in which a spelt byte is: to the last one's end.
fn row(bytes: &[u8], first: usize, period: usize) -> Option<Range<usize>> {
    let between = bytes.get(first + 1..first + period)?;
    // What is not shown is left out by other views.
    let is_mark = |b: &u8| b.is_ascii_punctuation() || b.is_ascii_whitespace();
    if !between.iter().all(is_mark) {
        return None;
    }
    let goes_on = |symbol: &usize| {
        let own = bytes.get(symbol + 1..symbol + period);
        // Where words are apart by one space, their letters are by what stands between letters.
        own.is_some_and(|own| own == between || period == 2 && own == b" ")
    };
    let on = (first..bytes.len().min(first + RUN_MAX)).step_by(period);
    let on = on.take_while(goes_on).count();
    let back = (1..=first.min(RUN_MAX) / period).map(|count| first - count * period);
    let back = back.take_while(goes_on).count();
    let end = bytes.len().min(first + on * period + 1);
    (on + back + 1 >= SYMBOLS_MIN).then(|| first - back * period..end)
}

/// What a row spells, if that may be text.
fn read(bytes: &[u8], row: Range<usize>, period: usize) -> Option<Output> {
    let (mut output, mut letters) = (Output::default(), 0);
    let between = bytes[row.start + 1];
    for at in row.clone().step_by(period) {
        let symbol = bytes[at];
        letters += usize::from(symbol.is_ascii_alphanumeric());
        if !matches!(symbol, b' '..=b'~' | b'\n' | b'\t' | 0x80..) {
            return None;
        }
        output.push(symbol, at);
        let next = bytes.get(at + 1).filter(|_| at + 1 < row.end);
        if period == 2 && between != b' ' && next == Some(&b' ') {
            output.push(b' ', at + 1);
        }
    }
    (letters >= LETTERS_MIN).then_some(output)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn rows_are_read() {
        let word = "plain words 0123456789";
        let spelt = |between: &str| {
            let letters: Vec<String> = word.chars().map(String::from).collect();
            letters.join(between)
        };
        for between in ["-", ".", "\n", " ", "  ", ", ", "\",\"", "\", \"", "_", "/"] {
            let text = format!("see: {}", spelt(between));
            for at in 6..24 {
                let (end, found) = decode(text.as_bytes(), at, false);
                let found: Vec<&[u8]> = found.iter().map(|own| &*own.bytes).collect();
                let is_read = found.iter().any(|own| own.ends_with(&word.as_bytes()[4..]));
                assert!(is_read && end == text.len(), "{text} at {at}: {found:?}");
            }
        }
        for words in [
            "p-l-a-i-n w-o-r-d-s a-n-d m-o-r-e",
            "p l a i n  w o r d s  a n d  m o r e",
            "p.l.a.i.n  w.o.r.d.s and m.o.r.e",
        ] {
            let (_, found) = decode(words.as_bytes(), 0, false);
            assert_eq!(found[0].bytes, b"plain words and more", "{words}");
        }
    }

    #[test]
    fn what_spells_nothing_is_left() {
        for text in [
            "................................................",
            ". . . . . . . . . . . . . . . . . . . . . . . . ",
            "| - | - | - | - | - | - | - | - | - | - | - | - ",
            "the words of a text are not so apart, at no place",
            "a, b, c and d",
        ] {
            for at in 0..text.len() {
                assert!(decode(text.as_bytes(), at, false).1.is_empty(), "{text}");
            }
        }
    }
}
