//! The form of the injection model, `rules/scored/injection.yaml`, and how it is written as statics.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

/// Letters between two steps of a signal, where it does not say.
const GAP_DEFAULT: u32 = 28;

/// The order of steps is tried in every way, so there can be few.
const STEPS_MAX: usize = 3;

/// The concept whose words talk about attacks.
const ABOUT: &str = "about";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelSource {
    warn: i32,
    block: i32,
    about: i32,
    concepts: BTreeMap<String, Vec<String>>,
    signals: Vec<SignalSource>,
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

/// Reads the model and writes it as `MODEL`.
pub(crate) fn model(path: &Path) -> Result<String, String> {
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let model: ModelSource =
        serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    emit(&model).map_err(|e| format!("{}: {e}", path.display()))
}

fn emit(model: &ModelSource) -> Result<String, String> {
    let names: Vec<&str> = model.concepts.keys().map(String::as_str).collect();
    let about = names.binary_search(&ABOUT);
    let about = about.map_err(|_| format!("no concept {ABOUT}"))?;
    let mut out = format!(
        "static MODEL: Model = Model {{\nwarn: {},\nblock: {},\nabout: {},\n\
         about_concept: {about},\nconcepts: {},\nlexemes: &[\n",
        model.warn,
        model.block,
        model.about,
        names.len()
    );
    for ((text, is_stem), concepts) in lexemes(model) {
        if text.is_empty() || text != text.to_lowercase() {
            return Err(format!("{text:?} is not lower-case"));
        }
        let concepts: Vec<u8> = concepts.into_iter().collect();
        writeln!(
            out,
            "Lexeme {{ text: {text:?}, is_stem: {is_stem}, concepts: &{concepts:?} }},"
        )
        .expect("a String takes all");
    }
    out.push_str("],\nsignals: &[\n");
    for signal in &model.signals {
        out.push_str(&self::signal(signal, &names)?);
    }
    out.push_str("],\n};\n");
    Ok(out)
}

/// Each word once, with whether it is a stem, and the concepts that it stands for.
fn lexemes(model: &ModelSource) -> BTreeMap<(&str, bool), BTreeSet<u8>> {
    let mut lexemes: BTreeMap<(&str, bool), BTreeSet<u8>> = BTreeMap::new();
    for (concept, words) in model.concepts.values().enumerate() {
        for word in words {
            let stem = word.strip_suffix('*');
            let key = (stem.unwrap_or(word), stem.is_some());
            lexemes.entry(key).or_default().insert(concept as u8);
        }
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
    let mut steps = Vec::new();
    for step in &signal.steps {
        let index = |name: &str| {
            names
                .binary_search(&name)
                .map_err(|_| format!("signal {id}: no concept {name}"))
        };
        let concepts: Result<Vec<usize>, String> = step.split('|').map(index).collect();
        steps.push(format!("&{:?}", concepts?));
    }
    Ok(format!(
        "Signal {{ id: {id:?}, steps: &[{}], gap: {}, is_any: {any}, is_across: {across}, \
         weight: {weight}, headless: {} }},\n",
        steps.join(", "),
        signal.gap.unwrap_or(GAP_DEFAULT),
        signal.headless.unwrap_or(*weight),
    ))
}
