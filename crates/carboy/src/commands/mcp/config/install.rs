//! `carboy mcp install` and `uninstall`: clients are told to start their servers through Carboy.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use carboy_proxy::mcp::ServerName;

use super::document::Server;
use super::scan::{read, shown};
use super::secrets::Secrets;
use super::{clients, document::Document, remote};
use crate::cli::{McpClientArgs, McpInstallArgs};
use crate::outcome::Outcome;
use crate::output;

/// What the name of the file as it was ends with.
const BACKUP_ENDING: &str = ".before-carboy";

/// Leads each server through `carboy mcp wrap`.
pub(in super::super) fn install(args: &McpInstallArgs) -> Result<Outcome> {
    let carboy = std::env::current_exe().context("cannot tell where carboy itself is")?;
    let carboy = carboy
        .to_str()
        .context("the path of carboy itself is no text")?
        .to_owned();
    let policy = args
        .policy
        .policy
        .as_deref()
        .map(absolute_policy)
        .transpose()?;
    let secrets = Secrets::default();
    let lead = |server: &Server| {
        let policy = policy.as_deref();
        if server.command.is_empty() {
            let is_met =
                !args.local_only && remote::obstacle(server, &secrets, policy.is_some()).is_none();
            return is_met.then(|| connection_of(server, &carboy, policy));
        }
        (!is_wrapped(&server.command)).then(|| lead_of(server, &carboy, policy))
    };
    each(&args.client, |path, document| {
        if !args.local_only {
            tell_obstacles(document, &secrets, policy.is_some());
        }
        let text = document.led(lead)?;
        if text == document.text {
            return Ok(());
        }
        show(path, document, &text)?;
        if args.client.dry_run {
            return Ok(());
        }
        // What it was before Carboy, whatever was added since.
        let before = freed(path, document)?;
        write(&backup(path), &before, path)?;
        write(path, &text, path)
    })
}

/// Has each server started as it was before.
pub(in super::super) fn uninstall(args: &McpClientArgs) -> Result<Outcome> {
    each(args, |path, document| {
        let text = freed(path, document)?;
        let backup = backup(path);
        if text == document.text {
            return Ok(());
        }
        show(path, document, &text)?;
        if args.dry_run {
            return Ok(());
        }
        write(path, &text, path)?;
        match fs::read_to_string(&backup) {
            Ok(before) if before == text => fs::remove_file(&backup)
                .with_context(|| format!("cannot remove {}", backup.display())),
            Ok(_) => {
                let (path, backup) = (path.display(), backup.display());
                output::note(format_args!(
                    "{path} was changed since it was wrapped; as it was before: {backup}"
                ));
                Ok(())
            }
            Err(_) => Ok(()),
        }
    })
}

/// The text as it was before Carboy, but for what was changed since.
fn freed(path: &Path, document: &Document) -> Result<String> {
    let was = fs::read_to_string(backup(path)).ok();
    let was = was.and_then(|text| Document::parse(path, text).ok());
    document.freed(was.as_ref(), |server| lead_len(&server.command))
}

/// Says of remote servers that stay as they are why.
fn tell_obstacles(document: &Document, secrets: &Secrets, has_policy: bool) {
    let remote = document.servers.iter().filter(|own| own.command.is_empty());
    for server in remote {
        if let Some(why) = remote::obstacle(server, secrets, has_policy) {
            let name = shown(&server.name);
            output::note(format_args!("{name} is left as it is: {why}"));
        }
    }
}

fn each(
    args: &McpClientArgs,
    mut each: impl FnMut(&Path, &Document) -> Result<()>,
) -> Result<Outcome> {
    let files = match (args.client, args.config.is_empty()) {
        (Some(client), true) => clients::files_of(client)?,
        (None, false) => args.config.clone(),
        (Some(_), false) | (None, true) => bail!("name a client, or a file with --config FILE"),
    };
    for path in files {
        // A link to where the file is kept stays one.
        let path =
            fs::canonicalize(&path).with_context(|| format!("cannot read {}", path.display()))?;
        each(&path, &read(&path)?)?;
    }
    Ok(Outcome::Clean)
}

/// Whether a command goes through Carboy already.
pub(super) fn is_wrapped(command: &[String]) -> bool {
    lead_len(command).is_some() || remote::url_of(command).is_some()
}

/// A server's own command, without what leads to it.
pub(super) fn own_command(command: &[String]) -> &[String] {
    match remote::url_of(command) {
        Some(_) => &[],
        None => &command[lead_len(command).unwrap_or(0)..],
    }
}

/// The words before a server's own command: `carboy mcp wrap ... --`.
fn lead_len(command: &[String]) -> Option<usize> {
    let program = Path::new(command.first()?).file_stem()?.to_str()?;
    let is_lead =
        program.starts_with("carboy") && command.get(1)? == "mcp" && command.get(2)? == "wrap";
    let end = command.iter().position(|word| word == "--")?;
    (is_lead && end + 1 < command.len()).then_some(end + 1)
}

fn lead_of(server: &Server, carboy: &str, policy: Option<&str>) -> Vec<String> {
    let mut words = vec![carboy, "mcp", "wrap", "--name"];
    let name = name_of(&server.name);
    words.push(&name);
    if let Some(policy) = policy {
        words.extend(["--policy", policy]);
    }
    // The wrapped server is given only the variables that are named.
    for (variable, _) in &server.variables {
        words.extend(["--env", variable]);
    }
    words.push("--");
    words.into_iter().map(str::to_owned).collect()
}

fn connection_of(server: &Server, carboy: &str, policy: Option<&str>) -> Vec<String> {
    let name = name_of(&server.name);
    let mut lead = vec![carboy, "mcp", "connect", "--name", &name];
    if let Some(policy) = policy {
        lead.extend(["--policy", policy]);
    }
    remote::words(server, &lead)
}

/// The server's name as `--name` takes it.
pub(super) fn name_of(name: &str) -> String {
    let is_plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let plain: String = name
        .chars()
        .map(|c| {
            if is_plain(&c) {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    match ServerName::parse(&plain) {
        Ok(_) => plain,
        Err(_) => {
            let made = format!("s-{}", plain.trim_matches(['-', '.', '_']));
            ServerName::parse(&made).map_or_else(|_| "server".to_owned(), |_| made)
        }
    }
}

/// A preset's name, or a file's path wherever the client starts.
fn absolute_policy(policy: &str) -> Result<String> {
    if carboy_engine::Preset::named(policy).is_some() {
        return Ok(policy.to_owned());
    }
    let path =
        fs::canonicalize(policy).with_context(|| format!("cannot read the policy {policy}"))?;
    Ok(path
        .to_str()
        .context("the policy's path is no text")?
        .to_owned())
}

fn backup(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BACKUP_ENDING);
    PathBuf::from(name)
}

/// What changes, command by command. Secrets among the words are not shown.
fn show(path: &Path, before: &Document, text: &str) -> Result<()> {
    let after = Document::parse(path, text.to_owned())?;
    let secrets = Secrets::default();
    let line = |server: &Server| {
        let remote: Vec<_> = server.url.iter().cloned().collect();
        let words = match server.command.is_empty() {
            true => &remote,
            false => &server.command,
        };
        let hidden = secrets.words(words);
        let words = words.iter().zip(hidden);
        let words = words.map(|(word, is_secret)| {
            if is_secret {
                "***".to_owned()
            } else {
                shown(word)
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    let mut out = format!("{}\n", path.display());
    for (old, new) in before.servers.iter().zip(&after.servers) {
        if old.command != new.command {
            writeln!(
                out,
                "  {}\n  - {}\n  + {}",
                shown(&old.name),
                line(old),
                line(new)
            )?;
        }
    }
    output::print(out)?;
    Ok(())
}

/// Writes a file whole or not at all, with the rights of another.
fn write(path: &Path, text: &str, like: &Path) -> Result<()> {
    let named = || format!("cannot write {}", path.display());
    let dir = path.parent().with_context(named)?;
    let mut file = tempfile::NamedTempFile::new_in(dir).with_context(named)?;
    file.write_all(text.as_bytes()).with_context(named)?;
    let rights = fs::metadata(like).with_context(named)?.permissions();
    file.as_file().set_permissions(rights).with_context(named)?;
    file.as_file().sync_all().with_context(named)?;
    file.persist(path).with_context(named)?;
    Ok(())
}
