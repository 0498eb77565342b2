//! What is kept of servers' tools over sessions: a file a server.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use carboy_wire::mcp::{Baseline, Neighbour};

/// The directory in the state directory.
const DIRECTORY: &str = "mcp";

/// The file that whoever changes a baseline locks.
const LOCK_FILE: &str = "lock";

/// The largest file that is read: ten thousand tools of a kilobyte and a half.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// One server's kept tools.
#[derive(Debug, Clone)]
pub struct Shelf {
    directory: PathBuf,
    server: Box<str>,
}

/// Why what is kept cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// It cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no baseline: it was changed by hand, or by a newer version.
    #[error("{}: not what is kept of a server's tools", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
    },
}

impl Shelf {
    /// The place for one server's tools. `server` is a plain name: letters, digits, `-`, `_` and `.`.
    pub fn new(state: &Path, server: &str) -> Self {
        Self {
            directory: state.join(DIRECTORY),
            server: server.into(),
        }
    }

    /// What is kept; nothing where the server was never met.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn read(&self) -> Result<Baseline, ShelfError> {
        let path = self.path();
        match fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Baseline::default()),
            Ok(about) if about.len() > FILE_BYTES_MAX => {
                return Err(ShelfError::Unreadable { path });
            }
            Ok(_) => {}
            Err(error) => return Err(ShelfError::Io { path, error }),
        }
        let text = fs::read(&path).map_err(|error| ShelfError::Io {
            path: path.clone(),
            error,
        })?;
        serde_json::from_slice(&text).map_err(|_| ShelfError::Unreadable { path })
    }

    /// Changes what is kept, alone among all processes, and returns what is then kept.
    ///
    /// # Errors
    /// When it cannot be read or written.
    pub fn update(&self, change: impl FnOnce(&mut Baseline)) -> Result<Baseline, ShelfError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |error| ShelfError::Io { path, error }
        };
        private_directory(&self.directory).map_err(at(&self.directory))?;
        let lock = self.directory.join(LOCK_FILE);
        let held = private_file(&lock).map_err(at(&lock))?;
        held.lock().map_err(at(&lock))?;
        let mut baseline = self.read()?;
        let before = baseline.clone();
        change(&mut baseline);
        if baseline != before {
            self.write(&baseline).map_err(at(&self.path()))?;
        }
        Ok(baseline)
    }

    /// Forgets the server.
    ///
    /// # Errors
    /// When its file is there and cannot be removed.
    pub fn forget(&self) -> Result<(), ShelfError> {
        let path = self.path();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(ShelfError::Io { path, error })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Where it is kept.
    pub fn path(&self) -> PathBuf {
        self.directory.join(format!("{}.json", self.server))
    }

    /// A file that is whole or not there.
    fn write(&self, baseline: &Baseline) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(baseline)?;
        let new = self.directory.join(format!("{}.new", self.server));
        let mut file = private_file(&new)?;
        file.set_len(0)?;
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&new, self.path())
    }
}

/// The names of the servers of which something is kept, in order.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn kept_servers(state: &Path) -> Result<Vec<String>, ShelfError> {
    let path = state.join(DIRECTORY);
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| ShelfError::Io {
            path: path.clone(),
            error,
        })?,
    };
    let mut servers = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| ShelfError::Io {
            path: path.clone(),
            error,
        })?;
        let name = entry.file_name();
        let server = name.to_str().and_then(|name| name.strip_suffix(".json"));
        servers.extend(server.map(ToOwned::to_owned));
    }
    servers.sort();
    Ok(servers)
}

/// What the other kept servers offer.
pub(super) fn neighbours(state: &Path, server: &str) -> Result<Vec<Neighbour>, ShelfError> {
    let mut neighbours = Vec::new();
    for other in kept_servers(state)?.into_iter().filter(|own| own != server) {
        // What another server's file is like must not keep this one from working.
        if let Ok(baseline) = Shelf::new(state, &other).read() {
            neighbours.push(Neighbour {
                server: other.into(),
                tools: baseline.tools.into_keys().collect(),
            });
        }
    }
    Ok(neighbours)
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{Shelf, ShelfError, kept_servers, neighbours};

    #[test]
    fn what_is_kept_is_private_and_outlives_the_session() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(state.path(), "notes");
        assert!(shelf.read().unwrap().tools.is_empty());
        let tool = serde_json::json!({"name": "add"});
        shelf
            .update(|kept| {
                kept.tools.insert("add".into(), tool.clone());
            })
            .unwrap();
        let kept = Shelf::new(state.path(), "notes").read().unwrap();
        assert_eq!(kept.tools["add"], tool);
        for (path, mode) in [
            (shelf.path(), 0o600),
            (shelf.path().parent().unwrap().to_owned(), 0o700),
        ] {
            let permissions = std::fs::metadata(path).unwrap().permissions();
            assert_eq!(permissions.mode() & 0o777, mode);
        }
        assert_eq!(kept_servers(state.path()).unwrap(), ["notes"]);
        assert_eq!(neighbours(state.path(), "notes").unwrap().len(), 0);
        assert_eq!(neighbours(state.path(), "other").unwrap()[0].tools, ["add"]);
        shelf.forget().unwrap();
        shelf.forget().unwrap();
        assert!(shelf.read().unwrap().tools.is_empty());
    }

    #[test]
    fn a_broken_file_is_an_error() {
        let state = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(state.path(), "notes");
        shelf
            .update(|kept| {
                kept.tools.insert("add".into(), serde_json::Value::Null);
            })
            .unwrap();
        std::fs::write(shelf.path(), "{\"tools\": [").unwrap();
        assert!(matches!(shelf.read(), Err(ShelfError::Unreadable { .. })));
        assert!(shelf.update(|_| {}).is_err());
    }
}
