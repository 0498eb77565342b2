//! Whether a value in a configuration is a secret. It is never printed.

use carboy_engine::{Class, FileScanner, Policy};

/// Shorter values are words.
const SECRET_BYTES_MIN: usize = 8;

/// Tells secrets from other values.
#[derive(Debug)]
pub(super) struct Secrets {
    scanner: FileScanner,
    policy: Policy,
}

impl Default for Secrets {
    fn default() -> Self {
        Self {
            scanner: FileScanner::new(&[Class::Secret]),
            policy: Policy::balanced(),
        }
    }
}

impl Secrets {
    /// Whether a variable's or header's value is a secret, by its name or by what it looks like.
    pub(super) fn is_secret(&self, name: &str, value: &str) -> bool {
        let value = value
            .trim()
            .trim_start_matches("Bearer ")
            .trim_start_matches("Basic ");
        if value.len() < SECRET_BYTES_MIN || is_reference(value) {
            return false;
        }
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
            .collect();
        let is_named = self
            .policy
            .knows_variable(&plain.to_ascii_uppercase())
            .is_some()
            || name.eq_ignore_ascii_case("authorization")
            || name.eq_ignore_ascii_case("cookie");
        let is_address = value.starts_with('/') || value.starts_with("http");
        (is_named && !is_address) || self.holds(value) || self.holds(&format!("{plain}={value}"))
    }

    /// Which of a command's words hold secrets.
    pub(super) fn words(&self, words: &[String]) -> Vec<bool> {
        let mut before = "";
        let mut found = Vec::with_capacity(words.len());
        for word in words {
            let is_secret = match word.split_once(['=', ':']) {
                // What follows names where the value is.
                Some(_) if matches!(before, "--header-env" | "--header-file") => false,
                Some((name, value)) if !value.starts_with("//") => {
                    self.is_secret(name.trim_start_matches('-'), value.trim())
                }
                Some(_) | None => self.holds(word) && !is_reference(word),
            };
            let is_value = before.starts_with('-') && !word.starts_with('-');
            found.push(
                is_secret || (is_value && self.is_secret(before.trim_start_matches('-'), word)),
            );
            before = word;
        }
        found
    }

    fn holds(&self, text: &str) -> bool {
        let mut found = Vec::new();
        // What cannot be looked through within bounds is not shown.
        self.scanner.scan(text.as_bytes(), &mut found).is_err() || !found.is_empty()
    }
}

/// Whether it says where the value is, and is not the value: `${TOKEN}`, `$TOKEN`, `{env:TOKEN}`.
pub(super) fn is_reference(value: &str) -> bool {
    ["${", "$(", "{env:", "{file:", "op://", "<"]
        .iter()
        .any(|mark| value.contains(mark))
        || (value.starts_with('$')
            && value[1..]
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}
