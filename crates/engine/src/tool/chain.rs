//! Sequences of calls, as data: `rules/calls/chains.yaml`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;
use std::time::Duration;

use serde::Deserialize;

use super::act::Acts;
use super::rule::{Clause, Grade};
use super::{Match, family, holds};

/// The chains, read when the first call is judged.
pub(crate) static CHAINS: LazyLock<Chains> = LazyLock::new(|| {
    let text = include_str!("../../../../rules/calls/chains.yaml");
    serde_saphyr::from_str(text).expect("the chains are tested to parse")
});

/// Calls remembered. No chain is longer with its gaps.
const PAST_MAX: usize = 256;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chains {
    classes: BTreeMap<String, Class>,
    pub(crate) chains: Vec<Chain>,
}

/// How a class of calls is told: by any of these.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Class {
    /// Words of the tool's name.
    words: Vec<String>,
    any: Vec<Clause>,
    /// Rules that the call breaks.
    rules: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Chain {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) steps: Vec<String>,
    /// What the first and the last step must be about.
    #[serde(default)]
    same: Option<Same>,
    gap: usize,
    /// In seconds.
    window: u64,
    pub(crate) order: Becomes,
    pub(crate) flow: Becomes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Same {
    Path,
}

/// What becomes of a chain where the policy does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Becomes {
    Block,
    Warn,
    Off,
}

/// The classes of one call, a bit each in the order of their names.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kinds(u32);

impl Kinds {
    pub(crate) const NONE: Self = Self(0);

    /// The class of this name; none where there is no such class.
    pub(crate) fn named(name: &str) -> Self {
        let at = CHAINS.classes.keys().position(|own| own == name);
        Self(at.map_or(0, |at| 1 << at))
    }

    pub(crate) fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// One call, as chains see it.
#[derive(Debug, Clone)]
pub(crate) struct Deed {
    pub(crate) kinds: Kinds,
    /// Hashes of the paths that it is about.
    pub(crate) paths: Vec<u64>,
    /// Since the gate started.
    pub(crate) at: Duration,
}

/// A chain that a call ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ended {
    pub(crate) chain: &'static Chain,
    /// Whether bytes that the first step brought go on.
    pub(crate) flows: bool,
}

impl Ended {
    pub(crate) fn becomes(self) -> Becomes {
        match self.flows {
            true => self.chain.flow,
            false => self.chain.order,
        }
    }

    pub(crate) fn severity(self) -> Grade {
        match self.becomes() {
            Becomes::Block => Grade::High,
            Becomes::Warn | Becomes::Off => Grade::Medium,
        }
    }
}

/// The classes of a call.
pub(crate) fn kinds(tool: &str, acts: &Acts, matches: &[Match]) -> Kinds {
    let words = family::words(tool);
    let mut kinds = Kinds::NONE;
    for (at, class) in CHAINS.classes.values().enumerate() {
        let is_said = class.words.iter().any(|word| words.contains(word));
        let is_broken = || matches.iter().any(|own| class.rules.contains(&own.rule.id));
        let does = || {
            let mut all = acts.all.iter().zip(&acts.classes);
            all.any(|(act, own)| class.any.iter().any(|clause| holds(clause, act, own, acts)))
        };
        if is_said || is_broken() || does() {
            kinds = kinds.and(Kinds(1 << at));
        }
    }
    kinds
}

/// The calls that were made.
#[derive(Debug, Default)]
pub(crate) struct Past {
    deeds: VecDeque<Deed>,
}

impl Past {
    pub(crate) fn push(&mut self, deed: Deed) {
        if self.deeds.len() == PAST_MAX {
            self.deeds.pop_front();
        }
        self.deeds.push_back(deed);
    }

    /// The chains that a call would end. `flowing` are the classes of calls whose results it holds bytes of.
    pub(crate) fn ends(&self, deed: &Deed, flowing: Kinds) -> Vec<Ended> {
        let ended = CHAINS.chains.iter().filter_map(|chain| {
            let flows = flowing.meets(Kinds::named(&chain.steps[0]));
            // Bytes that flow are proof enough: the order of what lay between is not asked for.
            let is_last = deed.kinds.meets(Kinds::named(chain.steps.last()?));
            let is_ended = match flows && chain.same.is_none() {
                true => is_last,
                false => self.is_ended(chain, deed),
            };
            let ended = Ended { chain, flows };
            (is_ended && ended.becomes() != Becomes::Off).then_some(ended)
        });
        ended.collect()
    }

    fn is_ended(&self, chain: &Chain, deed: &Deed) -> bool {
        let mut steps = chain
            .steps
            .iter()
            .rev()
            .map(|step| Kinds::named(step))
            .peekable();
        // One call may be several of the last steps, but the same kind of step once.
        let mut left = deed.kinds;
        let mut is_begun = false;
        while let Some(step) = steps.next_if(|step| left.meets(*step)) {
            left = left.without(step);
            is_begun = true;
        }
        if !is_begun {
            return false;
        }
        let mut gap = 0;
        let mut first = deed;
        for past in self.deeds.iter().rev() {
            let Some(step) = steps.peek() else { break };
            if deed.at.saturating_sub(past.at).as_secs() > chain.window || gap > chain.gap {
                return false;
            }
            if past.kinds.meets(*step) && is_about(chain, past, deed) {
                steps.next();
                (gap, first) = (0, past);
            } else {
                gap += 1;
            }
        }
        let is_one_call = std::ptr::eq(first, deed);
        steps.peek().is_none() && !(chain.same.is_some() && is_one_call)
    }
}

fn is_about(chain: &Chain, past: &Deed, deed: &Deed) -> bool {
    match chain.same {
        Some(Same::Path) => past.paths.iter().any(|own| deed.paths.contains(own)),
        None => true,
    }
}
