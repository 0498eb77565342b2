//! `carboy ca`: the kept authority of `carboy proxy`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use carboy_proxy::CertificateAuthority;
use data_encoding::HEXLOWER;
use serde_json::json;

use crate::cli::CaCommand;
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;

/// The certificate and key of a kept authority, as [`CertificateAuthority`] names them.
const CERTIFICATE_FILE: &str = "ca.pem";
const KEY_FILE: &str = "ca-key.pem";

/// Where Debian and its kin look for local authorities (update-ca-certificates(8)).
const SYSTEM_DIR: &str = "/usr/local/share/ca-certificates";
const SYSTEM_FILE: &str = "carboy.crt";
const UPDATE_COMMAND: &str = "update-ca-certificates";

/// Runs a `ca` command.
pub(crate) fn run(command: &CaCommand) -> Result<Outcome> {
    let dir = paths::authority_dir(&paths::state_dir()?);
    match command {
        CaCommand::Init { force } => init(&dir, *force),
        CaCommand::Show { format } => show(&dir, *format),
        CaCommand::Install { dry_run } => install(&dir, *dry_run),
        CaCommand::Export { file } => export(&dir, file.as_deref()),
    }
}

fn init(dir: &Path, force: bool) -> Result<Outcome> {
    if force {
        for file in [dir.join(CERTIFICATE_FILE), dir.join(KEY_FILE)] {
            if file.exists() {
                fs::remove_file(&file)
                    .with_context(|| format!("cannot remove {}", file.display()))?;
            }
        }
    }
    paths::private_dir(dir)?;
    CertificateAuthority::init(dir).context(match force {
        true => "cannot make the authority",
        false => "cannot make the authority (--force replaces one)",
    })?;
    show(dir, Format::Text)
}

fn show(dir: &Path, format: Format) -> Result<Outcome> {
    let authority = load(dir)?;
    let certificate = dir.join(CERTIFICATE_FILE);
    let fingerprint = HEXLOWER.encode(&authority.fingerprint());
    match format {
        Format::Json => output::json(&json!({
            "certificate": certificate,
            "key": dir.join(KEY_FILE),
            "sha256": fingerprint,
        }))?,
        Format::Text => {
            output::line(format_args!("certificate  {}", certificate.display()))?;
            output::line(format_args!(
                "key          {}",
                dir.join(KEY_FILE).display()
            ))?;
            output::line(format_args!("SHA-256      {fingerprint}"))?;
        }
    }
    Ok(Outcome::Clean)
}

fn install(dir: &Path, dry_run: bool) -> Result<Outcome> {
    let authority = load(dir)?;
    let to = Path::new(SYSTEM_DIR).join(SYSTEM_FILE);
    if dry_run {
        output::line(format_args!("would write {}", to.display()))?;
        output::line(format_args!("would run   {UPDATE_COMMAND}"))?;
        return Ok(Outcome::Clean);
    }
    ensure!(
        nix::unistd::Uid::effective().is_root(),
        "only root may change this system's trust store; run it with sudo, with CARBOY_STATE_DIR \
         set to {}, or give clients the file that `carboy ca export` writes",
        dir.parent().unwrap_or(dir).display()
    );
    ensure!(
        find_in_path(UPDATE_COMMAND).is_some(),
        "this system has no {UPDATE_COMMAND}, so its trust store is not of Debian's layout; give \
         clients the file that `carboy ca export` writes"
    );
    fs::create_dir_all(SYSTEM_DIR).with_context(|| format!("cannot make {SYSTEM_DIR}"))?;
    fs::write(&to, authority.certificate_pem())
        .with_context(|| format!("cannot write {}", to.display()))?;
    let status = Command::new(UPDATE_COMMAND).status();
    let status = status.with_context(|| format!("cannot run {UPDATE_COMMAND}"))?;
    if !status.success() {
        bail!("{UPDATE_COMMAND} failed: {status}");
    }
    output::line(format_args!("installed {}", to.display()))?;
    Ok(Outcome::Clean)
}

fn export(dir: &Path, file: Option<&Path>) -> Result<Outcome> {
    let authority = load(dir)?;
    match file {
        None => output::print(authority.certificate_pem())?,
        Some(file) => fs::write(file, authority.certificate_pem())
            .with_context(|| format!("cannot write {}", file.display()))?,
    }
    Ok(Outcome::Clean)
}

pub(super) fn load(dir: &Path) -> Result<CertificateAuthority> {
    ensure!(
        dir.join(CERTIFICATE_FILE).exists(),
        "there is no kept authority in {}; make one with `carboy ca init`",
        dir.display()
    );
    Ok(CertificateAuthority::load(dir)?)
}

fn find_in_path(program: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH")?;
    std::env::split_paths(search.as_os_str() as &OsStr)
        .map(|dir| dir.join(program))
        .find(|path| path.is_file())
}
