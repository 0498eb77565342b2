//! What git's history, its index and patches add.

use std::ffi::OsStr;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, bail};

use super::archive;
use super::content::Content;
use super::patch::{self, COMMIT_FORMAT, Event};
use super::search::{Commit, Search, Source, Why};
use super::sniff;
use super::text::Text;

/// What stands for a commit's message where a file's path would.
const MESSAGE: &str = "(commit message)";

/// Git's own measure of what is binary: a NUL among so many bytes.
const BINARY_BYTES: usize = 8000;

/// What is kept of what git complains of.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// Settings of a repository or user that run programs, or change a patch's form.
const SETTINGS: [&str; 6] = [
    "core.fsmonitor=false",
    "core.quotePath=true",
    "core.pager=cat",
    "log.showSignature=false",
    "log.showRoot=true",
    "diff.orderFile=/dev/null",
];

/// Patches as they are, whatever attributes and settings say: a file that is marked binary could
/// hide a credential. One line around each change may hold a comment that allows it.
const PATCH: [&str; 11] = [
    "--patch",
    "--unified=1",
    "--text",
    "--full-index",
    "--find-renames",
    "--no-ext-diff",
    "--no-textconv",
    "--no-color",
    "--submodule=short",
    "--src-prefix=a/",
    "--dst-prefix=b/",
];

/// Revisions that are asked for by an option.
const SWEEPS: [&str; 4] = ["--all", "--branches", "--tags", "--remotes"];

/// A git repository, by a directory in it.
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    dir: PathBuf,
}

impl Repository {
    pub(crate) fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    /// Scans what each commit of a range adds.
    ///
    /// # Errors
    /// When git is missing, or finds something wrong.
    pub(crate) fn scan_history(
        &self,
        search: &Search,
        threads: usize,
        range: &str,
        paths: &[PathBuf],
    ) -> Result<()> {
        if range.is_empty() || (range.starts_with('-') && !SWEEPS.contains(&range)) {
            bail!(
                "{range:?} is no range of revisions: give one such as main..HEAD, or one of {}",
                SWEEPS.join(", ")
            );
        }
        let mut log = self.git("log");
        // A merge adds what none of its parents has.
        log.args(PATCH).args(["-c", "--no-notes"]);
        log.args(["--encoding=UTF-8", COMMIT_FORMAT]);
        match SWEEPS.contains(&range) {
            true => log.arg(range),
            false => log.args(["--end-of-options", range]),
        };
        self.scan_output(search, threads, log.arg("--").args(paths))
    }

    /// Scans what the index adds to the last commit.
    ///
    /// # Errors
    /// When git is missing, or finds something wrong.
    pub(crate) fn scan_staged(
        &self,
        search: &Search,
        threads: usize,
        paths: &[PathBuf],
    ) -> Result<()> {
        let mut diff = self.git("diff");
        diff.arg("--cached").args(PATCH).arg("--").args(paths);
        self.scan_output(search, threads, &mut diff)
    }

    /// A path that git knows by a name, such as `hooks`.
    ///
    /// # Errors
    /// When git is missing, or this is no repository.
    pub(crate) fn git_path(&self, name: &str) -> Result<PathBuf> {
        let mut command = self.git("rev-parse");
        let child = Git::start(command.args(["--git-path", name]))?;
        let mut output = Vec::new();
        child.run(|mut stdout| Ok(stdout.read_to_end(&mut output).map(drop)?))?;
        let path = output.strip_suffix(b"\n").unwrap_or(&output);
        let path: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(path);
        let path = self.dir.join(path);
        Ok(path.strip_prefix(".").map(Path::to_owned).unwrap_or(path))
    }

    fn scan_output(&self, search: &Search, threads: usize, command: &mut Command) -> Result<()> {
        let child = Git::start(command)?;
        child.run(|stdout| scan(search, threads, Some(self), stdout))
    }

    /// Scans what git keeps as `blob` if it is an archive, or `anyway`; false if it was not scanned.
    fn scan_blob(
        &self,
        search: &Search,
        source: &Source,
        blob: &str,
        anyway: bool,
    ) -> Result<bool> {
        let mut command = self.git("cat-file");
        let child = Git::start(command.args(["blob", blob]))?;
        let mut scanned = false;
        child.run(|mut stdout| {
            let mut head = Vec::new();
            (&mut stdout)
                .take(sniff::HEAD_BYTES)
                .read_to_end(&mut head)?;
            scanned = anyway || sniff::kind(&head).is_some();
            if scanned {
                archive::scan_stream(search, source, &mut Cursor::new(head).chain(stdout));
            }
            Ok(())
        })?;
        Ok(scanned)
    }

    fn git(&self, verb: &str) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.dir);
        command.args(["--no-pager", "--literal-pathspecs"]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
            .arg(verb)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("LC_ALL", "C")
            .env_remove("GIT_DIFF_OPTS")
            .env_remove("GIT_EXTERNAL_DIFF")
            .stdin(Stdio::null());
        command
    }
}

/// Scans what a patch adds.
///
/// # Errors
/// When it is no patch.
pub(crate) fn scan_patch(search: &Search, threads: usize, patch: impl Read) -> Result<()> {
    scan(search, threads, None, patch)
}

/// A running git.
struct Git {
    child: Child,
    complaint: JoinHandle<String>,
}

impl Git {
    fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run git")?;
        let stderr = child.stderr.take().context("git has no standard error")?;
        Ok(Self {
            child,
            complaint: thread::spawn(move || complaint(stderr)),
        })
    }

    /// Reads what git prints, and waits for its end. What git complains of comes first: a patch that
    /// is broken off says less.
    fn run(mut self, read: impl FnOnce(ChildStdout) -> Result<()>) -> Result<()> {
        let stdout = self.child.stdout.take().context("git has no output")?;
        let result = read(stdout);
        if result.is_err() {
            // It may have ended already.
            let _ = self.child.kill();
        }
        let status = self.child.wait().context("git is gone")?;
        let complaint = self.complaint.join().unwrap_or_default();
        match status.code() {
            Some(0) => result,
            // Whoever reads no further has its reason.
            None => result,
            Some(_) => bail!("git: {}", complaint.trim()),
        }
    }
}

/// The beginning of what git says is wrong. It is read to its end, so that git can go on.
fn complaint(mut stderr: impl Read) -> String {
    let mut text = Vec::new();
    // What cannot be read is not told.
    let _ = (&mut stderr)
        .take(COMPLAINT_BYTES_MAX)
        .read_to_end(&mut text);
    let _ = io::copy(&mut stderr, &mut io::sink());
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads a patch and scans it on all cores. What is large is scanned as it is read.
fn scan(
    search: &Search,
    threads: usize,
    repository: Option<&Repository>,
    patch: impl Read,
) -> Result<()> {
    thread::scope(|scope| {
        let (sender, receiver) = sync_channel::<Change>(2 * threads);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads {
            let receiver = Arc::clone(&receiver);
            scope.spawn(move || work(search, repository, &receiver));
        }
        drop(receiver);
        let mut reader = Reader {
            search,
            has_blobs: repository.is_some(),
            sender,
            commit: None,
            order: 0,
            current: None,
        };
        patch::read(patch, &mut |event| reader.take(event))?;
        reader.end()
    })
}

/// What one commit adds to one file.
struct Change {
    source: Source,
    text: Text,
    /// What git keeps the file as, where it may be an archive.
    blob: Option<String>,
    /// Whether the text is all that was added.
    is_whole: bool,
}

fn work(search: &Search, repository: Option<&Repository>, changes: &Mutex<Receiver<Change>>) {
    loop {
        let next = changes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(change) = next else {
            return;
        };
        if let (Some(blob), Some(repository)) = (&change.blob, repository) {
            match repository.scan_blob(search, &change.source, blob, !change.is_whole) {
                Ok(true) => continue,
                Ok(false) => {}
                Err(_) => {
                    let why = Why::Unreadable(io::ErrorKind::NotFound);
                    search.unread(&change.source.path, why);
                }
            }
        }
        Content::of(&search.scanner, change.text).finish(search, &change.source, &[]);
    }
}

/// Makes changes of a patch's events.
struct Reader<'a> {
    search: &'a Search,
    has_blobs: bool,
    sender: SyncSender<Change>,
    commit: Option<Arc<Commit>>,
    order: u64,
    current: Option<Current<'a>>,
}

/// The file whose added lines are being read.
struct Current<'a> {
    source: Source,
    content: Content<'a>,
    blob: Option<String>,
    /// Whether it is large, and the object is scanned in place of its lines.
    is_archive: bool,
}

impl<'a> Reader<'a> {
    fn take(&mut self, event: Event<'_>) -> Result<()> {
        match event {
            Event::Commit(commit) => {
                self.end()?;
                self.commit = Some(Arc::new(commit));
                self.begin(MESSAGE, None);
            }
            Event::File { path, blob } => {
                self.end()?;
                if !self.search.exclusion.covers_named(Path::new(path), false) {
                    self.begin(path, blob.filter(|_| self.has_blobs));
                }
            }
            Event::Hidden => {
                if let Some(current) = self.current.take() {
                    self.search.unread(&current.source.path, Why::Binary);
                }
            }
            Event::Hunk { line, above } => {
                if let Some(current) = &mut self.current {
                    current.content.jump(line, above);
                }
            }
            Event::Message(part) | Event::Added(part) => {
                if let Some(current) = &mut self.current {
                    current.push(part);
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, path: &str, blob: Option<&str>) {
        self.order += 1;
        self.current = Some(Current {
            source: Source {
                path: path.to_owned(),
                commit: self.commit.clone(),
                order: self.order,
            },
            content: Content::of(&self.search.scanner, Text::holding(Vec::new())),
            blob: blob.map(str::to_owned),
            is_archive: false,
        });
    }

    /// Hands on a file that has come whole.
    fn end(&mut self) -> Result<()> {
        let Some(mut current) = self.current.take() else {
            return Ok(());
        };
        if !current.content.is_whole() {
            current.content.finish(self.search, &current.source, &[]);
            return Ok(());
        }
        let is_archive = current.is_archive || current.may_be_archive();
        let change = Change {
            is_whole: !current.is_archive,
            source: current.source,
            text: current.content.into_text(),
            blob: current.blob.filter(|_| is_archive),
        };
        self.sender.send(change).context("no worker is left")
    }
}

impl Current<'_> {
    fn push(&mut self, part: &[u8]) {
        if self.is_archive {
            return;
        }
        if self.content.is_full(part.len()) && self.content.is_whole() {
            self.is_archive = self.may_be_archive();
        }
        if !self.is_archive {
            self.content.push(part);
        }
    }

    /// Whether git keeps an archive under this name: its added lines begin as one, or they are
    /// binary and its beginning is not among them.
    fn may_be_archive(&mut self) -> bool {
        let text = self.content.text();
        let head = text.bytes();
        let is_binary = memchr::memchr(0, &head[..head.len().min(BINARY_BYTES)]).is_some();
        let is_beginning = text.first_line() == 1;
        self.blob.is_some() && is_binary && (!is_beginning || sniff::kind(head).is_some())
    }
}
