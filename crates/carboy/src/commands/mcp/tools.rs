//! `carboy mcp tools`: what is kept of servers' tools, and what became of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Result, bail};
use carboy_proxy::mcp::{Shelf, kept_servers};
use carboy_wire::mcp::{Baseline, Fingerprint};
use serde_json::{Value, json};

use crate::cli::McpToolsCommand;
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;

/// The digits of a fingerprint that people compare.
const SHOWN_DIGITS: usize = 16;

/// Does what the command line asks.
pub(super) fn run(command: &McpToolsCommand) -> Result<Outcome> {
    let state = paths::state_dir()?;
    match command {
        McpToolsCommand::List { server, format } => {
            list(&kept(&state, server.as_deref())?, *format)
        }
        McpToolsCommand::Diff { server, format } => {
            diff(&kept(&state, server.as_deref())?, *format)
        }
        McpToolsCommand::Accept { server } => accept(&state, server),
    }
}

type Kept = BTreeMap<String, Baseline>;

fn list(kept: &Kept, format: Format) -> Result<Outcome> {
    match format {
        Format::Json => {
            let servers: Vec<_> = kept
                .iter()
                .map(|(name, own)| described(name, own))
                .collect();
            output::json(&servers)?;
        }
        Format::Text => {
            let mut text = String::new();
            for (name, baseline) in kept {
                let (tools, changed) = (baseline.tools.len(), baseline.changed.len());
                writeln!(
                    text,
                    "{name}: {}, {changed} changed",
                    counted(tools, "tool")
                )?;
                for (tool, definition) in &baseline.tools {
                    let print = Fingerprint::of(definition).to_string();
                    let mark = match baseline.changed.contains_key(tool) {
                        true => "  changed",
                        false => "",
                    };
                    writeln!(
                        text,
                        "  {}  {}{mark}",
                        &print[..SHOWN_DIGITS],
                        visible(tool)
                    )?;
                }
            }
            output::print(text)?;
        }
    }
    Ok(Outcome::Clean)
}

fn described(name: &str, baseline: &Baseline) -> Value {
    let tool = |(tool, definition): (&String, &Value)| {
        json!({
            "name": tool,
            "sha256": Fingerprint::of(definition).to_string(),
            "changed": baseline.changed.contains_key(tool),
        })
    };
    let tools: Vec<_> = baseline.tools.iter().map(tool).collect();
    json!({"server": name, "tools": tools})
}

fn diff(kept: &Kept, format: Format) -> Result<Outcome> {
    let mut changes = Vec::new();
    for (server, baseline) in kept {
        for (tool, new) in &baseline.changed {
            let old = baseline.tools.get(tool).unwrap_or(&Value::Null);
            changes.push((server, tool, leaves(old), leaves(new)));
        }
    }
    match format {
        Format::Json => {
            let changes = changes.iter().map(|(server, tool, old, new)| {
                let lines: Vec<_> = differences(old, new)
                    .map(|(path, old, new)| json!({"path": path, "old": old, "new": new}))
                    .collect();
                json!({"server": server, "tool": tool, "changes": lines})
            });
            output::json(&changes.collect::<Vec<_>>())?;
        }
        Format::Text => {
            let mut text = String::new();
            for (server, tool, old, new) in &changes {
                writeln!(text, "{server}: {}", visible(tool))?;
                for (path, old, new) in differences(old, new) {
                    for (mark, value) in [('-', old), ('+', new)] {
                        if let Some(value) = value {
                            writeln!(text, "  {mark} {}: {}", visible(path), visible(value))?;
                        }
                    }
                }
            }
            output::print(text)?;
        }
    }
    Ok(match changes.is_empty() {
        true => Outcome::Clean,
        false => Outcome::Found,
    })
}

fn accept(state: &Path, server: &str) -> Result<Outcome> {
    let found = kept(state, Some(server))?;
    let mut names = found.keys();
    let (Some(name), None) = (names.next(), names.next()) else {
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        bail!("`{server}` could be {}: name one", names.join(" or "));
    };
    let count = found[name].changed.len();
    Shelf::new(state, name).update(Baseline::accept)?;
    let changed = counted(count, "changed tool");
    output::line(format_args!("{name}: {changed} accepted"))?;
    Ok(Outcome::Clean)
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// What is kept of the servers that are meant.
fn kept(state: &Path, server: Option<&str>) -> Result<Kept> {
    let names = kept_servers(state)?;
    let is_meant = |name: &&String| match server {
        // A whole name is never the beginning of others.
        Some(server) if names.iter().any(|own| own == server) => **name == server,
        Some(server) => name.starts_with(server),
        None => true,
    };
    let mut kept = Kept::new();
    for name in names.iter().filter(is_meant) {
        kept.insert(name.clone(), Shelf::new(state, name).read()?);
    }
    match server {
        Some(server) if kept.is_empty() => {
            bail!("nothing is kept of a server `{server}`; see `carboy mcp tools list`")
        }
        _ => Ok(kept),
    }
}

/// Every value that holds no others, as JSON, by its path.
fn leaves(value: &Value) -> BTreeMap<String, String> {
    fn walk(value: &Value, path: String, leaves: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    walk(value, format!("{path}/{name}"), leaves);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, value) in items.iter().enumerate() {
                    walk(value, format!("{path}/{index}"), leaves);
                }
            }
            leaf => {
                leaves.insert(path, leaf.to_string());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(value, String::new(), &mut found);
    found
}

/// Each path at which two values differ, with what stands there.
fn differences<'a>(
    old: &'a BTreeMap<String, String>,
    new: &'a BTreeMap<String, String>,
) -> impl Iterator<Item = (&'a str, Option<&'a str>, Option<&'a str>)> {
    let mut paths: Vec<&str> = old.keys().chain(new.keys()).map(String::as_str).collect();
    paths.sort_unstable();
    paths.dedup();
    paths.into_iter().filter_map(move |path| {
        let (old, new) = (old.get(path), new.get(path));
        (old != new).then(|| (path, old.map(String::as_str), new.map(String::as_str)))
    })
}

/// A text of a server's, fit for a terminal: what would not show is written as its number.
pub(in crate::commands) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let is_shown = c == ' ' || c.is_alphanumeric() || c.is_ascii_punctuation();
        match is_shown {
            true => out.push(c),
            false => out.extend(c.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{differences, leaves, visible};

    #[test]
    fn differences_are_told_by_path() {
        let old = leaves(&json!({"name": "a", "schema": {"x": [1, 2]}, "gone": {}}));
        let new = leaves(&json!({"name": "a", "schema": {"x": [1, 3], "y": "é"}}));
        let found: Vec<_> = differences(&old, &new).collect();
        let expected = [
            ("/gone", Some("{}"), None),
            ("/schema/x/1", Some("2"), Some("3")),
            ("/schema/y", None, Some("\"é\"")),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nothing_hides_in_what_is_printed() {
        assert_eq!(visible("plain é 漢, {\"a\": 1}"), "plain é 漢, {\"a\": 1}");
        assert_eq!(
            visible("a\u{1b}[2J\u{202e}\u{200b}\n"),
            "a\\u{1b}[2J\\u{202e}\\u{200b}\\u{a}"
        );
    }
}
