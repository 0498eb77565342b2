//! Opens what holds other content, and scans what is in it.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tar::EntryType;
use zip::ZipArchive;
use zip::result::ZipError;

use super::content::Content;
use super::packing::{self, Bounded, Bounds, Counted};
use super::search::{Search, Source, Why};
use super::sniff::{self, Kind, Packing};
use super::text::Text;

/// Archives within each other: a wheel in a tarball in a layer of an image, with its packings.
const DEPTH_MAX: usize = 8;

/// The longest name of a member: paths on Linux end at 4 KiB.
const NAME_BYTES_MAX: u64 = 4096;

/// Held by whoever unpacks what takes tens of megabytes, so that not all threads do at a time.
static MEMORY: Mutex<()> = Mutex::new(());

/// Scans a file, and what is in it.
pub(crate) fn scan_file(search: &Search, source: &Source, mut file: File) {
    let opener = Opener::new(search);
    let mut content = Content::new(&search.scanner);
    if let Err(error) = content.begin(&mut file) {
        opener.broken(source, &error);
    }
    // A file can be read in any order: its directory is at its end.
    if sniff::kind(content.text().bytes()) == Some(Kind::Zip) && file.rewind().is_ok() {
        match ZipArchive::new(BufReader::new(&file)) {
            Ok(zip) => {
                content.discard();
                return opener.members(source, zip, 0);
            }
            Err(_) => search.unread(&source.path, Why::Corrupt),
        }
        // Whatever it says, it is none: its bytes are scanned as they are.
        let at = content.text().bytes().len() as u64;
        if let Err(error) = file.seek(io::SeekFrom::Start(at)) {
            opener.broken(source, &error);
        }
        return opener.plain(source, &[], content, &mut file);
    }
    opener.begun(source, &[], content, &mut file, 0);
}

/// Scans a stream, and what is in it.
pub(crate) fn scan_stream(search: &Search, source: &Source, stream: &mut dyn Read) {
    Opener::new(search).stream(source, stream, 0);
}

/// One file that is opened.
struct Opener<'a> {
    search: &'a Search,
    bounds: Bounds,
    memory: Cell<Option<MutexGuard<'static, ()>>>,
}

impl<'a> Opener<'a> {
    fn new(search: &'a Search) -> Self {
        Self {
            search,
            bounds: Bounds::default(),
            memory: Cell::new(None),
        }
    }

    /// Scans a content that is read as it comes.
    fn stream(&self, source: &Source, reader: &mut dyn Read, depth: usize) {
        let mut content = Content::new(&self.search.scanner);
        if let Err(error) = content.begin(reader) {
            self.broken(source, &error);
        }
        self.begun(source, &[], content, reader, depth);
    }

    /// Goes on with a content by what its first bytes say that it is. `via` are the packings that it
    /// came out of.
    fn begun(
        &self,
        source: &Source,
        via: &[&'static str],
        content: Content<'a>,
        reader: &mut dyn Read,
        depth: usize,
    ) {
        let kind = match sniff::kind(content.text().bytes()) {
            Some(kind) if depth < DEPTH_MAX => Some(kind),
            Some(_) => {
                self.search.unread(&source.path, Why::Depth);
                None
            }
            None => None,
        };
        match kind {
            None => self.plain(source, via, content, reader),
            Some(Kind::Closed) => {
                self.search.unread(&source.path, Why::Format);
                self.plain(source, via, content, reader);
            }
            Some(Kind::Packed(packing)) => {
                self.packed(source, via, packing, content, reader, depth);
            }
            Some(Kind::Tar) => {
                let head = Cursor::new(content.into_text().into_buffer());
                self.entries(source, &mut head.chain(reader), depth);
            }
            Some(Kind::Zip) => {
                let head = Cursor::new(content.into_text().into_buffer());
                self.held(source, &mut head.chain(reader), depth);
            }
        }
    }

    fn plain(
        &self,
        source: &Source,
        via: &[&'static str],
        mut content: Content<'a>,
        reader: &mut dyn Read,
    ) {
        if let Err(error) = content.complete(reader) {
            self.broken(source, &error);
        }
        content.finish(self.search, source, via);
    }

    fn packed(
        &self,
        source: &Source,
        via: &[&'static str],
        packing: Packing,
        content: Content<'a>,
        reader: &mut dyn Read,
        depth: usize,
    ) {
        let head = Cursor::new(content.into_text().into_buffer());
        let mut whole = head.chain(reader);
        let unpacked_via = [via, &[packing.as_str()]].concat();
        if !self.unpacked(source, &unpacked_via, packing, &mut whole, depth) {
            // Its first bytes only look like a packing's: it is scanned as it is.
            let (head, rest) = whole.into_inner();
            let text = Text::holding(head.into_inner());
            let content = Content::of(&self.search.scanner, text);
            self.plain(source, via, content, rest);
        }
    }

    /// Scans what comes out; false if nothing does.
    fn unpacked(
        &self,
        source: &Source,
        via: &[&'static str],
        packing: Packing,
        reader: &mut dyn Read,
        depth: usize,
    ) -> bool {
        match packing {
            Packing::Xz | Packing::Zstd => self.take_memory(),
            Packing::Gzip | Packing::Bzip2 => {}
        }
        let packed = Cell::new(0);
        let reader = Counted::new(reader, &packed);
        let reader = match packing::reader(packing, reader, &self.bounds) {
            Ok(reader) => reader,
            Err(error) => {
                self.broken(source, &error);
                return false;
            }
        };
        let mut reader = Bounded::new(reader, &packed, &self.bounds);
        let mut content = Content::new(&self.search.scanner);
        if let Err(error) = content.begin(&mut reader) {
            self.broken(source, &error);
            if content.text().bytes().is_empty() {
                content.discard();
                return false;
            }
        }
        self.begun(source, via, content, &mut reader, depth + 1);
        true
    }

    /// Opens a zip archive that comes as a stream: its directory is at its end.
    fn held(&self, source: &Source, reader: &mut dyn Read, depth: usize) {
        self.take_memory();
        let held = match self.bounds.hold(reader) {
            Ok(held) => held,
            Err(error) => return self.broken(source, &error),
        };
        match ZipArchive::new(Cursor::new(&held[..])) {
            Ok(zip) => self.members(source, zip, depth),
            Err(_) => {
                self.search.unread(&source.path, Why::Corrupt);
                let mut content = Content::new(&self.search.scanner);
                content.push(&held);
                content.finish(self.search, source, &[]);
            }
        }
        self.bounds.release(held);
    }

    fn members<R: Read + Seek>(&self, source: &Source, mut zip: ZipArchive<R>, depth: usize) {
        for index in 0..zip.len() {
            let name = zip.name_for_index(index);
            let name = name.and_then(Result::ok).unwrap_or_default().into_owned();
            let source = within(source, &name);
            match zip.by_index(index) {
                Ok(member) if member.is_dir() => {}
                Ok(member) => {
                    let packed = Cell::new(member.compressed_size());
                    let mut member = Bounded::new(member, &packed, &self.bounds);
                    self.stream(&source, &mut member, depth + 1);
                }
                Err(error) => self.search.unread(&source.path, closed(&error)),
            }
        }
    }

    /// Goes through a tar archive, and scans what follows it.
    fn entries(&self, source: &Source, reader: &mut dyn Read, depth: usize) {
        if let Err(error) = self.each_entry(source, reader, depth) {
            self.broken(source, &error);
        }
        self.stream(source, reader, depth + 1);
    }

    /// Names that have entries of their own are read here, within bounds.
    fn each_entry(&self, source: &Source, reader: &mut dyn Read, depth: usize) -> io::Result<()> {
        let mut long_name = None;
        for entry in tar::Archive::new(reader).entries()?.raw(true) {
            let mut entry = entry?;
            match entry.header().entry_type() {
                EntryType::GNULongName | EntryType::XHeader => {
                    long_name = own_name(&mut entry).or(long_name);
                }
                EntryType::GNULongLink | EntryType::XGlobalHeader => {}
                // Links and directories mostly have no content; nothing forbids it.
                _ => {
                    let header_name = entry.header().path_bytes();
                    let header_name = String::from_utf8_lossy(&header_name).into_owned();
                    let source = within(source, &long_name.take().unwrap_or(header_name));
                    if entry.size() > 0 {
                        self.stream(&source, &mut entry, depth + 1);
                    }
                }
            }
        }
        Ok(())
    }

    /// Notes why reading ended.
    fn broken(&self, source: &Source, error: &io::Error) {
        let why = match (self.bounds.tripped(), error.raw_os_error()) {
            (Some(why), _) => why,
            (None, Some(_)) => Why::Unreadable(error.kind()),
            (None, None) => Why::Corrupt,
        };
        self.search.unread(&source.path, why);
    }

    /// Waits for the leave to take tens of megabytes, and keeps it as long as this file is open.
    fn take_memory(&self) {
        let held = self.memory.take();
        let held = held.unwrap_or_else(|| MEMORY.lock().unwrap_or_else(PoisonError::into_inner));
        self.memory.set(Some(held));
    }
}

fn within(source: &Source, member: &str) -> Source {
    source.named(format!("{}!{member}", source.path))
}

/// The name that a tar entry of its own gives to the next one.
fn own_name(entry: &mut tar::Entry<'_, &mut dyn Read>) -> Option<String> {
    let is_pax = entry.header().entry_type() == EntryType::XHeader;
    let mut bytes = Vec::new();
    entry.take(NAME_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let name = match is_pax {
        true => {
            let mut records = tar::PaxExtensions::new(&bytes).filter_map(Result::ok);
            let path = records.find(|record| record.key_bytes() == b"path")?;
            path.value_bytes()
        }
        false => bytes.strip_suffix(b"\0").unwrap_or(&bytes),
    };
    Some(String::from_utf8_lossy(name).into_owned())
}

/// Why a member of a zip archive does not open.
fn closed(error: &ZipError) -> Why {
    match error {
        ZipError::UnsupportedArchive(why) if *why == ZipError::PASSWORD_REQUIRED => Why::Encrypted,
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => Why::Format,
        _ => Why::Corrupt,
    }
}
