//! Calls that wait for a person's leave.
//!
//! What waits lies in a directory that only the user can enter, a file a call, and so does each answer.
//! Another terminal reads the one and makes the other: no socket listens, and nothing that runs in a
//! bottle sees the directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carboy_engine::{Plea, Ruling};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::limits::{APPROVAL_POLL, APPROVALS_FILE_BYTES_MAX, APPROVALS_MAX, APPROVALS_READ_MAX};

/// Where a gate's calls wait for a person.
#[derive(Debug)]
pub struct Approvals {
    dir: PathBuf,
    waiting: AtomicUsize,
}

/// A call that waits, as it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// The crossing's id, by which it is answered.
    pub id: String,
    /// The server that would be called.
    pub server: String,
    /// The tool; empty where its name could be content.
    pub tool: String,
    /// The rules that ask, and what each is about.
    pub rules: Vec<(String, String)>,
    /// The call's arguments, or their beginning; none where something secret was seen in the call.
    pub arguments: Option<String>,
    /// When it was asked, in seconds since 1970.
    pub asked: u64,
    /// When it is refused, in seconds since 1970.
    pub until: u64,
}

/// A person's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    /// It may pass.
    Allow,
    /// It may not.
    Deny,
}

impl Leave {
    const ALL: [Self; 2] = [Self::Deny, Self::Allow];

    fn suffix(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
        }
    }
}

impl Approvals {
    /// Below a state directory. Nothing is made before the first call waits.
    pub fn below(state: &Path) -> Self {
        Self {
            dir: dir_of(state),
            waiting: AtomicUsize::new(0),
        }
    }

    /// Puts a call before a person.
    ///
    /// # Errors
    /// What becomes of the call where nobody can be asked.
    pub(crate) fn post(&self, id: &str, plea: &Plea) -> Result<Posted<'_>, Ruling> {
        let place = Place::take(&self.waiting).ok_or(Ruling::Crowded)?;
        let now = seconds_now();
        let waiting = Waiting {
            id: id.to_owned(),
            server: plea.server.clone(),
            tool: plea.tool.clone(),
            rules: plea
                .rules
                .iter()
                .map(|(id, title)| (id.to_string(), title.clone()))
                .collect(),
            arguments: plea.arguments.clone(),
            asked: now,
            until: now.saturating_add(plea.wait.as_secs()),
        };
        let unasked = |error: io::Error| {
            let dir = self.dir.display();
            Ruling::Unasked(format!("{dir} cannot be used: {error}").into())
        };
        private_dir(&self.dir).map_err(unasked)?;
        let file = self.dir.join(format!("{id}.json"));
        let posted = Posted {
            file,
            until: Instant::now() + plea.wait,
            _place: place,
        };
        let text = serde_json::to_vec(&waiting).map_err(io::Error::from);
        text.and_then(|text| write_whole(&posted.file, &text))
            .and_then(|()| one_owner(&self.dir, &posted.file))
            .map_err(unasked)?;
        Ok(posted)
    }
}

/// A call that a person can see. Dropped, it is taken away again.
pub(crate) struct Posted<'a> {
    file: PathBuf,
    until: Instant,
    _place: Place<'a>,
}

impl Posted<'_> {
    /// Waits for the answer.
    pub(crate) async fn ruling(&self) -> Ruling {
        loop {
            if let Some(ruling) = self.answer() {
                return ruling;
            }
            let left = self.until.saturating_duration_since(Instant::now());
            if left == Duration::ZERO {
                return Ruling::Late;
            }
            sleep(left.min(APPROVAL_POLL)).await;
        }
    }

    /// Where both were said, it may not pass.
    fn answer(&self) -> Option<Ruling> {
        Leave::ALL.into_iter().find_map(|leave| {
            let file = self.file.with_extension(leave.suffix());
            let by = format!("uid {}", fs::symlink_metadata(file).ok()?.uid());
            Some(match leave {
                Leave::Allow => Ruling::Allowed(by.into()),
                Leave::Deny => Ruling::Denied(by.into()),
            })
        })
    }
}

impl Drop for Posted<'_> {
    fn drop(&mut self) {
        // The question goes first: without it nobody answers any more.
        let _ = fs::remove_file(&self.file);
        for leave in Leave::ALL {
            let _ = fs::remove_file(self.file.with_extension(leave.suffix()));
        }
    }
}

/// One of the places of those that wait.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(count: &'a AtomicUsize) -> Option<Self> {
        let more = |own: usize| (own < APPROVALS_MAX).then_some(own + 1);
        let taken = count.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.ok().map(|_| Self(count))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The calls of all gates that wait for a person's answer, the oldest first. What a gate left behind that
/// was killed is taken away once its time is over.
///
/// # Errors
/// When the directory cannot be read.
pub fn waiting_calls(state: &Path) -> io::Result<Vec<Waiting>> {
    let dir = dir_of(state);
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let now = seconds_now();
    let mut waiting = Vec::new();
    for entry in entries.take(APPROVALS_READ_MAX) {
        let path = entry?.path();
        if path.extension().is_none_or(|own| own != "json") {
            sweep(&path);
            continue;
        }
        // It may have been answered just now.
        let Some(own) = read(&path) else { continue };
        if own.until <= now {
            let _ = fs::remove_file(&path);
        } else {
            waiting.push(own);
        }
    }
    waiting.sort_by(|a, b| (a.asked, &a.id).cmp(&(b.asked, &b.id)));
    Ok(waiting)
}

/// Takes an answer away whose question is gone: a gate that was killed left it, or it came too late. One
/// to a question that waits stays.
fn sweep(path: &Path) {
    let is_answer = Leave::ALL
        .iter()
        .any(|leave| path.extension().is_some_and(|own| own == leave.suffix()));
    if is_answer && !path.with_extension("json").exists() {
        let _ = fs::remove_file(path);
    }
}

/// Answers a call that waits. Returns false where none waits under this id, or it was answered already.
///
/// # Errors
/// When the answer cannot be written.
pub fn answer_call(state: &Path, id: &str, leave: Leave) -> io::Result<bool> {
    if !waiting_calls(state)?.iter().any(|own| own.id == id) {
        return Ok(false);
    }
    let answer = |leave: Leave| dir_of(state).join(format!("{id}.{}", leave.suffix()));
    if Leave::ALL.into_iter().any(|leave| answer(leave).exists()) {
        return Ok(false);
    }
    match create(&answer(leave)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

fn dir_of(state: &Path) -> PathBuf {
    state.join("approvals")
}

fn read(path: &Path) -> Option<Waiting> {
    let length = fs::symlink_metadata(path).ok()?;
    if !length.is_file() || length.len() > APPROVALS_FILE_BYTES_MAX {
        return None;
    }
    let own: Waiting = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    // An answer goes to the file of this name.
    (path.file_stem()? == own.id.as_str()).then_some(own)
}

/// A directory that only the user can enter; one that others can is no place for what they must not
/// answer.
fn private_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let mode = fs::metadata(dir)?.permissions().mode();
    if mode & 0o077 != 0 {
        let why = "others can enter it; make it yours alone with chmod 700";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

/// Whoever owns the directory may answer: that must be who asks.
fn one_owner(dir: &Path, file: &Path) -> io::Result<()> {
    if fs::metadata(dir)?.uid() == fs::symlink_metadata(file)?.uid() {
        return Ok(());
    }
    let why = "it is another user's; name a state directory of your own in CARBOY_STATE_DIR";
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Writes a file so that nobody reads half of it.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let part = path.with_extension("part");
    let written = create(&part).and_then(|mut file| file.write_all(text));
    let moved = written.and_then(|()| fs::rename(&part, path));
    if moved.is_err() {
        let _ = fs::remove_file(&part);
    }
    moved
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

fn seconds_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |own| own.as_secs())
}
