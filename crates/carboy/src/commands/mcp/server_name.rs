//! What a server is called that nobody named.
//!
//! What is kept of its tools goes by that name, so it must be the same for the same server, whatever it is
//! told to work on, and not that of another, as `node index.js` would be.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use carboy_proxy::mcp::ServerName;
use sha2::{Digest, Sha256};

/// Programs that run another: the first file among their arguments, or else the first word that is no
/// option, is the server.
const LAUNCHERS: [&str; 12] = [
    "node", "nodejs", "bun", "python", "python3", "npx", "bunx", "uvx", "pipx", "pnpm", "yarn",
    "ruby",
];

/// Programs whose arguments all count: what runs may stand anywhere among them.
const COMPOSERS: [&str; 12] = [
    "docker", "podman", "nerdctl", "uv", "deno", "java", "dotnet", "go", "cargo", "sh", "bash",
    "env",
];

/// Words that tell a launcher what to do.
const VERBS: [&str; 6] = ["run", "exec", "dlx", "x", "tool", "start"];

/// The longest word in a made name.
const WORD_BYTES_MAX: usize = 40;

/// The bytes of a command's hash in a made name.
const HASH_BYTES: usize = 4;

/// The name that was given, or one made from the command.
///
/// # Errors
/// When the one that was given is no such name.
pub(super) fn choose(given: Option<&str>, command: &[OsString]) -> Result<ServerName> {
    let made = || made(command);
    parse(&given.map_or_else(made, ToOwned::to_owned))
}

/// A name that was given.
///
/// # Errors
/// When it is no name for a server.
pub(super) fn parse(name: &str) -> Result<ServerName> {
    ServerName::parse(name).with_context(|| {
        format!(
            "`{name}` is no name for a server: use a-z, 0-9, `-`, `_` and `.`, from a letter on"
        )
    })
}

fn made(command: &[OsString]) -> String {
    let (words, key) = identity(command);
    let mut hash = Sha256::new();
    for word in &words {
        hash.update(word.as_encoded_bytes());
        hash.update([0]);
    }
    let tag = data_encoding::HEXLOWER.encode(&hash.finalize()[..HASH_BYTES]);
    format!("{}-{tag}", plain(&key))
}

/// The words that tell which server a command is, and the one to call it by.
fn identity(command: &[OsString]) -> (Vec<OsString>, String) {
    let Some((program, arguments)) = command.split_first() else {
        return (Vec::new(), String::new());
    };
    let called = stem(program);
    let whole = || {
        (
            command.iter().map(|word| absolute(word)).collect(),
            called.clone(),
        )
    };
    if COMPOSERS.contains(&&*called) {
        return whole();
    }
    if !is_launcher(&called) {
        return (vec![absolute(program)], called);
    }
    let is_word = |word: &&OsString| {
        let text = word.to_string_lossy();
        !text.starts_with('-') && !VERBS.contains(&&*text)
    };
    let file = arguments.iter().position(|word| Path::new(word).is_file());
    let named = file.or_else(|| arguments.iter().position(|word| is_word(&word)));
    let Some(named) = named else {
        return whole();
    };
    let mut words = vec![program.clone()];
    words.extend(arguments[..named].iter().cloned());
    let last = match file {
        Some(_) => absolute(&arguments[named]),
        None => unversioned(&arguments[named]),
    };
    let key = stem(&last);
    words.push(last);
    (words, key)
}

fn is_launcher(called: &str) -> bool {
    // `python3.12` is one, too.
    let unnumbered = called.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    LAUNCHERS.contains(&called) || LAUNCHERS.contains(&unnumbered)
}

/// A path as it is from anywhere; another word as it is.
fn absolute(word: &OsStr) -> OsString {
    let path = Path::new(word);
    let is_path = path.is_file() && path.components().count() > 0;
    let found = is_path.then(|| path.canonicalize().ok()).flatten();
    found.map_or_else(|| word.to_owned(), PathBuf::into_os_string)
}

/// A package without its version, so that an upgrade is the same server with other tools.
fn unversioned(word: &OsStr) -> OsString {
    let text = word.to_string_lossy();
    let start = text.rfind('/').map_or(0, |at| at + 1);
    match text[start..].split_once('@') {
        Some((name, _)) if !name.is_empty() => format!("{}{name}", &text[..start]).into(),
        _ => text.into_owned().into(),
    }
}

/// The last part of a path or package, without an ending.
fn stem(word: &OsStr) -> String {
    let text = word.to_string_lossy();
    let last = text.rsplit('/').next().unwrap_or_default();
    let ending = [".js", ".mjs", ".cjs", ".ts", ".py", ".rb"];
    let cut = ending.iter().find_map(|end| last.strip_suffix(end));
    cut.unwrap_or(last).to_owned()
}

fn plain(key: &str) -> String {
    let is_plain =
        |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let lower = key.to_ascii_lowercase();
    let kept: String = lower
        .chars()
        .filter(is_plain)
        .take(WORD_BYTES_MAX)
        .collect();
    match kept.starts_with(|c: char| c.is_ascii_lowercase()) {
        true => kept,
        false => format!("server{kept}"),
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{choose, made};

    fn words(command: &str) -> Vec<OsString> {
        command.split(' ').map(Into::into).collect()
    }

    #[test]
    fn one_server_has_one_name_whatever_it_works_on() {
        let same = [
            (
                "npx -y @scope/server-files /a",
                "npx -y @scope/server-files@1.2.3 /b",
            ),
            ("/opt/bin/notes-server --port 1", "/opt/bin/notes-server"),
            (
                "uvx mcp-server-git --repository a",
                "uvx mcp-server-git --repository b",
            ),
            ("python3.12 -m notes.server a", "python3.12 -m notes.server"),
        ];
        for (one, other) in same {
            assert_eq!(made(&words(one)), made(&words(other)), "{one}");
        }
        let other = [
            ("npx -y @scope/server-files", "npx -y @other/server-files"),
            ("docker run -i --rm one", "docker run -i --rm two"),
            ("uv --directory /x run a.py", "uv --directory /x run b.py"),
        ];
        for (one, other) in other {
            assert_ne!(made(&words(one)), made(&words(other)), "{one}");
        }
    }

    #[test]
    fn scripts_are_told_apart_by_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let name = |folder: &str| {
            let path = dir.path().join(folder);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::write(path.join("index.js"), "").unwrap();
            let script = path.join("index.js").into_os_string();
            made(&["node".into(), "--no-warnings".into(), script])
        };
        assert_ne!(name("a"), name("b"));
        assert_eq!(name("a"), name("a"));
        assert!(name("a").starts_with("index-"), "{}", name("a"));
    }

    #[test]
    fn every_name_is_one_of_a_server() {
        for command in ["npx @a/B_c.d@2", "7zip", "./-", "é", "node", "a/b/"] {
            choose(None, &words(command)).expect(command);
        }
        for given in ["", "A", "1a", "a b", "a/b", "127.0.0.1", "..", "a..b"] {
            assert!(choose(Some(given), &[]).is_err(), "{given}");
        }
        assert_eq!(choose(Some("notes"), &[]).unwrap().to_string(), "notes");
    }
}
