//! Finds the words of the model, and what they stand for.

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::MODEL;
use super::text::Folded;

/// A word, phrase or stem, in any language.
pub(super) struct Lexeme {
    pub(super) text: &'static str,
    /// Whether any word that begins so is meant.
    pub(super) is_stem: bool,
    /// Indices of the concepts that it stands for.
    pub(super) concepts: &'static [u8],
}

/// Where a word stands in the folded text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The words found, by concept and in order; and which lexeme each was.
pub(super) struct Found {
    pub(super) spans: Vec<Vec<Span>>,
    pub(super) lexemes: Vec<(Span, u16)>,
}

impl Found {
    /// The words that talk about attacks, in order.
    pub(super) fn about(&self) -> impl Iterator<Item = (Span, u16)> + '_ {
        let is_about = |lexeme: u16| {
            let concepts = MODEL.lexemes[usize::from(lexeme)].concepts;
            concepts.contains(&MODEL.about_concept)
        };
        let lexemes = self.lexemes.iter().copied();
        lexemes.filter(move |(_, lexeme)| is_about(*lexeme))
    }
}

/// Every word of the model in a text.
pub(super) fn find(folded: &Folded) -> Found {
    let mut found = Found {
        spans: vec![Vec::new(); MODEL.concepts],
        lexemes: Vec::new(),
    };
    for hit in automaton().find_overlapping_iter(&folded.text) {
        let lexeme = &MODEL.lexemes[hit.pattern().as_usize()];
        if !is_whole(&folded.text, hit.start(), hit.end(), lexeme) {
            continue;
        }
        let span = Span {
            start: hit.start() as u32,
            end: hit.end() as u32,
        };
        found.lexemes.push((span, hit.pattern().as_u32() as u16));
        for concept in lexeme.concepts {
            found.spans[usize::from(*concept)].push(span);
        }
    }
    found.lexemes.sort_unstable();
    found
        .spans
        .iter_mut()
        .for_each(|spans| spans.sort_unstable());
    found
}

/// States so near the start, in which most of a text is spent, find the next at once. Deeper would
/// take more memory than it saves time.
const DENSE_DEPTH: usize = 4;

/// Built when content first holds a word that some signal needs.
fn automaton() -> &'static AhoCorasick {
    static AUTOMATON: OnceLock<AhoCorasick> = OnceLock::new();
    AUTOMATON.get_or_init(|| {
        AhoCorasick::builder()
            .dense_depth(DENSE_DEPTH)
            .build(MODEL.lexemes.iter().map(|lexeme| lexeme.text))
            .expect("a few thousand short words are within its limits")
    })
}

/// Whether a word is not part of a longer one.
fn is_whole(text: &str, start: usize, end: usize, lexeme: &Lexeme) -> bool {
    let first = lexeme.text.chars().next();
    let last = lexeme.text.chars().next_back();
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    let joins =
        |a: Option<char>, b: Option<char>| a.is_some_and(is_letter) && b.is_some_and(is_letter);
    !joins(before, first) && (lexeme.is_stem || !joins(last, after))
}

/// Letters of scripts that part words by spaces.
fn is_letter(c: char) -> bool {
    (c.is_alphanumeric() || c == '_') && !is_unspaced(c)
}

/// Chinese, Japanese and Korean: where a word begins or ends, nothing shows.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}
