//! `rules/views/clues.yaml`, spelled as the views would show it that it wakes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use crate::misspelt;
use crate::source::RuleSource;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Clues {
    prefixes: Vec<String>,
    words: Vec<String>,
    vowels: Vec<String>,
    other_words: Vec<String>,
    whole_heads: Vec<String>,
    run_together: Vec<String>,
    lexicon: Vec<String>,
    marks: BTreeMap<String, Vec<String>>,
}

/// Fewer letters before markup are met at every turn.
const CUT_BYTES_MIN: usize = 3;

/// So much of a rule's literal is enough to wake a view; more would make the gate larger.
const PREFIX_BYTES: usize = 5;

pub(crate) fn read(path: &Path) -> Result<Clues, String> {
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

impl Clues {
    /// A pattern for each kind of clue. Their regexes are never run.
    pub(crate) fn patterns(&self) -> Vec<RuleSource> {
        let spell = |spell: fn(&str) -> String| self.spelled().map(|text| spell(&text)).collect();
        let respelt = self.words.iter().flat_map(|word| leet(word));
        let respelt = respelt.chain(self.words.iter().flat_map(|word| self.misspelt(word)));
        let respelt = respelt.chain(self.vowels.iter().flat_map(|word| self.other_vowels(word)));
        let kinds = [
            (
                "rot13",
                spell(|text| head(text).chars().map(rot13).collect()),
            ),
            (
                "rot47",
                spell(|text| head(text).chars().map(rot47).collect()),
            ),
            ("reversed", spell(|text| head(text).chars().rev().collect())),
            ("respelt", respelt.collect()),
            ("marked", self.cut()),
            ("run-together", self.run_together.clone()),
        ];
        let kinds = kinds.map(|(kind, literals)| RuleSource::clue(kind, literals));
        let quoted: Vec<String> = (b' '..=b'~').map(|byte| format!("={byte:02X}=")).collect();
        let marks = self.marks.iter().map(|(kind, literals)| {
            let more = quoted.iter().filter(|_| kind == "quoted");
            RuleSource::clue(kind, literals.iter().chain(more).cloned().collect())
        });
        kinds.into_iter().chain(marks).collect()
    }

    /// What is looked for in other spellings: words with a capital too, which is another sign there.
    fn spelled(&self) -> impl Iterator<Item = String> {
        let capital = |word: &String| word[..1].to_uppercase() + &word[1..];
        let all = self.prefixes.iter().chain(&self.words).cloned();
        all.chain(self.words.iter().map(capital))
    }

    /// `LEXICON`.
    pub(crate) fn lexicon(&self) -> String {
        format!("static LEXICON: &[&str] = &{:?};\n", self.lexicon)
    }

    /// A word with one letter left out, written twice, or changed for the next; but not what other words hold.
    fn misspelt(&self, word: &str) -> Vec<String> {
        let mut all = misspelt::of(word);
        // Of a word's beginning alone, a letter less at its ends is a part of it.
        all.retain(|other| {
            !word.contains(other) && !self.other_words.iter().any(|own| own.contains(other))
        });
        all
    }

    /// `MARKED`: the beginnings of words, as markup within them leaves them.
    fn cut(&self) -> Vec<String> {
        let heads = self.words.iter().flat_map(|word| {
            let lens = CUT_BYTES_MIN..word.len();
            lens.map(move |len| word[..len].to_owned())
        });
        let mut heads: Vec<String> = heads.filter(|head| !head.ends_with(' ')).collect();
        heads.retain(|head| !self.whole_heads.contains(head));
        heads.into_iter().map(|head| head + "<").collect()
    }

    /// A word with any other vowels.
    fn other_vowels(&self, word: &str) -> Vec<String> {
        let choices = |c: char| match c {
            'a' | 'e' | 'i' | 'o' | 'u' => "aeiou".to_owned(),
            other => other.to_string(),
        };
        let mut all = product(word, choices);
        all.retain(|other| {
            !self
                .other_words
                .iter()
                .any(|honest| honest.contains(other) || other.contains(honest))
        });
        all
    }
}

fn head(text: &str) -> &str {
    text.get(..PREFIX_BYTES).unwrap_or(text)
}

/// A word with any of its letters as digits or signs that look like them.
fn leet(word: &str) -> Vec<String> {
    product(word, |c| match c {
        'a' => "a4@".into(),
        'e' => "e3".into(),
        'g' => "g9".into(),
        'i' => "i1!".into(),
        'o' => "o0".into(),
        's' => "s5$".into(),
        't' => "t7".into(),
        other => other.to_string(),
    })
}

/// Each spelling of a word but its own.
fn product(word: &str, choices: impl Fn(char) -> String) -> Vec<String> {
    let mut all = vec![String::new()];
    for c in word.chars() {
        let choices = choices(c);
        let longer = all
            .iter()
            .flat_map(|start| choices.chars().map(move |c| format!("{start}{c}")));
        all = longer.collect();
    }
    all.retain(|other| other != word);
    all
}

fn rot13(c: char) -> char {
    let turn = |first: u8| char::from((c as u8 - first + 13) % 26 + first);
    match c {
        'a'..='z' => turn(b'a'),
        'A'..='Z' => turn(b'A'),
        other => other,
    }
}

fn rot47(c: char) -> char {
    match c {
        '!'..='~' => char::from((c as u8 - b'!' + 47) % 94 + b'!'),
        other => other,
    }
}
