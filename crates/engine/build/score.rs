//! The form of a model of weak signals, `rules/scored/*.yaml`, and how it is written as statics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::ops::{Range, RangeInclusive};
use std::path::Path;

use serde::Deserialize;

use crate::letter::is_letter;
use crate::opening;
use crate::source::{PatternSource, RuleSource};
use crate::trie;

/// Letters between two steps of a signal, where it does not say.
const GAP_DEFAULT: u32 = 28;

/// The order of steps is tried in every way, so there can be few.
const STEPS_MAX: usize = 3;

/// A set of kinds of cues is a number of so many bits.
const CUES_MAX: usize = 32;

/// So many are counted at a place.
const SIGNALS_MAX: usize = 256;

/// A set of concepts is a number of so many bits.
const CONCEPTS_MAX: usize = 128;

/// The concept whose words talk about attacks.
const ABOUT: &str = "about";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSource {
    warn: i32,
    block: i32,
    about: i32,
    cues: CuesSource,
    concepts: BTreeMap<String, Vec<String>>,
    signals: Vec<SignalSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CuesSource {
    enough: u8,
    glance: i32,
    kinds: Vec<CueSource>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CueSource {
    points: u8,
    words: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignalSource {
    id: String,
    steps: Vec<String>,
    weight: i32,
    /// The weight where its first step does not begin a clause.
    headless: Option<i32>,
    gap: Option<u32>,
    /// Whether the steps may come in any order.
    #[serde(default)]
    any: bool,
    /// Whether the steps may lie in different sentences.
    #[serde(default)]
    across: bool,
}

/// The model as Rust statics, and the trie of its words.
pub(crate) struct Model {
    /// The patterns that stand for kinds of cues.
    pub(crate) cues: Range<usize>,
    pub(crate) statics: String,
    pub(crate) trie: Vec<u8>,
    /// The set of how its words begin.
    pub(crate) openings: Vec<u8>,
}

/// Reads the model of weak signals in a directory that one of the rules names, and gives that rule the
/// model's cues as patterns.
pub(crate) fn model(dir: &Path, rules: &mut [RuleSource]) -> Result<Model, String> {
    let scored = rules.iter_mut().position(|rule| rule.scored.is_some());
    let (before, rest) = rules.split_at_mut(scored.ok_or("no rule names a model")?);
    let first = before.iter().map(|rule| rule.patterns().len()).sum();
    let rule = &mut rest[0];
    let path = &dir.join(format!(
        "{}.yaml",
        rule.scored.as_deref().unwrap_or_default()
    ));
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let model: ModelSource =
        serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    rule.patterns = patterns(&model.cues);
    emit(&model, first).map_err(|e| format!("{}: {e}", path.display()))
}

/// A pattern of each kind of cue, for the literal sweep alone.
fn patterns(cues: &CuesSource) -> Vec<PatternSource> {
    let pattern = |kind: &CueSource| PatternSource {
        literals: kind.words.iter().flat_map(|word| cased(word)).collect(),
        regex: String::new(),
        reach: Some(0),
    };
    cues.kinds.iter().map(pattern).collect()
}

/// The sweep folds the case of ASCII alone: a word that begins otherwise may begin a sentence too.
fn cased(word: &str) -> BTreeSet<String> {
    let mut chars = word.chars();
    let capital = chars.next().into_iter().flat_map(|first| {
        let is_folded = first.is_ascii();
        first
            .to_uppercase()
            .map(move |c| if is_folded { first } else { c })
    });
    let capitalised = capital.chain(chars.clone()).collect();
    BTreeSet::from([word.to_owned(), capitalised])
}

fn emit(model: &ModelSource, first_cue: usize) -> Result<Model, String> {
    let points: Vec<u8> = model.cues.kinds.iter().map(|kind| kind.points).collect();
    if points.len() > CUES_MAX {
        return Err(format!("more than {CUES_MAX} kinds of cues"));
    }
    if model.signals.len() > SIGNALS_MAX {
        return Err(format!("more than {SIGNALS_MAX} signals"));
    }
    if model.concepts.len() > CONCEPTS_MAX {
        return Err(format!("more than {CONCEPTS_MAX} concepts"));
    }
    let names: Vec<&str> = model.concepts.keys().map(String::as_str).collect();
    let about = names.binary_search(&ABOUT);
    let about = about.map_err(|_| format!("no concept {ABOUT}"))?;
    let mut out = format!(
        "static MODEL: Model = Model {{\nfirst_cue: {first_cue},\ncues: &{points:?},\n\
         enough: {},\nglance: {},\nwarn: {},\nblock: {},\nabout: {},\n\
         about_concept: {about},\nconcepts: {},\nlexemes: &[\n",
        model.cues.enough,
        model.cues.glance,
        model.warn,
        model.block,
        model.about,
        names.len()
    );
    let lexemes = lexemes(model);
    for (text, Lexeme { stem, whole }) in &lexemes {
        if text.is_empty() || *text != text.to_lowercase() {
            return Err(format!("{text:?} is not lower-case"));
        }
        writeln!(
            out,
            "Lexeme {{ #[cfg(test)] text: {text:?}, stem: &{:?}, whole: &{:?} }},",
            Vec::from_iter(stem),
            Vec::from_iter(whole)
        )
        .expect("a String takes all");
    }
    out.push_str("],\nsignals: &[\n");
    for signal in &model.signals {
        out.push_str(&self::signal(signal, &names)?);
    }
    out.push_str("],\n};\n");
    Ok(Model {
        cues: first_cue..first_cue + points.len(),
        statics: out,
        trie: trie::build(lexemes.keys().copied()),
        openings: openings(lexemes.keys().copied()),
    })
}

/// The set of how words begin: a bit for each beginning in each spelling.
fn openings<'a>(words: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let mut set = vec![0; opening::SET_LEN];
    for word in words {
        let [first, second, third] = [0, 1, 2].map(|index| spellings(word.as_bytes(), index));
        for (a, b, c) in first.flat_map(|a| {
            let third = third.clone();
            second
                .clone()
                .flat_map(move |b| third.clone().map(move |c| (a, b, c)))
        }) {
            let (byte, bit) = opening::bit([a, b, c]);
            set[byte] |= bit;
        }
    }
    set
}

/// The bytes that may stand at an index of a text where a word begins: its own, or any after its end
/// and from white space and apostrophes on, which may be spelt with more bytes or fewer.
fn spellings(word: &[u8], index: usize) -> RangeInclusive<u8> {
    let is_spelt_variously = |byte: &u8| matches!(byte, b' ' | b'\'');
    match word.get(index) {
        Some(byte) if !word[..=index].iter().any(is_spelt_variously) => *byte..=*byte,
        Some(_) | None => u8::MIN..=u8::MAX,
    }
}

/// What a word stands for: where any letter may follow, and where none does.
#[derive(Default)]
struct Lexeme {
    stem: BTreeSet<u8>,
    whole: BTreeSet<u8>,
}

/// Each word once. After a mark, or a script that does not part words, nothing can follow that would
/// make it another word.
fn lexemes(model: &ModelSource) -> BTreeMap<&str, Lexeme> {
    let mut lexemes: BTreeMap<&str, Lexeme> = BTreeMap::new();
    for (concept, words) in model.concepts.values().enumerate() {
        for word in words {
            let stem = word.strip_suffix('*');
            let text = stem.unwrap_or(word);
            let lexeme = lexemes.entry(text).or_default();
            let set = if stem.is_some() || !text.ends_with(is_letter) {
                &mut lexeme.stem
            } else {
                &mut lexeme.whole
            };
            set.insert(concept as u8);
        }
    }
    for Lexeme { stem, whole } in lexemes.values_mut() {
        whole.retain(|concept| !stem.contains(concept));
    }
    lexemes
}

fn signal(signal: &SignalSource, names: &[&str]) -> Result<String, String> {
    let SignalSource {
        id,
        weight,
        any,
        across,
        ..
    } = signal;
    if !(1..=STEPS_MAX).contains(&signal.steps.len()) {
        return Err(format!("signal {id} has {} steps", signal.steps.len()));
    }
    let (mut steps, mut sets) = (Vec::new(), Vec::new());
    for step in &signal.steps {
        let index = |name: &str| {
            names
                .binary_search(&name)
                .map_err(|_| format!("signal {id}: no concept {name}"))
        };
        let concepts: Result<Vec<usize>, String> = step.split('|').map(index).collect();
        let concepts = concepts?;
        sets.push(
            concepts
                .iter()
                .fold(0, |set, concept| set | 1u128 << concept),
        );
        steps.push(format!("&{concepts:?}"));
    }
    Ok(format!(
        "Signal {{ id: {id:?}, steps: &[{}], sets: &{sets:?}, gap: {}, is_any: {any}, is_across: {across}, \
         weight: {weight}, headless: {} }},\n",
        steps.join(", "),
        signal.gap.unwrap_or(GAP_DEFAULT),
        signal.headless.unwrap_or(*weight),
    ))
}
