//! What the plan needs to know of this machine, gathered once so that planning stays pure.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::{Error, toolchains, trust};

/// Entries of the root directory that hold programs, as directories or as links to such.
const SYSTEM_DIRS: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/gnu",
];

/// Parts of the device tree that programs read to size their thread pools.
const HARDWARE_DIRS: &[&str] = &["/sys/devices/system/cpu", "/sys/devices/system/node"];

/// Where a user keeps credentials, keys and profiles, relative to the home directory.
pub(crate) const SECRETS: &[&str] = &[
    ".ssh",
    ".aws",
    ".config",
    ".gnupg",
    ".kube",
    ".docker",
    ".azure",
    ".mozilla",
    ".thunderbird",
    ".password-store",
    ".pki",
    ".netrc",
    ".git-credentials",
    ".npmrc",
    ".pypirc",
    ".vault-token",
    ".terraform.d",
    ".cargo/credentials",
    ".cargo/credentials.toml",
    ".gem/credentials",
    ".local/share/keyrings",
    ".local/share/uv/credentials",
    ".m2/settings.xml",
    ".pgpass",
    ".my.cnf",
    ".bash_history",
    ".zsh_history",
    ".python_history",
    ".claude",
    ".claude.json",
    ".codex",
    ".gemini",
    ".snap",
    "snap",
    ".var",
];

/// Where settings are kept below `/usr`. Root's bottle, which the kernel lets read what root owns, must not
/// see those that are not everyone's. All of `/usr` is too much to search at each start.
const USR_SETTINGS: &[&str] = &["/usr/local/etc", "/usr/etc"];

/// How deep `/etc` is searched; deeper directories are hidden.
const ETC_DEPTH_MAX: usize = 16;

/// Facts about the machine and its user.
#[derive(Clone, Debug, Default)]
pub struct HostFacts {
    /// The user's home directory, absolute, without symbolic links.
    pub home: PathBuf,
    /// Directories of programs that exist.
    pub system_dirs: Vec<PathBuf>,
    /// Links in the root directory and what they say (`/bin` to `usr/bin`, `/home` to
    /// `var/home`).
    pub root_links: Vec<(PathBuf, PathBuf)>,
    /// Entries of `/opt` that everyone may read.
    pub optional_dirs: Vec<PathBuf>,
    /// Parts of `/sys` that exist.
    pub hardware_dirs: Vec<PathBuf>,
    /// Entries of `/etc`, relative to it, that not everyone may read.
    pub private_etc: Vec<PathBuf>,
    /// Directories of settings below `/usr`, and entries of each, relative to it, that not everyone may
    /// read; only those that have such.
    pub private_usr: Vec<(PathBuf, Vec<PathBuf>)>,
    /// Certificate bundles in `/etc`, relative to it, that exist.
    pub bundles: Vec<PathBuf>,
    /// Java trust stores in `/etc`, relative to it, that exist.
    pub java_stores: Vec<PathBuf>,
    /// The system's certificate bundle, PEM; empty when there is none.
    pub system_roots_pem: Vec<u8>,
    /// The directories of `PATH`.
    pub search: Vec<SearchDir>,
    /// Programs' directories and files outside the system's that `PATH` needs, and that exist.
    pub tools: Vec<PathBuf>,
    /// Directories of starters in `tools`.
    pub starters: Vec<Starters>,
    /// Places of credentials that exist, and whether each is a directory.
    pub secrets: Vec<(PathBuf, bool)>,
}

/// A directory of scripts that start the programs of a toolchain's version in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Starters {
    /// Where.
    pub dir: PathBuf,
    /// Each script's name and text.
    pub scripts: Vec<(OsString, Vec<u8>)>,
}

/// One directory of `PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchDir {
    /// As `PATH` says it.
    pub dir: PathBuf,
    /// Without symbolic links.
    pub real: PathBuf,
    /// Where symbolic links in it lead, without symbolic links; filled only for directories
    /// outside the system's.
    pub targets: Vec<PathBuf>,
}

impl HostFacts {
    /// Reads the facts of this machine.
    ///
    /// # Errors
    /// [`Error::NoHome`] when `env` names no home directory.
    pub fn gather(env: &BTreeMap<OsString, OsString>) -> Result<HostFacts, Error> {
        let home = env
            .get(OsStr::new("HOME"))
            .map(PathBuf::from)
            .ok_or(Error::NoHome)?;
        let home = fs::canonicalize(home).map_err(|_| Error::NoHome)?;
        if home == Path::new("/") {
            return Err(Error::NoHome);
        }
        let path = env.get(OsStr::new("PATH")).cloned().unwrap_or_default();
        let search: Vec<_> = std::env::split_paths(&path)
            .filter_map(search_dir)
            .collect();
        let (root_links, system_dirs) = system_dirs();
        let tools = existing(toolchains::wanted(&home, &search).into_iter());
        Ok(HostFacts {
            system_dirs,
            root_links,
            optional_dirs: public_entries(Path::new("/opt")),
            hardware_dirs: existing(HARDWARE_DIRS.iter().map(PathBuf::from)),
            private_etc: private_entries(Path::new("/etc")),
            private_usr: private_usr(),
            bundles: existing_below(Path::new("/etc"), trust::BUNDLES),
            java_stores: existing_below(Path::new("/etc"), trust::JAVA_STORES),
            system_roots_pem: trust::system_roots(),
            secrets: secrets(&home),
            search,
            starters: toolchains::starters(&home, &tools),
            tools,
            home,
        })
    }
}

fn existing(paths: impl Iterator<Item = PathBuf>) -> Vec<PathBuf> {
    paths.filter(|path| path.exists()).collect()
}

/// Those of `names` that exist below `root`, each by the directory it is really in: a layer over
/// a link to a directory would hide all else in that directory.
pub(crate) fn existing_below(root: &Path, names: &[&str]) -> Vec<PathBuf> {
    let found = names
        .iter()
        .filter(|name| root.join(name).exists())
        .map(|name| {
            let path = root.join(name);
            let real = path.parent().and_then(|dir| fs::canonicalize(dir).ok());
            let real = real.zip(path.file_name()).map(|(dir, file)| dir.join(file));
            let inside = real.and_then(|real| Some(real.strip_prefix(root).ok()?.to_owned()));
            // What leads out of `root` leads to where nothing is shown, so the link is covered.
            inside.unwrap_or_else(|| PathBuf::from(name))
        });
    found.collect::<BTreeSet<_>>().into_iter().collect()
}

fn secrets(home: &Path) -> Vec<(PathBuf, bool)> {
    let found = SECRETS
        .iter()
        .map(|name| home.join(name))
        .filter_map(|path| {
            let is_dir = fs::metadata(&path).ok()?.is_dir();
            Some((path, is_dir))
        });
    found.collect()
}

fn system_dirs() -> (Vec<(PathBuf, PathBuf)>, Vec<PathBuf>) {
    let entries = fs::read_dir("/").into_iter().flatten().flatten();
    let links = entries.filter_map(|entry| Some((entry.path(), fs::read_link(entry.path()).ok()?)));
    let dirs = SYSTEM_DIRS
        .iter()
        .map(PathBuf::from)
        .filter(|dir| dir.is_dir() && !dir.is_symlink());
    (links.collect(), dirs.collect())
}

fn search_dir(dir: PathBuf) -> Option<SearchDir> {
    if !dir.is_absolute() {
        return None;
    }
    let real = fs::canonicalize(&dir).ok()?;
    let system = SYSTEM_DIRS.iter().any(|system| real.starts_with(system));
    let targets = if system {
        Vec::new()
    } else {
        link_targets(&real)
    };
    Some(SearchDir { dir, real, targets })
}

fn link_targets(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let links = entries
        .flatten()
        .filter(|e| e.file_type().is_ok_and(|kind| kind.is_symlink()));
    let targets: BTreeSet<_> = links
        .filter_map(|entry| fs::canonicalize(entry.path()).ok())
        .collect();
    targets
        .into_iter()
        .filter(|target| !target.starts_with(dir))
        .collect()
}

/// Whether users other than the owner and group may read this file or enter this directory.
fn is_public(metadata: &fs::Metadata) -> bool {
    let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
    metadata.permissions().mode() & needed == needed
}

fn public_entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let public = |entry: &fs::DirEntry| fs::metadata(entry.path()).is_ok_and(|m| is_public(&m));
    let mut found: Vec<_> = entries
        .flatten()
        .filter(public)
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

fn private_usr() -> Vec<(PathBuf, Vec<PathBuf>)> {
    let dirs = USR_SETTINGS.iter().map(PathBuf::from);
    let real = dirs.filter(|dir| dir.is_dir() && !dir.is_symlink());
    let searched = real.map(|dir| {
        let hidden = private_entries(&dir);
        (dir, hidden)
    });
    searched.filter(|(_, hidden)| !hidden.is_empty()).collect()
}

/// Entries below `dir`, relative to it, that others may not read. What cannot be looked at is
/// among them.
fn private_entries(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    search_private(dir, Path::new(""), ETC_DEPTH_MAX, &mut found);
    found.sort();
    found
}

fn search_private(root: &Path, below: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root.join(below)) else {
        found.push(below.to_owned());
        return;
    };
    for entry in entries.flatten() {
        let name = below.join(entry.file_name());
        match entry.metadata() {
            Ok(metadata) if metadata.is_symlink() => {}
            Ok(metadata) if !is_public(&metadata) => found.push(name),
            Ok(metadata) if metadata.is_dir() && depth == 0 => found.push(name),
            Ok(metadata) if metadata.is_dir() => search_private(root, &name, depth - 1, found),
            Ok(_) => {}
            Err(_) => found.push(name),
        }
    }
}
