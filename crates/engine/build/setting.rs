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
        let is_short = self.names.iter().any(|name| name.len() < NAME_LEN_SURE);
        let regex = format!(
            "{start}(?i:{name}[\\w. -]{{0,12}}\
             [\\s\\x22'`=:>,|\\]()\\\\]{{1,8}}(?:(?:is|value|bearer|token|basic)[\\s\\x22'`=:]{{1,4}})?)\
             ({value})(?:[^A-Za-z0-9_+/=-]|$)",
            start = if is_short { "(?:^|[^a-zA-Z])" } else { "" },
            name = self.name(),
            value = self.value,
        );
        PatternSource {
            literals: self.names.iter().flat_map(|name| spellings(name)).collect(),
            regex,
        }
    }

    /// A name, and after it or as its last word a word for a credential.
    fn name(&self) -> String {
        let nouns: Vec<&str> = NOUNS.split('|').collect();
        let is_whole = |name: &&String| name.rsplit(' ').next().is_some_and(|w| nouns.contains(&w));
        let any = |names: Vec<&String>| {
            let names: Vec<_> = names.iter().map(|n| n.replace(' ', "[ _.-]?")).collect();
            names.join("|")
        };
        let whole = any(self.names.iter().filter(is_whole).collect());
        let noun_after = format!(
            "(?:{names})[\\w.\\s:{{\\x22'/-]{{0,32}}?(?:{NOUNS})",
            names = any(self.names.iter().collect()),
        );
        match whole.is_empty() {
            true => noun_after,
            false => format!("(?:{whole}|{noun_after})"),
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
