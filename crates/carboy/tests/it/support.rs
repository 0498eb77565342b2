//! A place to run the binary in, as this user and, where the tests run as root, as an ordinary
//! one.

use std::env;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// The ordinary user that tests become when they run as root. It need not exist.
const ORDINARY: u32 = 12345;

/// Who runs the binary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// The user that runs the tests.
    Me,
    /// A user without any right.
    Ordinary,
}

/// Everyone that bottles are tested as.
pub(crate) fn everyone() -> Vec<Who> {
    match is_root() {
        true => vec![Who::Me, Who::Ordinary],
        false => vec![Who::Me],
    }
}

fn is_root() -> bool {
    nix::unistd::Uid::effective().is_root()
}

/// A temporary home with a workspace and a state directory in it.
pub(crate) struct Place {
    root: TempDir,
    who: Who,
}

impl Place {
    pub(crate) fn new(who: Who) -> Self {
        let root = tempfile::Builder::new()
            .prefix("carboy-it-")
            .tempdir()
            .unwrap();
        let place = Self { root, who };
        for dir in [
            place.path(""),
            place.path("home"),
            place.workspace(),
            place.state(),
        ] {
            fs::create_dir_all(&dir).unwrap();
            fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
            place.hand_over(&dir);
        }
        place
    }

    pub(crate) fn who(&self) -> Who {
        self.who
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.path("workspace")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a file beside the workspace.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        self.hand_over(&path);
        path
    }

    fn hand_over(&self, path: &Path) {
        if self.who == Who::Ordinary {
            chown(path, Some(ORDINARY), Some(ORDINARY)).unwrap();
        }
    }

    /// The binary, with an empty environment but for a path, a home and a state directory.
    pub(crate) fn carboy(&self) -> Command {
        let mut command = self.program(&binary());
        command
            .env_clear()
            .env(
                "PATH",
                env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
            )
            .env("HOME", self.path("home"))
            .env("CARBOY_STATE_DIR", self.state())
            .current_dir(self.workspace())
            .stdin(Stdio::null());
        command
    }

    /// `program`, as this place's user.
    pub(crate) fn program(&self, program: &Path) -> Command {
        match self.who {
            Who::Me => Command::new(program),
            Who::Ordinary => {
                let user = ORDINARY.to_string();
                let mut command = Command::new("setpriv");
                command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]);
                command.arg(program);
                command
            }
        }
    }

    /// `carboy run` with `options`, of `command`.
    pub(crate) fn run(&self, options: &[&str], command: &[&str]) -> Output {
        self.carboy()
            .arg("run")
            .args(options)
            .arg("--")
            .args(command)
            .output()
            .unwrap()
    }

    /// The only receipts file.
    pub(crate) fn receipts(&self) -> PathBuf {
        let files: Vec<_> = fs::read_dir(self.state().join("receipts"))
            .unwrap()
            .map(|it| it.unwrap().path())
            .filter(|path| path.extension().is_some_and(|own| own == "jsonl"))
            .collect();
        assert_eq!(files.len(), 1, "one run makes one file");
        files[0].clone()
    }
}

/// The binary where every user can run it: in the build directory, or, where that is below a
/// private directory, in a temporary one.
fn binary() -> PathBuf {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    let path = COPY.get_or_init(|| {
        let build = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let is_public = |dir: &Path| fs::metadata(dir).unwrap().permissions().mode() & 0o001 != 0;
        let dir = match build.ancestors().all(is_public) {
            true => build.to_owned(),
            false => env::temp_dir(),
        };
        // Renamed into place, since an older copy may be running.
        let path = dir.join(format!("carboy-it-{}", nix::unistd::Uid::effective()));
        let fresh = dir.join(format!("carboy-it-{}.new", std::process::id()));
        fs::copy(env!("CARGO_BIN_EXE_carboy"), &fresh).unwrap();
        fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(&fresh, &path).unwrap();
        path
    });
    path.clone()
}

/// Whether this user can open a bottle here. If not, says why on standard error.
pub(crate) fn bottles_work(who: Who) -> bool {
    static ME: OnceLock<bool> = OnceLock::new();
    static ORDINARY: OnceLock<bool> = OnceLock::new();
    let known = match who {
        Who::Me => &ME,
        Who::Ordinary => &ORDINARY,
    };
    *known.get_or_init(|| {
        let output = Place::new(who).run(&[], &["true"]);
        if !output.status.success() {
            eprintln!("SKIPPED for {who:?}: no bottle here: {}", stderr(&output));
        }
        output.status.success()
    })
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asserts an exit code, and shows everything if it is another.
#[track_caller]
pub(crate) fn expect_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "stdout:\n{}\nstderr:\n{}",
        stdout(output),
        stderr(output)
    );
}
