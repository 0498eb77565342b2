//! Reads what a patch adds: unified diffs as git and diff write them (git-diff(1), "Generating patch
//! text with -p"), also of merges, and the commits between them as `git log` was asked to print them.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result, bail};

use super::allowance;
use super::search::Commit;

/// Lines are read in parts of so many bytes: minified and binary files have long ones.
const PART_BYTES_MAX: u64 = 64 * 1024;

/// What `git log` is to print before each commit's patch: no line of a patch begins with NUL where
/// [`read`] looks for it, and no message has one within.
pub(crate) const COMMIT_FORMAT: &str = "--format=tformat:%x00%H %aI %an%n%B%x00";

/// What a patch says, in its order.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    /// The files that follow are of this commit.
    Commit(Commit),
    /// A part of the commit's message.
    Message(&'a [u8]),
    /// A file that changed, and the object that git keeps it as.
    File {
        path: &'a str,
        blob: Option<&'a str>,
    },
    /// Added lines begin at this line of the file, below another that a comment may be in.
    Hunk { line: u64, above: &'a [u8] },
    /// A part of an added line; its end has the line feed.
    Added(&'a [u8]),
    /// The last file changed in a way that the patch does not show.
    Hidden,
}

/// Reads a patch to its end, and tells each event.
///
/// # Errors
/// When it is no patch, or is broken off, or a handler fails.
pub(crate) fn read(
    patch: impl Read,
    handler: &mut dyn FnMut(Event<'_>) -> Result<()>,
) -> Result<()> {
    let mut reader = Patch {
        lines: BufReader::with_capacity(PART_BYTES_MAX as usize, patch),
        part: Vec::new(),
        line_number: 0,
        head: Head::default(),
        seen: false,
        handler,
    };
    while reader.next_part()? {
        reader.outside()?;
    }
    if !reader.seen && reader.line_number > 0 {
        bail!("there is no patch in it");
    }
    Ok(())
}

struct Patch<'h, R> {
    lines: BufReader<R>,
    /// The current line, or a part of it.
    part: Vec<u8>,
    line_number: u64,
    head: Head,
    /// Whether anything of a patch was there.
    seen: bool,
    handler: &'h mut dyn FnMut(Event<'_>) -> Result<()>,
}

/// What the lines before a file's hunks said.
#[derive(Debug, Default)]
struct Head {
    /// Whether git wrote it, with prefixes.
    is_git: bool,
    /// By the line that begins it; lacking where that is ambiguous.
    name: Option<String>,
    old: Option<String>,
    path: Option<String>,
    blob: Option<String>,
    /// Whether the file has been told of.
    is_told: bool,
}

/// What is left of a hunk.
struct Hunk {
    /// Lines of each side before; a merge has several.
    old: Vec<u64>,
    new: u64,
    line: u64,
}

impl<R: Read> Patch<'_, R> {
    /// Reads the next line or part of one; false at the end.
    fn next_part(&mut self) -> Result<bool> {
        let is_fresh = self.is_line_end() || self.line_number == 0;
        self.part.clear();
        let mut limited = self.lines.by_ref().take(PART_BYTES_MAX);
        let read = limited.read_until(b'\n', &mut self.part);
        let read = read.context("cannot read the patch")?;
        self.line_number += u64::from(is_fresh && read > 0);
        Ok(read > 0)
    }

    fn is_line_end(&self) -> bool {
        self.part.last() == Some(&b'\n')
    }

    /// Passes over what is left of the line.
    fn skip_line(&mut self) -> Result<()> {
        while !self.is_line_end() && self.next_part()? {}
        Ok(())
    }

    /// The current line without its end, which has come whole.
    fn line(&self) -> &[u8] {
        let line = self.part.strip_suffix(b"\n").unwrap_or(&self.part);
        line.strip_suffix(b"\r").unwrap_or(line)
    }

    /// A line that is not within a hunk.
    fn outside(&mut self) -> Result<()> {
        let begins = |prefix: &[u8]| self.part.starts_with(prefix);
        match () {
            () if begins(b"\0") => return self.commit(),
            () if begins(b"diff --git ")
                || begins(b"diff --cc ")
                || begins(b"diff --combined ") =>
            {
                self.begin_file();
            }
            () if begins(b"index ") => self.head.blob = blob(self.line()),
            () if begins(b"--- ") => self.old_name(),
            () if begins(b"+++ ") => self.head.path = self.new_name(),
            () if begins(b"@@") && self.head.path.is_some() => return self.hunk(),
            () if begins(b"@@") => bail!("line {}: a hunk of no file", self.line_number),
            () if begins(b"Binary files ") || begins(b"GIT binary patch") => self.hidden()?,
            // Between patches there can be anything, such as a mail.
            () => {}
        }
        self.skip_line()
    }

    fn begin_file(&mut self) {
        self.seen = true;
        let line = self.line();
        let name = match line.strip_prefix(b"diff --git ") {
            Some(names) => name_of_both(names),
            None => line.splitn(3, |byte| *byte == b' ').nth(2).map(unquoted),
        };
        self.head = Head {
            is_git: true,
            name,
            ..Head::default()
        };
    }

    fn old_name(&mut self) {
        if self.head.path.is_some() || !self.head.is_git {
            self.head = Head::default();
        }
        self.head.old = Some(file_name(&self.line()[4..]));
    }

    fn new_name(&mut self) -> Option<String> {
        let path = file_name(&self.line()[4..]);
        self.seen = true;
        if path == "/dev/null" {
            return self.head.old.clone();
        }
        let old = self.head.old.as_deref().unwrap_or_default();
        let has_prefix = self.head.is_git || old.starts_with("a/") || old == "/dev/null";
        let stripped = path.strip_prefix("b/").filter(|_| has_prefix);
        Some(stripped.unwrap_or(&path).to_owned())
    }

    fn hidden(&mut self) -> Result<()> {
        self.seen = true;
        let both = self.line().strip_prefix(b"Binary files ");
        let named = both.and_then(|names| {
            let names = names.strip_suffix(b" differ")?;
            let at = memchr::memmem::find(names, b" and ")?;
            Some(file_name(&names[at + 5..]))
        });
        let named = named.map(|name| name.strip_prefix("b/").unwrap_or(&name).to_owned());
        let path = self.head.name.clone().or(named).unwrap_or_default();
        let blob = self.head.blob.as_deref();
        (self.handler)(Event::File { path: &path, blob })?;
        (self.handler)(Event::Hidden)
    }

    /// A commit's line, and its message up to the NUL.
    fn commit(&mut self) -> Result<()> {
        self.seen = true;
        let line = String::from_utf8_lossy(&self.line()[1..]).into_owned();
        let mut fields = line.splitn(3, ' ').map(str::to_owned);
        let (Some(id), Some(date)) = (fields.next(), fields.next()) else {
            bail!("line {}: a commit without a date", self.line_number);
        };
        let author = fields.next().unwrap_or_default();
        self.skip_line()?;
        self.head = Head::default();
        (self.handler)(Event::Commit(Commit { id, date, author }))?;
        while self.next_part()? {
            let end = memchr::memchr(0, &self.part);
            (self.handler)(Event::Message(&self.part[..end.unwrap_or(self.part.len())]))?;
            if end.is_some() {
                return self.skip_line();
            }
        }
        bail!("the history is broken off in the message of {}", line)
    }

    fn hunk(&mut self) -> Result<()> {
        let Some(mut hunk) = Hunk::parse(self.line()) else {
            bail!("line {}: a hunk with a malformed head", self.line_number);
        };
        self.skip_line()?;
        if !self.head.is_told {
            let path = self.head.path.as_deref().unwrap_or_default();
            let blob = self.head.blob.as_deref();
            (self.handler)(Event::File { path, blob })?;
            self.head.is_told = true;
        }
        let (mut expected, mut above) = (None, Vec::new());
        while !hunk.is_done() {
            if !self.next_part()? {
                bail!("the patch is broken off after line {}", self.line_number);
            }
            match hunk.take(&self.part) {
                None => bail!("line {}: no line of a hunk", self.line_number),
                Some(Line::Added(start, line)) => {
                    if expected != Some(line) {
                        let above = &above[..];
                        (self.handler)(Event::Hunk { line, above })?;
                    }
                    expected = Some(line + 1);
                    self.added(start)?;
                    above.clear();
                }
                Some(Line::Kept(start)) => {
                    above.clear();
                    if allowance::is_marked(&self.part) {
                        above.extend_from_slice(self.part[start..].trim_ascii_end());
                    }
                    self.skip_line()?;
                }
                Some(Line::Other) => self.skip_line()?,
            }
        }
        Ok(())
    }

    /// An added line, whose first part begins at `start`.
    fn added(&mut self, start: usize) -> Result<()> {
        (self.handler)(Event::Added(&self.part[start..]))?;
        while !self.is_line_end() && self.next_part()? {
            (self.handler)(Event::Added(&self.part))?;
        }
        Ok(())
    }
}

/// What a line of a hunk is; content begins at the given byte of it.
enum Line {
    /// New at this line of the file.
    Added(usize, u64),
    /// There before and after.
    Kept(usize),
    /// Removed, or a remark.
    Other,
}

impl Hunk {
    /// `@@ -1,2 +3,4 @@`, with a further `@` and range for each further parent.
    fn parse(line: &[u8]) -> Option<Self> {
        let marks = line.iter().take_while(|byte| **byte == b'@').count();
        let text = std::str::from_utf8(line.get(marks..)?.split(|b| *b == b'@').next()?).ok()?;
        let mut ranges = text.split_ascii_whitespace();
        let old = ranges.by_ref().take(marks.checked_sub(1)?);
        let old: Option<Vec<u64>> = old.map(|old| Some(range(old, '-')?.1)).collect();
        let (line, new) = range(ranges.next()?, '+')?;
        Some(Self {
            old: old.filter(|old| !old.is_empty())?,
            new,
            line,
        })
    }

    fn is_done(&self) -> bool {
        self.new == 0 && self.old.iter().all(|left| *left == 0)
    }

    /// Takes a line, or the first part of one.
    fn take(&mut self, line: &[u8]) -> Option<Line> {
        let parents = self.old.len();
        if line.starts_with(b"\\") {
            return Some(Line::Other);
        }
        // Mailers take away the blank of an empty line.
        let is_bare = parents == 1 && (line == b"\n" || line == b"\r\n");
        let signs = match is_bare {
            true => b" ",
            false => line.get(..parents)?,
        };
        if !signs.iter().all(|sign| b" +-".contains(sign)) {
            return None;
        }
        let is_removed = signs.contains(&b'-');
        for (left, sign) in self.old.iter_mut().zip(signs) {
            let was_there = *sign == if is_removed { b'-' } else { b' ' };
            *left = left.checked_sub(u64::from(was_there))?;
        }
        if is_removed {
            return Some(Line::Other);
        }
        self.new = self.new.checked_sub(1)?;
        let number = self.line;
        self.line += 1;
        Some(match signs.iter().all(|sign| *sign == b'+') {
            true => Line::Added(parents, number),
            false if is_bare => Line::Kept(0),
            false => Line::Kept(parents),
        })
    }
}

/// `-12,3`: the first line, and how many; one if it does not say.
fn range(text: &str, sign: char) -> Option<(u64, u64)> {
    let text = text.strip_prefix(sign)?;
    let (first, count) = text.split_once(',').unwrap_or((text, "1"));
    Some((first.parse().ok()?, count.parse().ok()?))
}

/// `index 1234..5678 100644`: the object after the change.
fn blob(line: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("index ")?;
    let (_, after) = text.split_once("..")?;
    let id = after.split(' ').next()?;
    let is_id = id.bytes().all(|byte| byte.is_ascii_hexdigit()) && !id.bytes().all(|b| b == b'0');
    is_id.then(|| id.to_owned())
}

/// The name of both sides in `a/NAME b/NAME`, where they are the same.
fn name_of_both(names: &[u8]) -> Option<String> {
    if names.ends_with(b"\"") {
        let at = memchr::memmem::rfind(names, b" \"b/")?;
        return unquoted(&names[at + 1..])
            .strip_prefix("b/")
            .map(str::to_owned);
    }
    let (left, right) = names.split_at_checked(names.len() / 2)?;
    let right = right.strip_prefix(b" b/")?;
    let is_same = left.strip_prefix(b"a/")? == right;
    is_same.then(|| String::from_utf8_lossy(right).into_owned())
}

/// A file's name as `---` and `+++` tell it: quoted, or up to a tab and a time.
fn file_name(text: &[u8]) -> String {
    let end = memchr::memchr(b'\t', text).unwrap_or(text.len());
    unquoted(&text[..end])
}

/// Undoes git's quotes, which are those of C (git-config(1), `core.quotePath`).
fn unquoted(text: &[u8]) -> String {
    let inner = text
        .strip_prefix(b"\"")
        .and_then(|text| text.strip_suffix(b"\""));
    let Some(mut inner) = inner else {
        return String::from_utf8_lossy(text).into_owned();
    };
    let mut out = Vec::with_capacity(inner.len());
    while let Some((first, rest)) = inner.split_first() {
        let escaped = match (first, rest) {
            (b'\\', [b'0'..=b'3', b'0'..=b'7', b'0'..=b'7', ..]) => {
                let digit = |at: usize| rest[at] - b'0';
                Some((digit(0) << 6 | digit(1) << 3 | digit(2), 3))
            }
            (b'\\', [letter, ..]) => Some((c_escape(*letter), 1)),
            _ => None,
        };
        let (byte, length) = escaped.unwrap_or((*first, 0));
        out.push(byte);
        inner = &rest[length..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn c_escape(letter: u8) -> u8 {
    match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        other => other,
    }
}

#[cfg(test)]
mod tests;
