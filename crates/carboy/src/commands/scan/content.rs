//! One content on its way through the scanner: whole if it is small, else as a stream.

use std::cell::Cell;
use std::io::{self, Read};

use carboy_engine::{BudgetSpent, FileFinding, FileScan, FileScanner};

use super::allowance::Allowance;
use super::search::{Counts, Search, Source, Why};
use super::text::{Region, Text};

/// Content of up to so many bytes is read and scanned whole; nearly all source files are.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// How much of a larger one is read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// What stays at hand of a larger one: where a finding can still begin, and its line.
const KEEP_BYTES: usize = FileScan::LAG_BYTES as usize + 16 * 1024;

thread_local! {
    /// The buffer of this thread's last content, for the next one.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A finding with its place.
#[derive(Debug)]
pub(crate) struct Sight {
    pub(crate) finding: FileFinding,
    pub(crate) region: Region,
    pub(crate) allowance: Allowance,
}

/// One content.
pub(crate) struct Content<'a> {
    scanner: &'a FileScanner,
    text: Text,
    /// Once it has turned out to be large.
    scan: Option<FileScan<'a>>,
    sights: Vec<Sight>,
    bytes: u64,
    result: Result<(), BudgetSpent>,
}

impl<'a> Content<'a> {
    pub(crate) fn new(scanner: &'a FileScanner) -> Self {
        Self::of(scanner, Text::new(BUFFER.take()))
    }

    /// A content that is small and at hand.
    pub(crate) fn of(scanner: &'a FileScanner, text: Text) -> Self {
        Self {
            scanner,
            bytes: text.bytes().len() as u64,
            text,
            scan: None,
            sights: Vec::new(),
            result: Ok(()),
        }
    }

    /// What is at hand of it.
    pub(crate) fn text(&self) -> &Text {
        &self.text
    }

    /// Whether it is still whole.
    pub(crate) fn is_whole(&self) -> bool {
        self.scan.is_none()
    }

    /// Whether so many more bytes would make it large.
    pub(crate) fn is_full(&self, more: usize) -> bool {
        self.text.bytes().len() + more > WHOLE_BYTES_MAX
    }

    /// Takes back a content that is still whole.
    pub(crate) fn into_text(self) -> Text {
        self.text
    }

    /// Reads the beginning: all of it if it is small.
    pub(crate) fn begin(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        let room = (WHOLE_BYTES_MAX + 1).saturating_sub(self.text.bytes().len());
        let read = reader.take(room as u64).read_to_end(self.text.buffer());
        self.bytes = self.text.bytes().len() as u64;
        read.map(drop)
    }

    /// Reads the rest.
    pub(crate) fn complete(&mut self, reader: &mut dyn Read) -> io::Result<()> {
        if self.text.bytes().len() <= WHOLE_BYTES_MAX {
            return Ok(());
        }
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(length) => self.push(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Goes on at another line of the file, below `above`.
    pub(crate) fn jump(&mut self, line: u64, above: &[u8]) {
        let gap = self.text.jump(line, above);
        if let Some(scan) = &mut self.scan {
            let mut found = Vec::new();
            let pushed = scan.push(gap, &mut found);
            self.settle(pushed, found);
        }
    }

    /// Takes the next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        self.text.buffer().extend_from_slice(bytes);
        let mut found = Vec::new();
        let pushed = match &mut self.scan {
            Some(scan) => scan.push(bytes, &mut found),
            None if self.text.bytes().len() <= WHOLE_BYTES_MAX => return,
            None => {
                let scan = self.scan.insert(self.scanner.open());
                scan.push(self.text.bytes(), &mut found)
            }
        };
        self.settle(pushed, found);
        self.text.forget(KEEP_BYTES);
    }

    /// Scans what is left, and gives all that was found to the search. `via` are the packings that it
    /// came out of.
    pub(crate) fn finish(mut self, search: &Search, source: &Source, via: &[&'static str]) {
        let mut found = Vec::new();
        let finished = match self.scan.take() {
            Some(scan) => scan.finish(&mut found),
            None => self.scanner.scan(self.text.bytes(), &mut found),
        };
        self.settle(finished, found);
        Counts::add(&search.counts.contents, 1);
        Counts::add(&search.counts.bytes, self.bytes);
        for sight in &mut self.sights {
            sight.finding.via.splice(..0, via.iter().copied());
        }
        if self.result.is_err() {
            search.unread(&source.path, Why::Work);
        }
        search.found(source, self.sights);
        BUFFER.set(self.text.into_buffer());
    }

    /// Gives the buffer back without a scan.
    pub(crate) fn discard(self) {
        BUFFER.set(self.text.into_buffer());
    }

    fn settle(&mut self, result: Result<(), BudgetSpent>, found: Vec<FileFinding>) {
        self.result = self.result.and(result);
        for finding in found {
            let region = self.text.region(finding.offset, finding.len);
            let lines = self.text.lines_at(finding.offset);
            self.sights.push(Sight {
                allowance: Allowance::of(finding.rule.id, lines),
                region,
                finding,
            });
        }
    }
}
