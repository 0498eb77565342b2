//! Where a test plays: a directory of its own, as one user or another.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;

/// Who starts the bottle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum User {
    /// Whoever runs the tests.
    Same,
    /// An ordinary user, when root runs the tests.
    Ordinary,
}

/// Any number that belongs to no system account.
const ORDINARY: u32 = 31_415;

/// A directory with a home and a workspace in it.
pub(crate) struct Stage {
    root: TempDir,
    user: User,
}

/// What a bottle printed and returned.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) code: Option<i32>,
}

/// A copy of this executable that every user can read.
pub(crate) fn executable() -> &'static Path {
    static COPY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        open_to_all(dir.path());
        let path = dir.path().join("it");
        std::fs::copy(std::env::current_exe().expect("a name"), &path).expect("a copy");
        (dir, path)
    });
    path
}

fn open_to_all(path: &Path) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("permissions");
}

impl Stage {
    pub(crate) fn new(user: User) -> Stage {
        let root = tempfile::tempdir().expect("a directory");
        open_to_all(root.path());
        let stage = Stage { root, user };
        for dir in [stage.home(), stage.workspace(), stage.state()] {
            std::fs::create_dir(&dir).expect("a directory");
            stage.own(&dir);
        }
        stage
    }

    fn own(&self, path: &Path) {
        if self.user == User::Ordinary {
            std::os::unix::fs::chown(path, Some(ORDINARY), Some(ORDINARY)).expect("an owner");
        }
    }

    /// A file of this stage's user.
    pub(crate) fn write(&self, path: &Path, text: &str) {
        std::fs::write(path, text).expect("a file");
        self.own(path);
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("home")
    }

    pub(crate) fn workspace(&self) -> PathBuf {
        self.root.path().join("work")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.root.path().join("state")
    }

    /// A program of the host, started as this stage's user.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        // Who runs the tests may ignore hang-ups, as `nohup` does; what is tested must not.
        let mut command = Command::new("env");
        command.arg("--default-signal=HUP");
        match self.user {
            User::Same => {}
            User::Ordinary => {
                let ids = [format!("--reuid={ORDINARY}"), format!("--regid={ORDINARY}")];
                command
                    .arg("setpriv")
                    .args(ids)
                    .arg("--clear-groups")
                    .arg("--");
            }
        }
        command.arg(program);
        command
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
        command
            .env("HOME", self.home())
            .env("TERM", "xterm")
            .current_dir(self.workspace());
        command.stdin(Stdio::null());
        command
    }

    /// A launcher with `flags` that has not been started.
    pub(crate) fn launcher(&self, flags: &[&str], command: &[&str]) -> Command {
        let mut launcher = self.command(executable());
        let state = self.state().to_string_lossy().into_owned();
        let show = executable().to_string_lossy().into_owned();
        launcher
            .args(["bottle", "--state", &state, "--show", &show])
            .args(flags);
        launcher.arg("--").args(command);
        launcher
    }

    /// Runs a bottle to its end.
    pub(crate) fn bottle(&self, flags: &[&str], command: &[&str]) -> Outcome {
        Outcome::of(self.launcher(flags, command).output().expect("a launcher"))
    }

    /// Runs a shell in a bottle to its end.
    pub(crate) fn shell(&self, script: &str) -> Outcome {
        self.bottle(&[], &["sh", "-c", script])
    }

    /// Runs probes in a bottle to its end.
    pub(crate) fn probe(&self, probes: &[&str]) -> Outcome {
        let mut command = vec![executable().to_str().expect("a plain name"), "probe"];
        command.extend(probes);
        self.bottle(&[], &command)
    }
}

impl Outcome {
    pub(crate) fn of(output: Output) -> Outcome {
        Outcome {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        }
    }

    /// Checks the code and all of standard output.
    #[track_caller]
    pub(crate) fn gives(&self, code: i32, out: &str) {
        assert_eq!(self.out, out, "{self:?}");
        assert_eq!(self.code, Some(code), "{self:?}");
    }
}
