//! The table that folds Unicode to ASCII for matching: compatibility forms (NFKC), confusables
//! (UTS 39), tag characters, exotic spaces; invisible characters and combining marks fold to
//! nothing. What has no ASCII form is left alone.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Two stages: `pages[code >> 8]` selects a page of 256 entries of two bytes; an entry is zero for
/// "left alone" or one more than an index into `texts`.
pub(crate) struct Fold {
    pub(crate) pages: Vec<u8>,
    pub(crate) entries: Vec<u8>,
    pub(crate) texts: Vec<String>,
}

pub(crate) fn build() -> Fold {
    let mut texts: Vec<String> = Vec::new();
    let (mut pages, mut entries) = (Vec::new(), vec![0u8; 512]);
    for page in 0..0x1100u32 {
        let row: Vec<u8> = (page << 8..(page + 1) << 8)
            .map(|code| entry(code, &mut texts))
            .flat_map(u16::to_le_bytes)
            .collect();
        let at = entries
            .chunks(512)
            .position(|known| known == row)
            .unwrap_or_else(|| {
                entries.extend(&row);
                entries.len() / 512 - 1
            });
        pages.push(u8::try_from(at).expect("fewer than 256 distinct pages"));
    }
    Fold {
        pages,
        entries,
        texts,
    }
}

fn entry(code: u32, texts: &mut Vec<String>) -> u16 {
    let Some(text) = char::from_u32(code)
        .filter(|c| !c.is_ascii())
        .and_then(folded)
    else {
        return 0;
    };
    let at = texts
        .iter()
        .position(|known| *known == text)
        .unwrap_or_else(|| {
            texts.push(text);
            texts.len() - 1
        });
    u16::try_from(at + 1).expect("fewer than 65535 texts")
}

fn folded(c: char) -> Option<String> {
    if let 0xe0020..=0xe007e = c as u32 {
        return char::from_u32(c as u32 - 0xe0000).map(String::from);
    }
    if is_invisible(c) || is_latin_mark(c) {
        return Some(String::new());
    }
    if matches!(
        c,
        '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{1680}' | '\u{2800}'
    ) {
        return Some(" ".into());
    }
    let compatible: String = [c]
        .into_iter()
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .collect();
    if !compatible.is_empty() && compatible.is_ascii() {
        return Some(compatible);
    }
    let skeleton: String = unicode_security::skeleton(&compatible)
        .filter(|c| !is_combining_mark(*c))
        .collect();
    (!skeleton.is_empty() && skeleton.is_ascii()).then_some(skeleton)
}

/// Default-ignorable code points (Unicode, `DerivedCoreProperties.txt`) and other format controls.
fn is_invisible(c: char) -> bool {
    matches!(c as u32,
        0x80..=0x84 | 0x86..=0x9f | 0xad | 0x34f | 0x600..=0x605 | 0x61c | 0x6dd | 0x70f
        | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x202a..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0f | 0xfeff | 0xffa0
        | 0xfff0..=0xfffb | 0x1bca0..=0x1bca3 | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff)
}

/// Marks laid over Latin letters; the marks that other scripts spell with stay.
fn is_latin_mark(c: char) -> bool {
    matches!(c as u32,
        0x300..=0x36f | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0xfe20..=0xfe2f)
}
