//! What the arguments of a call hold: scripts, paths and places on the net, told by their names and by
//! what the tool is for.

use serde_json::Value;

use super::code::quoted;
use super::family::{self, Families};
use super::rule::{Family, Role, TOOLS};

/// Objects within objects, and JSON within strings, that are read. Clients' schemas nest a handful.
const DEPTH_MAX: usize = 16;
/// Values of one call that are read.
const VALUES_MAX: usize = 4096;
/// The longest word that says what is to be done.
const VERB_BYTES_MAX: usize = 32;

/// What a call holds.
#[derive(Debug, Default)]
pub(crate) struct Material {
    pub(crate) families: Families,
    pub(crate) commands: Vec<String>,
    pub(crate) codes: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) destinations: Vec<String>,
    pub(crate) urls: Vec<String>,
    pub(crate) directory: Option<String>,
    /// Strings whose names say nothing.
    plain: Vec<String>,
    /// Arguments of a command that are given apart from it.
    words: Vec<String>,
    /// Whether there was more than is read.
    pub(crate) is_cut: bool,
    values: usize,
}

/// What the arguments of a call hold. `told` is what is known of the tool besides its name.
pub(crate) fn material(tool: &str, told: &Families, arguments: &Value) -> Material {
    let mut families = family::of_name(tool);
    families.extend(told);
    let mut material = Material {
        families,
        ..Material::default()
    };
    material.read("", None, arguments, 0);
    material.settle();
    material
}

impl Material {
    /// One command line alone.
    pub(super) fn of_command(text: &str) -> Self {
        Self {
            commands: vec![text.to_owned()],
            ..Self::default()
        }
    }

    fn read(&mut self, name: &str, role: Option<Role>, value: &Value, depth: usize) {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            self.is_cut = true;
            return;
        }
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
            Value::String(text) => self.text(name, role, text, depth),
            Value::Array(items) => self.list(name, role, items, depth),
            Value::Object(members) => {
                for (name, value) in members {
                    let own = role_of(name);
                    // What an argument's parts are named tells more than its own name.
                    self.read(name, own.or(role), value, depth + 1);
                }
            }
        }
    }

    /// The words of one command, or several of whatever the name says.
    fn list(&mut self, name: &str, role: Option<Role>, items: &[Value], depth: usize) {
        let texts: Option<Vec<String>> = items
            .iter()
            .map(|own| own.as_str().map(str::to_owned))
            .collect();
        let words = texts.filter(|texts| {
            texts
                .first()
                .is_some_and(|first| !first.contains(char::is_whitespace))
        });
        match (role, words) {
            (Some(Role::Command), Some(words)) if !name.ends_with('s') || name == "args" => {
                self.commands.push(quoted(&words));
            }
            _ => {
                for item in items {
                    self.read(name, role, item, depth + 1);
                }
            }
        }
    }

    fn text(&mut self, name: &str, role: Option<Role>, text: &str, depth: usize) {
        let is_json = text.trim_start().starts_with('{') && role != Some(Role::Text);
        if is_json && let Ok(value @ Value::Object(_)) = serde_json::from_str(text) {
            return self.read(name, role, &value, depth + 1);
        }
        match role {
            Some(Role::Command) => {
                self.verb(text);
                self.commands.push(text.to_owned());
            }
            Some(Role::Words) => self.words.push(text.to_owned()),
            // `source` is where from, too.
            Some(Role::Code) if is_path(text) => self.paths.push(text.to_owned()),
            Some(Role::Code) => self.codes.push(text.to_owned()),
            Some(Role::Path) => self.paths.push(text.to_owned()),
            Some(Role::Destination) => self.destinations.push(text.to_owned()),
            Some(Role::Url) => self.urls.push(text.to_owned()),
            Some(Role::Directory) => self.directory = Some(text.to_owned()),
            Some(Role::Verb) => self.verb(text),
            Some(Role::Text) => {}
            None => self.plain.push(text.to_owned()),
        }
    }

    /// One word that says what is to be done: `create`, `str_replace`.
    fn verb(&mut self, text: &str) {
        let is_word = |c: char| c.is_ascii_alphabetic() || c == '_' || c == '-';
        if text.len() <= VERB_BYTES_MAX && text.chars().all(is_word) {
            self.families.extend(family::of_name(text));
        }
    }

    /// What can be told only when all is read.
    fn settle(&mut self) {
        let executes = self.families.contains(&Family::Execute);
        if !self.words.is_empty() {
            let words = quoted(&self.words);
            match self.commands.last_mut() {
                Some(command) => *command = format!("{command} {words}"),
                None if executes => self.commands.push(words),
                None => {}
            }
        }
        for text in std::mem::take(&mut self.plain) {
            if text.contains("://") {
                self.urls.push(text);
            } else if executes && self.codes.is_empty() {
                self.commands.push(text);
            } else if is_path(&text) {
                self.paths.push(text);
            }
        }
        // A tool that runs code runs it in some language: a shell is one.
        if executes {
            self.commands.extend(self.codes.iter().cloned());
        }
    }
}

/// What a name says, whole or in its last word: `file_path`, `targetFile`.
pub(super) fn role_of(name: &str) -> Option<Role> {
    let folded: String = name
        .chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect();
    let mut roles = TOOLS.arguments.iter();
    let told = roles.find(|(_, names)| names.contains(&folded));
    told.map(|(role, _)| *role)
}

fn is_path(text: &str) -> bool {
    let is_begun = text.starts_with(['/', '~', '.', '\\']) || text.get(1..3) == Some(":\\");
    is_begun && !text.contains(['\n', ';', '('])
}
