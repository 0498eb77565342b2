//! Toolchains that live under the home directory: which parts of them a program on `PATH` needs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::host::SECRETS;
use crate::{SearchDir, Starters};

/// A tool's place under the home directory, and what is shown when `PATH` leads into it.
struct Toolchain {
    /// A directory of `PATH`, or the target of a link in one, that lies in here...
    place: &'static str,
    /// ... needs these, read-only. None of them holds credentials.
    shown: &'static [&'static str],
}

const fn tool(place: &'static str, shown: &'static [&'static str]) -> Toolchain {
    Toolchain { place, shown }
}

const TOOLCHAINS: &[Toolchain] = &[
    tool(".cargo", &[".cargo/bin", ".rustup"]),
    tool(".rustup", &[".rustup"]),
    tool(".pyenv", &[".pyenv"]),
    tool(".rbenv", &[".rbenv"]),
    tool(".nodenv", &[".nodenv"]),
    tool(".goenv", &[".goenv"]),
    tool(".nvm", &[".nvm"]),
    tool(".fnm", &[".fnm"]),
    tool(".volta", &[".volta"]),
    tool(".asdf", &[".asdf"]),
    tool(".bun", &[".bun/bin", ".bun/install/global"]),
    tool(".deno", &[".deno/bin"]),
    tool("go", &["go/bin"]),
    tool(".npm-global", &[".npm-global"]),
    tool(".npm-packages", &[".npm-packages"]),
    tool(".sdkman", &[".sdkman/candidates"]),
    tool(".dotnet", &[".dotnet"]),
    tool(".ghcup", &[".ghcup"]),
    tool(".juliaup", &[".juliaup", ".julia/juliaup"]),
    tool(
        ".rye",
        &[".rye/shims", ".rye/self", ".rye/py", ".rye/tools"],
    ),
    tool(".pixi", &[".pixi/bin", ".pixi/envs"]),
    tool(".opencode", &[".opencode/bin"]),
    tool(".linuxbrew", &[".linuxbrew"]),
    tool("miniconda3", &["miniconda3"]),
    tool("miniforge3", &["miniforge3"]),
    tool("anaconda3", &["anaconda3"]),
    tool(".local/bin", &[".local/bin", ".local/lib"]),
    tool(".local/lib", &[".local/lib"]),
    tool(".local/share/claude", &[".local/share/claude"]),
    tool(".local/share/fnm", &[".local/share/fnm"]),
    tool(
        ".local/share/mise",
        &[".local/share/mise/installs", ".local/share/mise/shims"],
    ),
    tool(
        ".local/share/pipx",
        &[".local/share/pipx/venvs", ".local/share/pipx/shared"],
    ),
    tool(".local/share/pnpm", &[".local/share/pnpm"]),
    tool(
        ".local/share/uv",
        &[".local/share/uv/tools", ".local/share/uv/python"],
    ),
    tool(".local/pipx", &[".local/pipx/venvs", ".local/pipx/shared"]),
];

/// Directories of small scripts that start the programs of the version in use. Their managers write them
/// anew after each install, which fails if they cannot.
const STARTERS: &[&str] = &[
    ".pyenv/shims",
    ".rbenv/shims",
    ".nodenv/shims",
    ".goenv/shims",
];

/// The starters of one directory: more than any set of toolchains has.
const STARTERS_MAX: usize = 4096;

/// The longest starter: theirs are a few hundred bytes.
const STARTER_BYTES_MAX: u64 = 16 * 1024;

/// Package trees outside the home directory and outside the system's directories.
const PREFIXES: &[&str] = &["/home/linuxbrew/.linuxbrew", "/snap"];

/// Directories that are shown in any case, or never because of what else is in them.
const NOT_TOOLS: &[&str] = &[
    "/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix", "/gnu", "/etc", "/proc", "/sys", "/dev",
    "/opt",
];

/// The host paths that the directories of `PATH` need, the outermost of each only.
pub(crate) fn wanted(home: &Path, search: &[SearchDir]) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for dir in search {
        for path in std::iter::once(&dir.real).chain(&dir.targets) {
            found.extend(needed_by(home, path));
        }
    }
    outermost(found)
}

/// The directories of starters in `home` that the shown `tools` hold. One that holds anything else, or
/// too much, is left as it is.
pub(crate) fn starters(home: &Path, tools: &[PathBuf]) -> Vec<Starters> {
    let dirs = STARTERS.iter().map(|dir| home.join(dir));
    dirs.filter(|dir| tools.iter().any(|tool| dir.starts_with(tool)))
        .filter_map(|dir| read_starters(dir).ok().flatten())
        .collect()
}

fn read_starters(dir: PathBuf) -> io::Result<Option<Starters>> {
    let mut scripts = Vec::new();
    for entry in fs::read_dir(&dir)? {
        let entry = entry?;
        let about = entry.metadata()?;
        let is_small = about.is_file() && about.len() <= STARTER_BYTES_MAX;
        if !is_small || scripts.len() >= STARTERS_MAX {
            return Ok(None);
        }
        scripts.push((entry.file_name(), fs::read(entry.path())?));
    }
    scripts.sort();
    Ok(Some(Starters { dir, scripts }))
}

fn needed_by(home: &Path, path: &Path) -> Vec<PathBuf> {
    if NOT_TOOLS.iter().any(|system| path.starts_with(system)) || home.starts_with(path) {
        return Vec::new();
    }
    let Ok(below) = path.strip_prefix(home) else {
        let prefix = PREFIXES.iter().find(|prefix| path.starts_with(prefix));
        return vec![prefix.map_or_else(|| path.to_owned(), PathBuf::from)];
    };
    if SECRETS.iter().any(|secret| below.starts_with(secret)) {
        return Vec::new();
    }
    match TOOLCHAINS.iter().find(|tool| below.starts_with(tool.place)) {
        Some(tool) => tool.shown.iter().map(|shown| home.join(shown)).collect(),
        None => vec![path.to_owned()],
    }
}

/// Drops paths that lie in another one of the set, which the order puts before them.
fn outermost(paths: BTreeSet<PathBuf>) -> Vec<PathBuf> {
    let mut kept: Vec<PathBuf> = Vec::new();
    for path in paths {
        if !kept.iter().any(|outer| path.starts_with(outer)) {
            kept.push(path);
        }
    }
    kept
}
