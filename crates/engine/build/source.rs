//! The form of a rule file, and its checks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::Deserialize;

use crate::reach;
use crate::setting::SettingSource;

/// Each rule must show at least this many examples of either kind.
const EXAMPLES_MIN: usize = 2;

/// A literal shorter than this would wake its regex all over ordinary content.
const LITERAL_LEN_MIN: usize = 3;

/// A shorter beginning is met in honest content at every turn.
const BEGINNING_LEN_MIN: usize = 4;

/// The file of documented example keys; every other file of the directory holds rules.
const PUBLISHED: &str = "published.yaml";

/// Never run: it lets a clue's window be as wide as any.
const CLUE_REGEX: &str = r"[\s\S]{0,4096}";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    rules: Vec<RuleSource>,
}

/// One rule as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSource {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) class: Class,
    pub(crate) severity: Severity,
    pub(crate) direction: Direction,
    /// `floor` for a rule that no policy can switch off or exempt.
    #[serde(default)]
    pub(crate) origin: Origin,
    #[serde(default)]
    pub(crate) home: Vec<String>,
    /// The kinds of surface in which the credential may go home; a header where none is named.
    #[serde(default)]
    pub(crate) home_in: Vec<HomeSurface>,
    /// The kinds of surface that the rule looks at; all where none is named.
    #[serde(default)]
    pub(crate) seen_in: Vec<SeenSurface>,
    #[serde(default)]
    pub(crate) literals: Vec<String>,
    pub(crate) regex: Option<String>,
    /// As in [`PatternSource`].
    pub(crate) reach: Option<usize>,
    /// More literals and regexes of the same rule.
    #[serde(default)]
    pub(crate) patterns: Vec<PatternSource>,
    /// A value that only its name tells: see [`SettingSource`].
    pub(crate) setting: Option<SettingSource>,
    /// Where the format is described: the provider's documentation, a standard, or in words.
    #[serde(default)]
    provenance: String,
    /// Found by code of this name over digit, token or word runs, instead of by literals.
    pub(crate) shape: Option<String>,
    /// Found by the model of weak signals of this name in `rules/scored`, which adds its cues as patterns.
    pub(crate) scored: Option<String>,
    #[serde(default)]
    pub(crate) validate: Vec<String>,
    pub(crate) matches: Vec<String>,
    pub(crate) rejects: Vec<String>,
    /// No rule, but what wakes a view: the kind of clue.
    #[serde(skip)]
    pub(crate) clue: Option<String>,
}

/// Literals of which one must be present, and the regex that then decides.
#[derive(Deserialize, Clone)]
#[serde(deny_unknown_fields)]
pub(crate) struct PatternSource {
    pub(crate) literals: Vec<String>,
    pub(crate) regex: String,
    /// How many bytes around a literal a match may reach, where the regex does not tell.
    pub(crate) reach: Option<usize>,
}

#[derive(Deserialize, Debug, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Class {
    Secret,
    Personal,
    Injection,
    Opaque,
}

#[derive(Deserialize, Debug, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Deserialize, Debug, Clone, Copy, Default)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Origin {
    #[default]
    Builtin,
    Floor,
}

#[derive(Deserialize, Debug, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HomeSurface {
    Header,
    Query,
    Path,
    Body,
}

#[derive(Deserialize, Debug, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SeenSurface {
    Definition,
}

#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Outbound,
    Inbound,
    Both,
}

impl Direction {
    /// Whether a rule of this direction judges content that moves `other` way.
    pub(crate) fn covers(self, other: Self) -> bool {
        self == Self::Both || self == other
    }
}

impl RuleSource {
    /// Literals that wake a view of this kind.
    pub(crate) fn clue(kind: &str, literals: Vec<String>) -> Self {
        Self {
            id: String::new(),
            title: String::new(),
            class: Class::Opaque,
            severity: Severity::Low,
            direction: Direction::Both,
            origin: Origin::Builtin,
            home: Vec::new(),
            home_in: Vec::new(),
            seen_in: Vec::new(),
            literals,
            regex: Some(CLUE_REGEX.into()),
            reach: None,
            patterns: Vec::new(),
            setting: None,
            provenance: String::new(),
            scored: None,
            shape: None,
            validate: Vec::new(),
            matches: Vec::new(),
            rejects: Vec::new(),
            clue: Some(kind.into()),
        }
    }

    /// All literal-and-regex pairs, the top-level one first.
    pub(crate) fn patterns(&self) -> Vec<PatternSource> {
        let first = self.regex.iter().map(|regex| PatternSource {
            literals: self.literals.clone(),
            regex: regex.clone(),
            reach: self.reach,
        });
        let setting = self.setting.iter().map(SettingSource::pattern);
        first
            .chain(self.patterns.iter().cloned())
            .chain(setting)
            .collect()
    }

    /// A credential that its own beginning gives away costs nothing to see on its way in too, where it is
    /// recorded: content without it never wakes the rule.
    fn seen_both_ways(mut self) -> Self {
        let is_told_by_beginning = |source: &PatternSource| {
            let mut literals = source.literals.iter();
            literals.all(|literal| literal.len() >= BEGINNING_LEN_MIN)
                && reach::is_anchored(&source.regex, &source.literals)
        };
        let is_credential = matches!(self.class, Class::Secret)
            && matches!(self.direction, Direction::Outbound)
            && self.shape.is_none();
        let is_named = self.setting.is_some() || self.validate.iter().any(|own| own == "setting");
        if is_credential && !is_named && self.patterns().iter().all(is_told_by_beginning) {
            self.direction = Direction::Both;
        }
        self
    }

    fn check(&self) -> Result<(), String> {
        let patterns = self.patterns();
        if patterns.is_empty() && self.shape.is_none() && self.scored.is_none() {
            return Err("needs `regex`, `patterns`, `setting`, `shape` or `scored`".into());
        }
        if matches!(self.class, Class::Secret | Class::Personal) && self.provenance.is_empty() {
            return Err("needs `provenance`: where the format is described".into());
        }
        for pattern in &patterns {
            if pattern.literals.is_empty() {
                return Err(format!("no literals for regex {}", pattern.regex));
            }
            if let Some(short) = pattern.literals.iter().find(|l| l.len() < LITERAL_LEN_MIN) {
                return Err(format!(
                    "literal {short:?} is under {LITERAL_LEN_MIN} bytes"
                ));
            }
            regex::bytes::RegexBuilder::new(&pattern.regex)
                .unicode(false)
                .build()
                .map_err(|error| error.to_string())?;
        }
        if self.matches.len() < EXAMPLES_MIN || self.rejects.len() < EXAMPLES_MIN {
            return Err(format!("needs {EXAMPLES_MIN} `matches` and `rejects`"));
        }
        Ok(())
    }
}

/// Reads and checks every rule file of a directory, in the files' order by name.
pub(crate) fn read_all(dir: &Path) -> Result<Vec<RuleSource>, String> {
    let mut rules = Vec::new();
    let mut ids = BTreeSet::new();
    for path in yaml_files(dir).map_err(|error| format!("{}: {error}", dir.display()))? {
        println!("cargo:rerun-if-changed={}", path.display());
        let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let file: RuleFile =
            serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        for rule in file.rules {
            rule.check()
                .map_err(|e| format!("{}: rule {}: {e}", path.display(), rule.id))?;
            if !ids.insert(rule.id.clone()) {
                return Err(format!("{}: rule {} twice", path.display(), rule.id));
            }
            rules.push(rule.seen_both_ways());
        }
    }
    Ok(rules)
}

fn yaml_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir)?.collect::<io::Result<Vec<_>>>()?;
    let mut files: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    files.retain(|path| path.file_name().is_some_and(|name| name != PUBLISHED));
    files.sort();
    Ok(files)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedFile {
    published: Vec<PublishedSource>,
}

/// A key that everyone may read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishedSource {
    value: String,
    /// The document that prints it.
    provenance: String,
}

/// A shorter example may stand in an honest key by chance.
const PUBLISHED_LEN_MIN: usize = 16;

/// The example keys that documentation prints.
pub(crate) fn read_published(dir: &Path) -> Result<Vec<String>, String> {
    let path = dir.join(PUBLISHED);
    println!("cargo:rerun-if-changed={}", path.display());
    let text = fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let file: PublishedFile =
        serde_saphyr::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let values = file.published.into_iter().map(|published| {
        if published.provenance.is_empty() || published.value.len() < PUBLISHED_LEN_MIN {
            return Err(format!("{}: an entry is too short", path.display()));
        }
        Ok(published.value)
    });
    values.collect()
}
