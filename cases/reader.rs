//! Reads the corpus. The tests of every crate that runs it include this file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use carboy_engine::{Asked, Known, Policy, Preset};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    cases: Vec<Case>,
}

/// One case as written. `README.md` tells what its keys mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "no crate's adapters need all of it")]
pub(crate) struct Case {
    pub(crate) name: String,
    #[serde(default = "balanced")]
    pub(crate) policy: String,
    #[serde(default = "http_request")]
    pub(crate) crossing: String,
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) urls: Vec<String>,
    pub(crate) target: Option<String>,
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<String>,
    pub(crate) body: Option<String>,
    pub(crate) body_base64: Option<String>,
    #[serde(default = "once")]
    pub(crate) times: u64,
    #[serde(default)]
    pub(crate) every: u64,
    #[serde(default)]
    pub(crate) known: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) canaries: BTreeMap<String, String>,
    pub(crate) resolve: Option<Vec<IpAddr>>,
    pub(crate) expect: String,
    pub(crate) rule: Option<String>,
    pub(crate) surface: Option<String>,
    pub(crate) remedy: Option<String>,
    #[serde(default)]
    pub(crate) findings: Vec<String>,
    pub(crate) shadow: Option<String>,
    pub(crate) resolves: Option<bool>,
}

fn balanced() -> String {
    "balanced".into()
}

fn http_request() -> String {
    "http-request".into()
}

fn once() -> u64 {
    1
}

/// Every case of every file, in the order of the files' names.
pub(crate) fn all() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let entries = std::fs::read_dir(dir).expect("the corpus");
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|own| own == "yaml"));
    paths.sort();
    paths.iter().flat_map(|path| read(path)).collect()
}

fn read(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path)
        .expect("a file")
        .replace("<>", "");
    let mut file: CaseFile =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    for case in &mut file.cases {
        if let Some(last) = case.urls.last() {
            case.url = Some(last.clone());
            case.times = case.urls.len() as u64;
        }
    }
    file.cases
}

impl Case {
    /// The policy that judges.
    pub(crate) fn parsed_policy(&self) -> Policy {
        match Preset::named(&self.policy) {
            Some(preset) => Policy::preset(preset),
            None => Policy::parse(&self.policy, &self.name).expect("a case's policy parses"),
        }
    }

    /// The values that the engine knows.
    pub(crate) fn knowledge(&self) -> Known {
        let mut known = Known::default();
        for (name, value) in &self.known {
            let is_kept = known.add(name, value.as_bytes(), Asked::ByName);
            assert!(is_kept, "{}: {name} is too plain", self.name);
        }
        for (name, value) in &self.canaries {
            assert!(known.add_canary(name, value.as_bytes()), "{}", self.name);
        }
        known
    }

    /// Cases with the same text here are judged by engines that are alike.
    pub(crate) fn engine_key(&self) -> String {
        format!("{}{:?}{:?}", self.policy, self.known, self.canaries)
    }

    /// The URL of a crossing, counted from 0. `{n}` in it is that number.
    pub(crate) fn url_at(&self, index: u64) -> Option<String> {
        let own = self.urls.get(index as usize).or(self.url.as_ref());
        own.map(|url| url.replace("{n}", &index.to_string()))
    }

    /// The body, as it is or from base64.
    pub(crate) fn body(&self) -> Vec<u8> {
        let decode = |text: &String| {
            let text: String = text.split_whitespace().collect();
            data_encoding::BASE64
                .decode(text.as_bytes())
                .expect("base64")
        };
        let plain = self.body.as_ref().map(|text| text.clone().into_bytes());
        plain
            .or_else(|| self.body_base64.as_ref().map(decode))
            .unwrap_or_default()
    }
}
