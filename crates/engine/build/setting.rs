//! Secrets without a shape of their own: a provider's name, a word for a credential, and a value.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::source::PatternSource;

/// `ACME_API_KEY=VALUE`, `"acmeToken": "VALUE"`, `acme.secret: VALUE`, `--acme-key VALUE` and so on.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct SettingSource {
    /// Names of the provider in lower case. A space stands for any mark between words, or none.
    names: Vec<String>,
    /// A regex of the value alone. Case matters in it.
    value: String,
}

/// The words for a credential. Those that begin other words (`author`, `path`, `inside`) must end
/// there. The two-letter one keeps the rest from being a literal that every such pattern would
/// wake at.
const NOUNS: &str = "key|token|secret|password|passwd|pwd|pw\\b|auth\\b|authorization|credential|\
                     api\\b|[_ .-](?:pat|sid)\\b|webhook";

/// Of those, the ones that a name may end in.
const LAST_WORDS: [&str; 4] = ["key", "token", "secret", "api"];

/// A shorter name is likely a part of another word, and must stand at its start.
const NAME_LEN_SURE: usize = 6;

impl SettingSource {
    /// The pattern that this is short for.
    pub(crate) fn pattern(&self) -> PatternSource {
        let stems: BTreeSet<&str> = self.names.iter().map(|name| stem(name)).collect();
        let is_short = stems.iter().any(|stem| stem.len() < NAME_LEN_SURE);
        let spelled: Vec<String> = stems.iter().map(|s| s.replace(' ', "[ _.-]?")).collect();
        let regex = format!(
            "{start}(?i:(?:{names})[\\w.\\s:{{\\x22'/-]{{0,32}}?(?:{NOUNS})[\\w. -]{{0,12}}\
             [\\s\\x22'`=:>,|\\]()\\\\]{{1,8}}(?:(?:is|value|bearer|token|basic)[\\s\\x22'`=:]{{1,4}})?)\
             ({value})(?:[^A-Za-z0-9_+/=-]|$)",
            start = if is_short { "(?:^|[^a-zA-Z])" } else { "" },
            names = spelled.join("|"),
            value = self.value,
        );
        PatternSource {
            literals: self.names.iter().flat_map(|name| spellings(name)).collect(),
            regex,
            reach: None,
        }
    }
}

/// A name without the word for a credential that it may end in: the whole name wakes the regex,
/// which then looks for such a word anywhere after the rest.
fn stem(name: &str) -> &str {
    match name.rsplit_once(' ') {
        Some((stem, last)) if LAST_WORDS.contains(&last) => stem,
        Some(_) | None => name,
    }
}

/// A name with each mark that may stand for its spaces.
fn spellings(name: &str) -> Vec<String> {
    if !name.contains(' ') {
        return vec![name.to_owned()];
    }
    let marks = ["", " ", "_", "-", "."];
    marks.iter().map(|mark| name.replace(' ', mark)).collect()
}
