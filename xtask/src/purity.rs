//! Proofs of the boundaries that `ARCHITECTURE.md` names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::run::{capture, cargo, root};

/// The crates that have no runtime, no IO, no clock.
const PURE: [&str; 3] = ["engine", "wire", "receipt"];

/// Crates that do IO, or start threads, or run futures.
const IMPURE_CRATES: [&str; 18] = [
    "async-std",
    "async-io",
    "futures-executor",
    "hyper",
    "hyper-util",
    "mio",
    "nix",
    "openssl-sys",
    "parking_lot",
    "polling",
    "reqwest",
    "ring",
    "rustix",
    "smol",
    "socket2",
    "tempfile",
    "tokio",
    "ureq",
];

/// Paths of the standard library that reach outside the process, or tell the time.
const IMPURE_PATHS: [&str; 13] = [
    "std::fs",
    "std::env::",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "Instant::now",
    "SystemTime::now",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::io::stdin",
    "std::io::stdout",
];

/// Which crate may depend on which in the workspace.
const DEPENDENCIES: [(&str, &[&str]); 7] = [
    ("engine", &[]),
    ("receipt", &[]),
    ("sandbox", &[]),
    ("wire", &["engine"]),
    ("proxy", &["engine", "wire", "receipt"]),
    ("bottle", &["sandbox"]),
    (
        "carboy",
        &["engine", "wire", "receipt", "proxy", "sandbox", "bottle"],
    ),
];

/// The only crate with unsafe code.
const UNSAFE: &str = "sandbox";

/// The files of `proxy` where engine, sessions, resolver and receipts meet. All others are
/// adapters, or know less than adapters do.
const GATE_FILES: [&str; 4] = ["lib.rs", "gate", "evidence", "record"];

/// Names that no adapter may use: the engine alone knows the order of checks.
const ENGINE_NAMES: [&str; 6] = [
    "Session",
    "Policy",
    "Finding",
    "Inspection",
    "Class::",
    "Verdict",
];

/// Proves every boundary.
///
/// # Errors
/// The first one that does not hold, with the place.
pub(crate) fn run() -> Result<()> {
    println!("== purity");
    for krate in PURE {
        no_impure_crate(krate)?;
        no_impure_path(krate)?;
    }
    workspace_dependencies()?;
    unsafe_is_forbidden()?;
    adapters_know_no_rule()?;
    println!(
        "   purity: {} crates pure, dependencies, unsafe code and adapters as planned",
        PURE.len()
    );
    Ok(())
}

fn no_impure_crate(krate: &str) -> Result<()> {
    let package = format!("carboy-{krate}");
    let tree = capture(cargo(&[
        "tree",
        "--locked",
        "--package",
        &package,
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ]))?;
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    ensure!(
        names.contains(package.as_str()),
        "cargo tree does not name {package}"
    );
    for name in IMPURE_CRATES {
        ensure!(
            !names.contains(name),
            "{package} is pure, but depends on {name}"
        );
    }
    Ok(())
}

fn no_impure_path(krate: &str) -> Result<()> {
    for (file, code) in sources(&root().join("crates").join(krate).join("src"))? {
        for path in IMPURE_PATHS {
            let line = code.lines().position(|line| line.contains(path));
            ensure!(
                line.is_none(),
                "{}:{}: {path} in a pure crate",
                file.display(),
                line.unwrap_or(0) + 1
            );
        }
    }
    Ok(())
}

fn workspace_dependencies() -> Result<()> {
    let metadata = capture(cargo(&[
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version",
        "1",
    ]))?;
    let metadata: Value = serde_json::from_str(&metadata)?;
    let packages = metadata["packages"]
        .as_array()
        .context("cargo metadata lists packages")?;
    for (krate, allowed) in DEPENDENCIES {
        let package = packages
            .iter()
            .find(|package| short_name(&package["name"]) == Some(krate))
            .with_context(|| format!("the workspace has no crate {krate}"))?;
        let dependencies = package["dependencies"]
            .as_array()
            .context("a package has dependencies")?;
        for dependency in dependencies.iter().filter(|one| one["kind"].is_null()) {
            let Some(name) = short_name(&dependency["name"]) else {
                continue;
            };
            ensure!(allowed.contains(&name), "{krate} may not depend on {name}");
        }
    }
    Ok(())
}

/// `carboy-engine` is `engine`, and `carboy` itself; other crates are none of ours.
fn short_name(name: &Value) -> Option<&str> {
    let name = name.as_str()?;
    if name == "carboy" {
        Some(name)
    } else {
        name.strip_prefix("carboy-")
    }
}

fn unsafe_is_forbidden() -> Result<()> {
    for (krate, _) in DEPENDENCIES
        .into_iter()
        .filter(|(krate, _)| *krate != UNSAFE)
    {
        let src = root().join("crates").join(krate).join("src");
        let roots = [src.join("lib.rs"), src.join("main.rs")];
        for file in roots.iter().filter(|file| file.exists()) {
            let code = fs::read_to_string(file)?;
            let forbids = code.lines().any(|line| line == "#![forbid(unsafe_code)]");
            ensure!(
                forbids,
                "{}: #![forbid(unsafe_code)] is missing",
                file.display()
            );
        }
    }
    Ok(())
}

fn adapters_know_no_rule() -> Result<()> {
    let src = root().join("crates/proxy/src");
    let rules = rule_ids()?;
    for (file, code) in sources(&src)? {
        let first = file
            .strip_prefix(&src)?
            .iter()
            .next()
            .and_then(|part| part.to_str());
        let stem = first.map(|part| {
            if part == "lib.rs" {
                part
            } else {
                part.trim_end_matches(".rs")
            }
        });
        if stem.is_some_and(|stem| GATE_FILES.contains(&stem)) {
            continue;
        }
        for (number, line) in code
            .lines()
            .enumerate()
            .filter(|(_, line)| !is_comment(line))
        {
            let engine_name = ENGINE_NAMES.into_iter().find(|name| has_word(line, name));
            let rule = rules
                .iter()
                .map(String::as_str)
                .find(|id| line.contains(&format!("\"{id}\"")));
            if let Some(name) = engine_name.or(rule) {
                anyhow::bail!("{}:{}: an adapter names {name}", file.display(), number + 1);
            }
        }
    }
    Ok(())
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Whether `word` stands in `line` with no letter, digit or underscore beside it.
fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && (word.ends_with(':') || !after.is_some_and(is_part))
    })
}

/// The ids of all detection rules.
fn rule_ids() -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for entry in fs::read_dir(root().join("rules"))? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let text = fs::read_to_string(&path)?;
            ids.extend(text.lines().filter_map(rule_id));
        }
    }
    Ok(ids)
}

fn rule_id(line: &str) -> Option<String> {
    let line = line.trim_start().trim_start_matches("- ");
    let id = line.strip_prefix("id:")?.trim().trim_matches('"');
    Some(id.to_owned())
}

/// The files of a crate with their code, without tests.
fn sources(directory: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name == "tests.rs" || name == "tests" {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path)?;
            let code = text
                .split("#[cfg(test)]\nmod ")
                .next()
                .unwrap_or_default()
                .to_owned();
            found.push((path, code));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn words_stand_alone() {
        assert!(has_word("fn f(session: &Session)", "Session"));
        assert!(has_word("Class::Secret => 1", "Class::"));
        assert!(!has_word("SessionId", "Session"));
        assert!(!has_word("AddressClass::of", "Class::"));
    }

    #[test]
    fn rule_ids_are_read() {
        assert_eq!(rule_id("  - id: github-token"), Some("github-token".into()));
        assert_eq!(rule_id("id: \"a\""), Some("a".into()));
        assert_eq!(rule_id("  title: x"), None);
    }

    #[test]
    fn the_rules_are_found() {
        assert!(rule_ids().unwrap().len() > 10);
    }
}
