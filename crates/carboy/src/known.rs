//! The values of the secrets that the policy names: from our own environment and from files.

use std::env;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use carboy_engine::{Asked, Known, Policy};
use serde_json::Value;
use url::Url;
use zeroize::Zeroizing;

use crate::{canaries, output, paths};

/// Largest file of secrets: some thousand of them.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How deep values are looked for in JSON and YAML.
const DEPTH_MAX: usize = 32;

/// What must not cross.
pub(crate) struct Gathered {
    pub(crate) known: Known,
    /// The names of variables that the policy names but that cannot be looked for.
    plain: Vec<String>,
}

/// Gathers the values that the policy calls secrets, and the canaries that were minted. `given` are
/// the bottle's own variables, as `--env` takes them.
///
/// # Errors
/// A file that the policy names and that cannot be read.
pub(crate) fn gather(policy: &Policy, given: &[String]) -> Result<Gathered> {
    let mut gathered = Gathered {
        known: Known::default(),
        plain: Vec::new(),
    };
    for (name, value) in env::vars_os() {
        if let (Some(name), Some(value)) = (name.to_str(), value.to_str()) {
            gathered.variable(policy, name, value);
        }
    }
    for (name, value) in given.iter().filter_map(|text| text.split_once('=')) {
        gathered.variable(policy, name, value);
    }
    for path in policy.known_files() {
        gathered
            .file(&expanded(path)?)
            .with_context(|| format!("`inspect.known.files` names {path}"))?;
    }
    // Without a home there is no state, and nothing was minted.
    if let Ok(state) = paths::state_dir() {
        canaries::recognise(&state, &mut gathered.known)?;
    }
    Ok(gathered)
}

impl Gathered {
    /// Says which variables cannot be looked for.
    pub(crate) fn advise(&self) {
        for name in &self.plain {
            output::note(format_args!(
                "warning: {name} is not looked for: its value is too short or too plain to be told \
                 from other text"
            ));
        }
    }

    fn variable(&mut self, policy: &Policy, name: &str, value: &str) {
        let Some(asked) = policy.knows_variable(name) else {
            return;
        };
        let is_kept = self.value(name, value, asked);
        if asked == Asked::ByName && !is_kept {
            self.plain.push(name.to_owned());
        }
    }

    /// Adds what is secret of a value; whether anything was.
    fn value(&mut self, name: &str, value: &str, asked: Asked) -> bool {
        let value = value.trim();
        if let Some(secrets) = passwords(value) {
            let mut is_kept = false;
            for secret in secrets {
                is_kept |= self.known.add(name, secret.as_bytes(), Asked::ByName);
            }
            return is_kept;
        }
        if value.starts_with('{')
            && let Ok(tree) = serde_json::from_str::<Value>(value)
        {
            return self.tree(name, &tree, 0);
        }
        self.known.add(name, value.as_bytes(), asked)
    }

    fn file(&mut self, path: &Path) -> Result<()> {
        let text = read(path)?;
        let extension = path.extension().and_then(|own| own.to_str());
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match extension {
            Some("json") => {
                // The parser's own words may quote the content.
                let tree = serde_json::from_str(&text).map_err(|_| anyhow!("it is not JSON"))?;
                self.tree("", &tree, 0);
            }
            Some("yaml" | "yml") => {
                let tree = serde_saphyr::from_str(&text).map_err(|_| anyhow!("it is not YAML"))?;
                self.tree("", &tree, 0);
            }
            Some(_) | None => self.lines(&name, &text),
        }
        Ok(())
    }

    /// The strings of a tree, by their paths in it; whether any was kept.
    fn tree(&mut self, path: &str, tree: &Value, depth: usize) -> bool {
        let below = |key: &str| match path.is_empty() {
            true => key.to_owned(),
            false => format!("{path}.{key}"),
        };
        let mut is_kept = false;
        match tree {
            Value::String(text) => is_kept = self.value(path, text, Asked::ByPattern),
            Value::Object(items) if depth < DEPTH_MAX => {
                for (key, item) in items {
                    is_kept |= self.tree(&below(key), item, depth + 1);
                }
            }
            Value::Array(items) if depth < DEPTH_MAX => {
                for (index, item) in items.iter().enumerate() {
                    is_kept |= self.tree(&below(&index.to_string()), item, depth + 1);
                }
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Object(_)
            | Value::Array(_) => {}
        }
        is_kept
    }

    /// `NAME=value` lines, as in dotenv and INI files; else one secret alone, or words of which
    /// some are.
    fn lines(&mut self, name: &str, text: &str) {
        let is_whole = text.trim().lines().count() == 1 || text.contains("-----BEGIN ");
        let settings: Vec<_> = text.lines().filter_map(setting).collect();
        if settings.is_empty() && is_whole {
            self.value(name, text, Asked::ByName);
        } else if settings.is_empty() {
            for word in text.split_whitespace() {
                self.value(name, word, Asked::ByPattern);
            }
        }
        for (key, value) in settings {
            self.value(key, value, Asked::ByPattern);
        }
    }
}

/// `export NAME = "value" # words`, without what is not the name or the value.
fn setting(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    if !is_name || line.starts_with('#') || line.starts_with("-----") {
        return None;
    }
    for quote in ['"', '\''] {
        if let Some(rest) = value.strip_prefix(quote) {
            return Some((name, rest.split(quote).next().unwrap_or_default()));
        }
    }
    let value = value.split(" #").next().unwrap_or_default();
    Some((name, value.trim_end()))
}

/// The password of a URL as it is written and as it is meant; none if this is no URL.
fn passwords(value: &str) -> Option<Vec<Zeroizing<String>>> {
    if !value.contains("://") {
        return None;
    }
    let url = Url::parse(value).ok()?;
    let written = url.password().unwrap_or_default();
    let decoded: String = url::form_urlencoded::parse(written.replace('+', "%2B").as_bytes())
        .map(|(name, _)| name.into_owned())
        .next()
        .unwrap_or_default();
    let both = [written.to_owned(), decoded].map(Zeroizing::new);
    Some(both.into_iter().filter(|own| !own.is_empty()).collect())
}

/// A path as the policy writes it: `~/` is the user's home.
/// A path of the policy, in which `~/` stands for the home.
pub(crate) fn expanded(path: &str) -> Result<PathBuf> {
    match path.strip_prefix("~/") {
        Some(rest) => Ok(paths::home()?.join(rest)),
        None => Ok(PathBuf::from(path)),
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).context("it cannot be read")?;
    let length = file
        .take(FILE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .context("it cannot be read")?;
    ensure!(
        length as u64 <= FILE_BYTES_MAX,
        "it is larger than {FILE_BYTES_MAX} bytes"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use carboy_engine::{Asked, Known, Policy};

    use super::{Gathered, passwords, setting};

    const SECRET: &str = "u8jzPde0IgxLd6GncfBAepfJBd0Kh8oO";

    fn nothing() -> Gathered {
        Gathered {
            known: Known::default(),
            plain: Vec::new(),
        }
    }

    fn names(gathered: &Gathered) -> Vec<&str> {
        gathered.known.names().collect()
    }

    #[test]
    fn settings_are_read_as_shells_and_programs_read_them() {
        for (line, expect) in [
            ("A=b", Some(("A", "b"))),
            ("export A=\"b c\" # d", Some(("A", "b c"))),
            ("  key = 'v' ", Some(("key", "v"))),
            ("A=b # c", Some(("A", "b"))),
            (
                "//registry.example/:_authToken=b",
                Some(("//registry.example/:_authToken", "b")),
            ),
            ("# A=b", None),
            ("[section]", None),
            ("machine a.example password b=", None),
        ] {
            assert_eq!(setting(line), expect, "{line}");
        }
    }

    #[test]
    fn of_a_url_only_the_password_is_secret() {
        let both = passwords("postgres://app:a%2Fb@db.example/x").expect("a URL");
        let both: Vec<_> = both.iter().map(|own| own.as_str()).collect();
        assert_eq!(both, ["a%2Fb", "a/b"]);
        assert_eq!(
            passwords("https://a.example/").map(|own| own.len()),
            Some(0)
        );
        assert!(passwords(SECRET).is_none());
    }

    #[test]
    fn files_of_each_kind_are_read() {
        let dir = tempfile::tempdir().expect("a directory");
        for (file, text, expect) in [
            (
                ".env",
                format!("PORT=8080\nexport TOKEN=\"{SECRET}\"\n"),
                "TOKEN",
            ),
            (
                "credentials",
                format!("[default]\nsecret_key = {SECRET}\n"),
                "secret_key",
            ),
            (
                "a.json",
                format!("{{\"a\": [{{\"b\": \"{SECRET}\", \"c\": 1}}]}}"),
                "a.0.b",
            ),
            ("a.yaml", format!("a:\n  b: {SECRET}\n  c: word\n"), "a.b"),
            ("token", format!("{SECRET}\n"), "token"),
            (
                ".netrc",
                format!("machine a.example\nlogin dev\npassword {SECRET}\n"),
                ".netrc",
            ),
        ] {
            let path = dir.path().join(file);
            fs::write(&path, text).expect("a file");
            let mut gathered = nothing();
            gathered.file(&path).expect("it can be read");
            assert_eq!(names(&gathered), [expect], "{file}");
        }
        let path = dir.path().join("wrong.json");
        fs::write(&path, format!("{{\"a\": {SECRET}")).expect("a file");
        let error = nothing().file(&path).expect_err("no JSON").to_string();
        assert!(!error.contains(SECRET), "{error}");
    }

    #[test]
    fn variables_are_taken_by_name_and_by_what_they_hold() {
        let text = "version: 1\ninspect: {known: {env: [PLAIN, \"MY_*\"]}}\n";
        let policy = Policy::parse(text, "p").expect("a policy");
        for (name, value, kept, plain) in [
            ("API_TOKEN", SECRET, true, false),
            ("API_TOKEN", "development", false, false),
            ("OTHER", SECRET, false, false),
            ("MY_THING", SECRET, true, false),
            ("MY_STAGE", "production", false, false),
            ("PLAIN", "hunter22", true, false),
            ("PLAIN", "a", false, true),
            (
                "DATABASE_URL",
                "postgres://app:hunter22@db.example/x",
                true,
                false,
            ),
            ("BASE_URL", "https://a.example/x9y8z7w6v5u4", false, false),
        ] {
            let mut gathered = nothing();
            gathered.variable(&policy, name, value);
            assert_eq!(!gathered.known.is_empty(), kept, "{name}={value}");
            assert_eq!(!gathered.plain.is_empty(), plain, "{name}={value}");
        }
        let mut gathered = nothing();
        let json = format!("{{\"type\": \"service\", \"key\": \"{SECRET}\"}}");
        assert!(gathered.value("GOOGLE_CREDENTIALS", &json, Asked::ByPattern));
        assert_eq!(names(&gathered), ["GOOGLE_CREDENTIALS.key"]);
    }
}
