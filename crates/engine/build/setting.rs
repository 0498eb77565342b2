//! Secrets without a shape of their own: a provider's name, a word for a credential, and a value.

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

/// The words for a credential. The two-letter one keeps the rest from being a literal that every
/// such pattern would wake at.
const NOUNS: &str = "key|token|secret|password|passwd|pw|auth|credential|api|sid|pat|webhook";

/// A shorter name is likely a part of another word, and must stand at its start.
const NAME_LEN_SURE: usize = 6;

impl SettingSource {
    /// The pattern that this is short for.
    pub(crate) fn pattern(&self) -> PatternSource {
        let names: Vec<String> = self
            .names
            .iter()
            .map(|n| n.replace(' ', "[ _.-]?"))
            .collect();
        let is_short = self.names.iter().any(|name| name.len() < NAME_LEN_SURE);
        let start = if is_short { "(?:^|[^a-zA-Z])" } else { "" };
        let regex = format!(
            "{start}(?i:(?:{names})[\\w.\\s:{{\\x22'/-]{{0,32}}?(?:{NOUNS})[\\w. -]{{0,12}}\
             [\\s\\x22'`=:>,|\\]()\\\\]{{1,8}}(?:(?:is|value|bearer|token|basic)[\\s\\x22'`=:]{{1,4}})?)\
             ({value})(?:[^A-Za-z0-9_+/=-]|$)",
            names = names.join("|"),
            value = self.value,
        );
        PatternSource {
            literals: self.names.iter().flat_map(|name| spellings(name)).collect(),
            regex,
        }
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
