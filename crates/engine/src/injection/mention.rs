//! Tells text about attacks from attacks: what is cited where attacks are the topic is a mention.
//!
//! Both must hold. A topic alone excuses nothing, or three words at the head of a page would switch
//! detection off; nor do quotes alone, since JSON quotes everything. Where a sentence quotes, one word of the
//! topic beside the quotation is enough, and what follows the quotation is judged without it.

use std::collections::BTreeSet;
use std::ops::Range;

use super::text;
use super::{MODEL, Reading, passages};

/// The topic is looked for so far around.
const TOPIC_BYTES: usize = 600;

/// So many different words make the topic.
const TOPIC_WORDS: usize = 2;

/// The longest citation, after what was found in it.
const CITATION_BYTES: usize = 240;

/// What a citation begins with before what was found in it: `"Please `, `SYSTEM: `.
const LEAD_BYTES: usize = 40;

/// Whether what stands at a part of a view is cited there, in a text about attacks.
pub(crate) fn is_mention(view: &[u8], range: &Range<usize>) -> bool {
    let apart = quotation(view, range);
    let is_all = apart.as_ref().is_none_or(|quote| quote.end >= range.end);
    let is_apart = apart.is_some_and(|quote| {
        is_harmless(view, quote.end..range.end) && topic(view, range, &quote) > 0
    });
    is_apart || is_all && is_cited(view, range) && topic(view, range, &(0..0)) >= TOPIC_WORDS
}

/// How many different words of the topic stand around a part of a view, those left out that are within the citation.
fn topic(view: &[u8], range: &Range<usize>, citation: &Range<usize>) -> usize {
    let start = range.start.saturating_sub(TOPIC_BYTES);
    let end = view.len().min(range.end + TOPIC_BYTES);
    let reading = Reading::of(&view[start..end]);
    let about = reading.found.about.iter();
    let beside = about.filter(|(at, _)| !citation.contains(&(start + *at as usize)));
    let words: BTreeSet<u16> = beside.map(|(_, word)| *word).collect();
    words.len()
}

/// Whether what is left of a part after a quotation would not be refused.
fn is_harmless(view: &[u8], rest: Range<usize>) -> bool {
    rest.is_empty()
        || passages(view, &rest)
            .iter()
            .all(|passage| passage.score < MODEL.block)
}

/// The quotation within a sentence that a part of a view begins in.
fn quotation(view: &[u8], range: &Range<usize>) -> Option<Range<usize>> {
    let before = &view[line_start(view, range.start)..range.start];
    let lead = &before[before.len().saturating_sub(LEAD_BYTES)..];
    let after = &view[range.start..view.len().min(range.start + CITATION_BYTES)];
    let line = after.split(|b| *b == b'\n').next().unwrap_or_default();
    QUOTES.iter().find_map(|(open, close)| {
        let opened =
            memchr::memmem::rfind(lead, open.as_bytes()).filter(|_| opens(lead, open, close))?;
        let start = range.start - (lead.len() - opened);
        let end = range.start + memchr::memmem::find(line, close.as_bytes())?;
        is_in_sentence(&lead[..opened]).then_some(start..end)
    })
}

/// Whether a quote after this is one of prose, not a string of a program or a document of data.
fn is_in_sentence(before: &[u8]) -> bool {
    let before = before.trim_ascii_end();
    let is_data = before.ends_with(b"\":")
        || before.ends_with(b"':")
        || before.last().is_none_or(|b| b"=[{,(<".contains(b));
    !is_data
}

/// Where the line of a place begins.
fn line_start(view: &[u8], at: usize) -> usize {
    view[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)
}

fn is_cited(view: &[u8], range: &Range<usize>) -> bool {
    let marks = view[range.clone()]
        .iter()
        .take_while(|b| b.is_ascii_whitespace() || b.is_ascii_punctuation())
        .count();
    let start = range.start + marks;
    let before = &view[line_start(view, start)..start];
    is_quoted(before, &view[range.end..]) || is_listed(before) || is_within_sentence(before)
}

/// Pairs of quotes.
const QUOTES: [(&str, &str); 11] = [
    ("\"", "\""),
    ("'", "'"),
    ("`", "`"),
    ("“", "”"),
    ("„", "“"),
    ("‘", "’"),
    ("«", "»"),
    ("「", "」"),
    ("『", "』"),
    ("»", "«"),
    ("&quot;", "&quot;"),
];

/// A quote opens shortly before and closes soon after, on the same line.
fn is_quoted(before: &[u8], after: &[u8]) -> bool {
    let before = &before[before.len().saturating_sub(LEAD_BYTES)..];
    let after = &after[..after.len().min(CITATION_BYTES)];
    let line = after.split(|b| *b == b'\n').next().unwrap_or_default();
    QUOTES.iter().any(|(open, close)| {
        opens(before, open, close) && memchr::memmem::find(line, close.as_bytes()).is_some()
    })
}

/// Whether a quote that opens in a part of a line is not closed in it. Where both marks are one, it opens after no
/// letter, as an apostrophe does not.
fn opens(part: &[u8], open: &str, close: &str) -> bool {
    let Some(at) = memchr::memmem::rfind(part, open.as_bytes()) else {
        return false;
    };
    let inside = &part[at + open.len()..];
    let is_start = at == 0 || !part[at - 1].is_ascii_alphanumeric();
    is_start && memchr::memmem::find(inside, close.as_bytes()).is_none()
}

/// It heads an item of a list, a cell of a table, a quoted or a commented line.
fn is_listed(before: &[u8]) -> bool {
    const TAGS: [&str; 7] = [
        "<li>",
        "<code>",
        "<td>",
        "<pre>",
        "<blockquote>",
        "<em>",
        "<q>",
    ];
    let before = before.trim_ascii();
    let is_mark = |b: &u8| b"-*>|#/0123456789.)".contains(b);
    let is_head =
        !before.is_empty() && before.iter().all(|b| is_mark(b) || b.is_ascii_whitespace());
    is_head || before.ends_with(b"|") || TAGS.iter().any(|tag| before.ends_with(tag.as_bytes()))
}

/// Words before it in its sentence that are looked at, and the bytes that they take at most.
const REPORT_WORDS: usize = 12;
const REPORT_BYTES: usize = 200;

/// The sentence reports a command: `makes a model ignore ...`, `told to ignore ...`.
fn is_within_sentence(before: &[u8]) -> bool {
    let before = &before[before.len().saturating_sub(REPORT_BYTES)..];
    let mut lower = Vec::new();
    text::lower(before, &mut lower);
    let is_mark = |byte: &u8| b".!?:;\">".contains(byte);
    let sentence = lower.rsplit(is_mark).next().unwrap_or_default();
    let words = sentence.rsplit(u8::is_ascii_whitespace);
    let mut words = words.filter(|word| !word.is_empty()).take(REPORT_WORDS);
    words.any(is_told_of)
}

/// Whether the words before an imperative make it a report of one: `told to ignore`, `the linter will
/// ignore`, `esta clase ignora`. What the agent will do is an order.
pub(super) fn is_told_at(text: &[u8], at: usize) -> bool {
    const AGENTS: [&[u8]; 8] = [
        b"you",
        b"ai",
        b"assistant",
        b"agent",
        b"model",
        b"bot",
        b"chatbot",
        b"llm",
    ];
    let Some(before) = text::word_before(text, at) else {
        return is_told_unspaced(&text[..at]);
    };
    let is_will = &text[before.clone()] == b"will";
    let who = text::word_before(text, before.start).filter(|_| is_will);
    is_told_of(&text[before.clone()])
        || who.is_some_and(|who| !AGENTS.contains(&&text[who]))
        || is_third_person(&text[at..]) && !leads_to_order(&text[before])
}

/// In Spanish, Portuguese and Italian what somebody does is spelt as what somebody is told to do.
fn is_third_person(verb: &[u8]) -> bool {
    const VERBS: [&str; 8] = [
        "ignora ",
        "olvida ",
        "omite ",
        "descarta ",
        "desatiende ",
        "esquece ",
        "trascura ",
        "dimentica ",
    ];

    VERBS.iter().any(|own| verb.starts_with(own.as_bytes()))
}

/// Words after which such a verb is an order all the same: it has no subject before it.
fn leads_to_order(word: &[u8]) -> bool {
    const WORDS: &str = "y e o pero mas ma favor ahora agora adesso ora luego entonces simplemente simplesmente \
        simplemente solo primero primeiro prima poi tambi bien bem ia ai asistente assistente";

    WORDS.split(' ').any(|own| own.as_bytes() == word)
}

/// The same in scripts that do not part words: what may, will or must not be done, or was mended, unless the agent
/// is who does it.
fn is_told_unspaced(before: &[u8]) -> bool {
    const ENDS: [&str; 9] = [
        "修复", "修正", "会", "會", "可能", "被", "自动", "导致", "可以",
    ];

    const AGENTS: [&str; 5] = ["你", "您", "助手", "模型", "ai"];

    let mut told = ENDS
        .iter()
        .filter_map(|end| before.strip_suffix(end.as_bytes()));
    told.any(|who| !AGENTS.iter().any(|agent| who.ends_with(agent.as_bytes())))
}

fn is_told_of(word: &[u8]) -> bool {
    const WORDS: &str = "to can could should would may might does did that which who they it he she we \
        not never or user users model models parser compiler people attacker attackers don't cannot";

    WORDS.split(' ').any(|own| own.as_bytes() == word)
}
