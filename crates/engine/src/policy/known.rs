//! Which values the policy calls secrets: `inspect.known`.

use super::compile::{Problems, patterns};
use super::file::{At, KnownFile};
use crate::host::HostPattern;
use crate::known::Asked;

/// Where the values of known secrets are, and where they may go.
#[derive(Debug, Clone)]
pub(super) struct Sources {
    auto: bool,
    env: Vec<Box<str>>,
    pub(super) files: Vec<Box<str>>,
    pub(super) homes: Vec<(Box<str>, Vec<HostPattern>)>,
}

impl Sources {
    pub(super) fn build(file: &KnownFile, problems: &mut Problems<'_>) -> Self {
        for name in &file.env {
            check_name(name, problems);
        }
        for path in file.files.iter().filter(|path| path.0.value.is_empty()) {
            problems.add_at(
                path,
                "a path in `inspect.known.files` is empty",
                "name a file",
            );
        }
        let text = |text: &At<String>| text.0.value.as_str().into();
        let mut homes = Vec::new();
        for (name, hosts) in &file.homes {
            let hosts = patterns(hosts, "inspect.known.homes", problems);
            homes.push((name.as_str().into(), hosts));
        }
        Self {
            auto: file.auto,
            env: file.env.iter().map(text).collect(),
            files: file.files.iter().map(text).collect(),
            homes,
        }
    }

    /// Whether, and why, a variable's value is a secret.
    pub(super) fn asks_for(&self, name: &str) -> Option<Asked> {
        if self.env.iter().any(|own| **own == *name) {
            return Some(Asked::ByName);
        }
        let is_covered = self.env.iter().any(|own| is_match(own, name));
        (is_covered || (self.auto && is_secret_name(name))).then_some(Asked::ByPattern)
    }

    /// The variables that are named in full.
    pub(super) fn variables(&self) -> impl Iterator<Item = &str> {
        let names = self.env.iter().filter(|name| !name.contains('*'));
        names.map(|name| &**name)
    }
}

fn check_name(name: &At<String>, problems: &mut Problems<'_>) {
    let text = &name.0.value;
    if text.contains('=') {
        // What stands after it may be a secret.
        let suggestion = "write the name alone: values do not belong in a policy";
        problems.add_at(
            name,
            "a variable in `inspect.known.env` has a value",
            suggestion,
        );
    } else if text.is_empty() || !text.chars().all(|c| c.is_ascii_graphic()) {
        let what = "a variable in `inspect.known.env` has no name that a variable can have";
        problems.add_at(
            name,
            what,
            "write a name as in `DEPLOY_TOKEN`, or `DEPLOY_*`",
        );
    }
}

/// Whether a pattern covers a name; `*` stands for any characters.
fn is_match(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Words of a name that say that its value is a secret.
const SECRET_WORDS: [&str; 25] = [
    "APIKEY",
    "AUTH",
    "BEARER",
    "CERT",
    "COOKIE",
    "CREDENTIAL",
    "CREDENTIALS",
    "CREDS",
    "DSN",
    "HMAC",
    "JWT",
    "KEY",
    "KEYS",
    "LICENSE",
    "PASS",
    "PASSPHRASE",
    "PASSWD",
    "PASSWORD",
    "PAT",
    "PIN",
    "PRIVATE",
    "PWD",
    "SALT",
    "SECRET",
    "TOKEN",
];

/// Ends of words that say so too, as in `GITHUBTOKEN` and `dbpassword`.
const SECRET_ENDS: [&str; 8] = [
    "APIKEY",
    "ACCESSKEY",
    "SECRETKEY",
    "PRIVATEKEY",
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
];

/// Words of a name that say that its value is none: it is for everyone, or says where one is.
const OPEN_WORDS: [&str; 18] = [
    "PUBLIC",
    "PUB",
    "PUBLISHABLE",
    "ANON",
    "FINGERPRINT",
    "ID",
    "FILE",
    "PATH",
    "DIR",
    "SOCK",
    "HOST",
    "PORT",
    "NAME",
    "TYPE",
    "VERSION",
    "USER",
    "GPG",
    "KEYBOARD",
];

/// Whether a variable's name says that its value is a secret.
fn is_secret_name(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    if matches!(upper.as_str(), "PWD" | "OLDPWD") {
        return false;
    }
    let words = || upper.split(|c: char| !c.is_ascii_alphanumeric());
    let is_secret = |word: &str| {
        SECRET_WORDS.contains(&word) || SECRET_ENDS.iter().any(|end| word.ends_with(end))
    };
    // `AWS_ACCESS_KEY_ID` names a key, and `ID_TOKEN` is one.
    let is_open = words().any(|word| OPEN_WORDS.contains(&word) && word != "ID")
        || words().next_back() == Some("ID");
    let is_url = words().any(|word| matches!(word, "URL" | "URI"));
    is_url || (words().any(is_secret) && !is_open)
}

#[cfg(test)]
mod tests {
    use super::{is_match, is_secret_name};

    #[test]
    fn patterns_cover_names() {
        for (pattern, name, expect) in [
            ("A", "A", true),
            ("A", "AB", false),
            ("A*", "A", true),
            ("A*", "AB", true),
            ("A*", "BA", false),
            ("*_KEY", "MY_KEY", true),
            ("*_KEY", "MY_KEYS", false),
            ("A*B*C", "AxBxC", true),
            ("A*B*C", "AxCxB", false),
            ("A*A", "A", false),
            ("*", "ANY", true),
        ] {
            assert_eq!(is_match(pattern, name), expect, "{pattern} {name}");
        }
    }

    #[test]
    fn names_tell_of_secrets() {
        for name in [
            "GITHUB_TOKEN",
            "API_KEY",
            "DB_PASSWORD",
            "SECRET",
            "STRIPE_SECRET_KEY",
            "dbpassword",
            "NPM_CONFIG_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "SIGNING_KEYS",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "OPENAI_APIKEY",
            "DATABASE_URL",
            "PGPASSWORD",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in [
            "PATH",
            "HOME",
            "PWD",
            "OLDPWD",
            "KEYBOARD_LAYOUT",
            "SSH_AUTH_SOCK",
            "GPG_KEY",
            "NEXT_PUBLIC_MAP_KEY",
            "AWS_ACCESS_KEY_ID",
            "TOKEN_FILE",
            "SUPABASE_ANON_KEY",
            "MONKEY_ISLAND",
            "TERM_SESSION_ID",
            "LS_COLORS",
            "KEY_PATH",
            "SSH_KEY_NAME",
        ] {
            assert!(!is_secret_name(name), "{name}");
        }
    }
}
