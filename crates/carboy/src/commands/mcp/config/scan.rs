//! `carboy mcp scan`: what is wrong with the servers that clients are told to use.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum as _;
use serde::Serialize;
use serde_json::json;

use super::clients;
use super::document::{Document, Server};
use super::install::is_wrapped;
use super::secrets::Secrets;
use super::start::{self, Started};
use crate::cli::{McpClient, McpScanArgs};
use crate::outcome::Outcome;
use crate::output::{self, Format};

/// The largest file that is read. Clients keep histories in some of them.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// What was found of one server. It holds no value.
#[derive(Debug, Serialize)]
struct Fault {
    file: String,
    server: String,
    severity: &'static str,
    rule: &'static str,
    message: String,
    remedy: String,
}

/// Does what the command line asks.
pub(in super::super) fn scan(args: &McpScanArgs) -> Result<Outcome> {
    anyhow::ensure!(
        args.start || args.policy.policy.is_none(),
        "--policy is for the servers that --start starts"
    );
    let mut files = args.config.clone();
    if files.is_empty() {
        for client in McpClient::value_variants() {
            files.extend(clients::files(*client)?);
        }
    }
    let secrets = Secrets::default();
    let documents = files.iter().map(|path| read(path));
    let documents = documents.collect::<Result<Vec<_>>>()?;
    let mut found = Found::default();
    for (path, document) in files.iter().zip(&documents) {
        for server in &document.servers {
            judge(path, server, &secrets, &mut found.faults);
        }
    }
    if args.start {
        start_all(args, &secrets, files.iter().zip(&documents), &mut found)?;
    }
    let servers = documents.iter().map(|own| own.servers.len()).sum();
    print(args, &files, servers, &found)?;
    Ok(match found.faults.is_empty() {
        true => Outcome::Clean,
        false => Outcome::Found,
    })
}

/// What was found of all servers.
#[derive(Default)]
struct Found {
    faults: Vec<Fault>,
    started: Vec<Started>,
}

/// Starts the local servers, each in a bottle, and judges what they say of their tools.
fn start_all<'a>(
    args: &McpScanArgs,
    secrets: &Secrets,
    documents: impl Iterator<Item = (&'a PathBuf, &'a Document)>,
    found: &mut Found,
) -> Result<()> {
    let servers = documents.flat_map(|(path, own)| own.servers.iter().map(move |own| (path, own)));
    let servers: Vec<_> = servers
        .filter(|(_, own)| start::is_startable(own))
        .collect();
    let named: Vec<_> = servers.iter().map(|(_, own)| *own).collect();
    start::announce(&named, secrets);
    for (path, server) in servers {
        let started = start::start(server, args.policy.policy.as_deref())?;
        if let Some(trouble) = &started.trouble {
            found.faults.push(Fault {
                file: path.display().to_string(),
                server: shown(&server.name),
                severity: trouble.severity,
                rule: trouble.rule,
                message: trouble.message.clone(),
                remedy: trouble.remedy.clone(),
            });
        }
        found.started.push(started);
    }
    Ok(())
}

/// Reads a configuration file.
pub(super) fn read(path: &Path) -> Result<Document> {
    let named = || format!("cannot read {}", path.display());
    let size = fs::metadata(path).with_context(named)?.len();
    anyhow::ensure!(
        size <= FILE_BYTES_MAX,
        "{} is larger than {FILE_BYTES_MAX} bytes",
        path.display()
    );
    Document::parse(path, fs::read_to_string(path).with_context(named)?)
}

fn print(args: &McpScanArgs, files: &[PathBuf], servers: usize, found: &Found) -> Result<()> {
    let faults = &found.faults;
    match args.format {
        Format::Json => {
            let mut shown = json!({
                "files": files,
                "servers": servers,
                "findings": faults,
            });
            if args.start {
                shown["started"] = json!(found.started);
            }
            output::json(&shown)?;
        }
        Format::Text => {
            let mut text = String::new();
            for started in found.started.iter().filter(|own| own.trouble.is_none()) {
                let Started { server, tools, .. } = started;
                writeln!(
                    text,
                    "{server}: {} tools: {}",
                    tools.len(),
                    tools.join(", ")
                )?;
            }
            for fault in faults {
                let Fault {
                    file,
                    server,
                    severity,
                    rule,
                    message,
                    remedy,
                } = fault;
                writeln!(
                    text,
                    "{file}: {server}: {severity} {rule}: {message}\n        {remedy}"
                )?;
            }
            output::print(text)?;
            if !faults.is_empty() {
                let (count, files) = (faults.len(), files.len());
                output::note(format_args!(
                    "{count} findings in {servers} servers of {files} files"
                ));
            }
        }
    }
    Ok(())
}

fn judge(path: &Path, server: &Server, secrets: &Secrets, faults: &mut Vec<Fault>) {
    let mut add = |severity, rule, message: String, remedy: &str| {
        faults.push(Fault {
            file: path.display().to_string(),
            server: shown(&server.name),
            severity,
            rule,
            message,
            remedy: remedy.to_owned(),
        });
    };
    judge_secrets(server, secrets, &mut add);
    if let Some(url) = &server.url {
        if secrets.words(std::slice::from_ref(url))[0] {
            add(
                "high",
                "secret-in-url",
                "the URL holds a secret in clear".to_owned(),
                "send it in a header that refers to it, and replace it",
            );
        }
        if let Some(host) = clear_host(url) {
            add(
                "high",
                "plain-http",
                format!("what goes to {host} goes in clear text"),
                "use https",
            );
        }
        add_unwrapped_remote(&mut add);
        return;
    }
    if !is_wrapped(&server.command) {
        add(
            "medium",
            "unwrapped",
            "nothing judges what it is told and what it says".to_owned(),
            "carboy mcp install CLIENT wraps it",
        );
    }
    let own = super::install::own_command(&server.command);
    if let Some(package) = unpinned(own) {
        let message = format!(
            "it runs whatever version of {} is the newest",
            shown(package)
        );
        add(
            "medium",
            "unpinned",
            message,
            "name a version, as in package@1.2.3, or an image by its digest",
        );
    }
    if is_shell(own) {
        add(
            "low",
            "shell-wrapper",
            "a shell script starts it, so what runs is not plain to see".to_owned(),
            "name the program and its arguments",
        );
    }
}

/// What of a server's configuration holds a secret in clear, besides its URL.
fn judge_secrets(
    server: &Server,
    secrets: &Secrets,
    add: &mut impl FnMut(&'static str, &'static str, String, &str),
) {
    for (kind, pairs) in [("variable", &server.variables), ("header", &server.headers)] {
        for (name, value) in pairs
            .iter()
            .filter(|(name, value)| secrets.is_secret(name, value))
        {
            let message = format!(
                "the {kind} {} holds a secret of {} bytes in clear",
                shown(name),
                value.len()
            );
            add(
                "high",
                "secret-in-config",
                message,
                "keep it in the client's secret store or the environment, refer to it, and replace it",
            );
        }
    }
    let words = secrets.words(&server.command);
    for at in (0..words.len()).filter(|at| words[*at]) {
        let message = format!(
            "argument {at} holds a secret in clear, which every process of the machine can read"
        );
        add(
            "high",
            "secret-in-arguments",
            message,
            "give it in a variable or a file, and replace it",
        );
    }
}

fn add_unwrapped_remote(add: &mut impl FnMut(&'static str, &'static str, String, &str)) {
    add(
        "low",
        "unwrapped-remote",
        "nothing judges what it is told and what it says".to_owned(),
        "carboy mcp install CLIENT has the client reach it by carboy mcp connect",
    );
}

/// The host of a clear-text URL, unless it is this machine.
fn clear_host(text: &str) -> Option<String> {
    let url = url::Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "ws"))?;
    let is_local = match url.host()? {
        url::Host::Domain(name) => name == "localhost" || name.ends_with(".localhost"),
        url::Host::Ipv4(addr) => addr.is_loopback(),
        url::Host::Ipv6(addr) => addr.is_loopback(),
    };
    (!is_local).then(|| url.host_str().map(shown)).flatten()
}

fn stem(word: &str) -> &str {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    name.trim_end_matches(".exe").trim_end_matches(".cmd")
}

fn is_shell(command: &[String]) -> bool {
    const SHELLS: [&str; 6] = ["sh", "bash", "zsh", "dash", "fish", "pwsh"];
    let Some((program, rest)) = command.split_first() else {
        return false;
    };
    SHELLS.contains(&stem(program))
        && rest
            .iter()
            .any(|word| word.starts_with('-') && word.contains('c'))
}

/// The package or image that a launcher takes in its newest version.
fn unpinned(command: &[String]) -> Option<&str> {
    let (program, mut rest) = command.split_first()?;
    let mut launcher = stem(program);
    if launcher == "cmd" && rest.len() > 2 {
        (launcher, rest) = (stem(&rest[1]), &rest[2..]);
    }
    let verbs: &[&str] = match launcher {
        "npx" | "bunx" | "uvx" => &[],
        "pnpm" | "yarn" => &["dlx"],
        "npm" => &["exec", "x"],
        "bun" => &["x"],
        "pipx" => &["run"],
        "uv" => &["tool"],
        "docker" | "podman" => return image(rest),
        _ => return None,
    };
    if !verbs.is_empty() {
        let verb = rest.first()?;
        if !verbs.contains(&&**verb) {
            return None;
        }
        rest = &rest[1..];
    }
    let from = |flag: &str| {
        rest.iter()
            .position(|word| word == flag)
            .and_then(|at| rest.get(at + 1))
    };
    let given = from("--from")
        .or_else(|| from("--package"))
        .or_else(|| from("-p"));
    let first = || {
        rest.iter()
            .find(|word| !word.starts_with('-') && *word != "run" && *word != "--")
    };
    let package = given.or_else(first)?;
    (!is_pinned(package)).then_some(package)
}

fn is_pinned(package: &str) -> bool {
    let is_path = package.starts_with(['.', '/', '~']);
    let version = package.split_once("==").map(|(_, version)| version);
    let version = version.or_else(|| {
        package[package.len().min(1)..]
            .rsplit_once('@')
            .map(|(_, version)| version)
    });
    is_path
        || version.is_some_and(|version| {
            version.starts_with(|c: char| c.is_ascii_hexdigit() || c == 'v')
                && version.contains(|c: char| c.is_ascii_digit())
        })
}

/// The image of `docker run`, if its tag can move: none, or `latest`.
fn image(rest: &[String]) -> Option<&str> {
    const VALUED: [&str; 12] = [
        "-e",
        "--env",
        "-v",
        "--volume",
        "--mount",
        "-p",
        "--name",
        "-w",
        "-u",
        "--network",
        "--entrypoint",
        "--env-file",
    ];
    let mut words = rest.iter().skip_while(|word| *word != "run").skip(1);
    while let Some(word) = words.next() {
        if VALUED.contains(&&**word) {
            words.next();
        } else if !word.starts_with('-') {
            let tag = word
                .rsplit('/')
                .next()
                .and_then(|last| last.split_once(':'))
                .map(|(_, tag)| tag);
            let moves = !word.contains("@sha256:") && tag.is_none_or(|tag| tag == "latest");
            return moves.then_some(word);
        }
    }
    None
}

/// A text of a configuration, fit for a terminal.
pub(super) fn shown(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || c.is_ascii_punctuation() || c == ' ';
    text.chars()
        .take(128)
        .map(|c| if is_plain(c) { c } else { '?' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{clear_host, is_shell, unpinned};

    #[test]
    fn packages_that_move() {
        for (command, expected) in [
            (
                "npx -y @modelcontextprotocol/server-filesystem /x",
                Some("@modelcontextprotocol/server-filesystem"),
            ),
            (
                "npx -y @modelcontextprotocol/server-filesystem@2025.1.2 /x",
                None,
            ),
            ("npx -y server@latest", Some("server@latest")),
            ("npx --package=x -y server", Some("server")),
            ("uvx mcp-server-git", Some("mcp-server-git")),
            ("uvx mcp-server-git==1.2.0", None),
            (
                "uvx --from git+https://x.example/a server",
                Some("git+https://x.example/a"),
            ),
            ("pnpm dlx server", Some("server")),
            ("pnpm run server", None),
            ("cmd /c npx -y server", Some("server")),
            (
                "docker run -i --rm -e TOKEN example/server",
                Some("example/server"),
            ),
            ("docker run -i example/server:1.2", None),
            ("node server.js", None),
            ("npx ./server", None),
        ] {
            let words: Vec<_> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(unpinned(&words), expected, "{command}");
        }
    }

    #[test]
    fn clear_text_and_shells() {
        assert_eq!(
            clear_host("http://x.example/mcp").as_deref(),
            Some("x.example")
        );
        for url in [
            "https://x.example",
            "http://localhost:8080",
            "http://127.0.0.1/",
            "http://[::1]:1/",
        ] {
            assert_eq!(clear_host(url), None, "{url}");
        }
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(is_shell(&words("/bin/bash -lc x")));
        assert!(!is_shell(&words("bash server.sh")));
    }
}
