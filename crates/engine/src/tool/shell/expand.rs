//! What words become: variables, substitutions, braces and fields.

use std::collections::VecDeque;

use super::lex;
use super::output;
use super::run::Shell;
use super::word::{Atom, Expansion, Parameter, Word};
use super::{EXPANDED_BYTES_MAX, UNKNOWN};

/// The home of whoever runs it, as long as any: `${HOME:0:1}` is a slash.
const HOME: &str = "/home/user";

impl Shell {
    /// The words that a word becomes.
    pub(super) fn fields(&mut self, word: &Word) -> Vec<String> {
        let mut fields = Vec::new();
        for word in word.braces() {
            self.split(&word, &mut fields);
        }
        fields
    }

    fn split(&mut self, word: &Word, fields: &mut Vec<String>) {
        let mut field = String::new();
        let mut is_begun = word.has_quotes();
        for atom in word.atoms() {
            match atom {
                Atom::Char(c, _) => {
                    field.push(*c);
                    is_begun = true;
                }
                Atom::Expand(expansion, true) if !is_all(expansion) => {
                    field.push_str(&self.expand(expansion));
                    is_begun = true;
                }
                Atom::Expand(expansion, _) => {
                    let text = self.expand(expansion);
                    let mut parts: VecDeque<_> = text.split_whitespace().collect();
                    if text.starts_with(char::is_whitespace) && is_begun {
                        fields.push(std::mem::take(&mut field));
                        is_begun = false;
                    }
                    while let Some(part) = parts.pop_front() {
                        field.push_str(part);
                        is_begun = true;
                        if !parts.is_empty() || text.ends_with(char::is_whitespace) {
                            fields.push(std::mem::take(&mut field));
                            is_begun = false;
                        }
                    }
                }
            }
        }
        if is_begun {
            fields.push(field);
        }
    }

    /// A word's text where it is not split.
    pub(super) fn joined(&mut self, word: &Word) -> String {
        let mut text = String::new();
        for atom in word.atoms() {
            match atom {
                Atom::Char(c, _) => text.push(*c),
                Atom::Expand(expansion, _) => text.push_str(&self.expand(expansion)),
            }
        }
        text
    }

    fn expand(&mut self, expansion: &Expansion) -> String {
        let mut text = match expansion {
            Expansion::Parameter(parameter) => self.parameter(parameter),
            Expansion::Script(script) => {
                let printed = self.script(script);
                let text = printed.unwrap_or_else(|| UNKNOWN.to_string());
                text.trim_end_matches('\n').to_owned()
            }
            Expansion::Process(script) => {
                self.script(script);
                format!("/dev/fd/{UNKNOWN}")
            }
            Expansion::Number => UNKNOWN.to_string(),
        };
        self.expanded += text.len();
        if self.expanded > EXPANDED_BYTES_MAX {
            self.out.is_cut = true;
            text.clear();
        }
        text
    }

    fn parameter(&mut self, parameter: &Parameter) -> String {
        let mut value = self.variable(&parameter.name);
        if parameter.is_indirect {
            value = value.and_then(|name| self.variable(&name));
        }
        if parameter.is_length {
            let length = value.map(|value| value.chars().count().to_string());
            return length.unwrap_or_else(|| "0".to_owned());
        }
        let change = parameter.change.clone();
        let value = match default_of(&change, value.as_deref()) {
            Some((name_it, text)) => {
                let word = lex::word(text);
                let text = self.joined(&word);
                if name_it {
                    self.variables.insert(parameter.name.clone(), text.clone());
                }
                return text;
            }
            None => value.unwrap_or_else(|| UNKNOWN.to_string()),
        };
        output::changed(value, &change)
    }

    fn variable(&self, name: &str) -> Option<String> {
        if let Some(value) = self.variables.get(name) {
            return Some(value.clone());
        }
        let value = match name {
            "HOME" => HOME,
            "PWD" | "OLDPWD" => "/home/user/work",
            "IFS" => " \t\n",
            "PATH" => "/usr/local/bin:/usr/bin:/bin",
            "SHELL" | "BASH" => "/bin/bash",
            "USER" | "LOGNAME" => "user",
            "TMPDIR" => "/tmp",
            "0" => "bash",
            "?" | "#" => "0",
            "$" | "!" | "PPID" | "UID" | "EUID" => "1000",
            "@" | "*" | "-" | "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }
}

/// `"$@"` is as many words as there are, though it stands in quotes.
fn is_all(expansion: &Expansion) -> bool {
    matches!(expansion, Expansion::Parameter(own) if own.name == "@")
}

/// The default that stands in for a value, and whether the variable keeps it.
fn default_of<'a>(change: &'a str, value: Option<&str>) -> Option<(bool, &'a str)> {
    let is_set = value.is_some_and(|value| !value.is_empty());
    for (sign, wants_set, keeps) in [
        (":-", false, false),
        (":=", false, true),
        (":+", true, false),
        ("-", false, false),
        ("=", false, true),
        ("+", true, false),
    ] {
        if let Some(text) = change.strip_prefix(sign) {
            return (is_set == wants_set).then_some((keeps, text));
        }
    }
    None
}
