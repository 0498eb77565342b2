//! Undoes packings as the bytes are read, within bounds.

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read};

use bzip2::read::MultiBzDecoder;
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::FrameDecoder;
use ruzstd::decoding::StreamingDecoder;
use ruzstd::decoding::errors::FrameDecoderError;

use super::search::Why;
use super::sniff::Packing;

/// All that may come out of one file: more is not looked at, but told.
const UNPACKED_BYTES_MAX: u64 = 4 << 30;

/// What may always come out, whatever the input: logs and sparse images.
const UNPACKED_FLOOR_BYTES: u64 = 64 << 20;

/// Bytes out for each byte in, beyond the floor.
const RATIO_MAX: u64 = 256;

/// What xz may take for its dictionary: its highest preset takes 64 MiB.
const XZ_MEMORY_MAX_KIB: u32 = 80 * 1024;

/// What zstd may take for its window: its highest level without `--long` takes 8 MiB, with `--ultra` 128.
const ZSTD_WINDOW_MAX_BYTES: u64 = 64 << 20;

/// Archives at hand in memory at one time, of one file: jars in a jar.
const HELD_BYTES_MAX: u64 = 48 << 20;

/// What may still be unpacked of one file.
#[derive(Debug)]
pub(crate) struct Bounds {
    unpacked_left: Cell<u64>,
    held_left: Cell<u64>,
    /// The bound that ended a reading. Decoders hide what an inner reader says.
    tripped: Cell<Option<Why>>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            unpacked_left: Cell::new(UNPACKED_BYTES_MAX),
            held_left: Cell::new(HELD_BYTES_MAX),
            tripped: Cell::new(None),
        }
    }
}

impl Bounds {
    /// The bound that ended a reading, if one did.
    pub(crate) fn tripped(&self) -> Option<Why> {
        self.tripped.take()
    }

    /// Reads all into memory, which [`Bounds::release`] must be told of.
    pub(crate) fn hold(&self, reader: &mut dyn Read) -> io::Result<Vec<u8>> {
        let (mut held, left) = (Vec::new(), self.held_left.get());
        reader.take(left + 1).read_to_end(&mut held)?;
        if held.len() as u64 > left {
            return Err(self.trip(Why::Memory));
        }
        self.held_left.set(left - held.len() as u64);
        Ok(held)
    }

    /// Gives memory back.
    pub(crate) fn release(&self, held: Vec<u8>) {
        self.held_left.set(self.held_left.get() + held.len() as u64);
    }

    fn trip(&self, why: Why) -> io::Error {
        self.tripped.set(Some(why));
        io::ErrorKind::FileTooLarge.into()
    }
}

/// Counts what is read of it.
pub(crate) struct Counted<'a, R> {
    inner: R,
    count: &'a Cell<u64>,
}

impl<'a, R> Counted<'a, R> {
    pub(crate) fn new(inner: R, count: &'a Cell<u64>) -> Self {
        Self { inner, count }
    }
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.count.set(self.count.get() + length as u64);
        Ok(length)
    }
}

/// Unpacked content, which ends with an error where it grows out of bounds.
pub(crate) struct Bounded<'a, R> {
    inner: R,
    unpacked: u64,
    /// The bytes that it was unpacked from.
    packed: &'a Cell<u64>,
    bounds: &'a Bounds,
}

impl<'a, R> Bounded<'a, R> {
    pub(crate) fn new(inner: R, packed: &'a Cell<u64>, bounds: &'a Bounds) -> Self {
        Self {
            inner,
            unpacked: 0,
            packed,
            bounds,
        }
    }
}

impl<R: Read> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)? as u64;
        self.unpacked += length;
        let left = self.bounds.unpacked_left.get().checked_sub(length);
        let left = left.ok_or_else(|| self.bounds.trip(Why::Size))?;
        self.bounds.unpacked_left.set(left);
        let most = UNPACKED_FLOOR_BYTES.max(self.packed.get().saturating_mul(RATIO_MAX));
        if self.unpacked > most {
            return Err(self.bounds.trip(Why::Ratio));
        }
        Ok(length as usize)
    }
}

/// A reader of what was packed.
pub(crate) fn reader<'a>(
    packing: Packing,
    packed: impl Read + 'a,
    bounds: &'a Bounds,
) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(packed)),
        Packing::Bzip2 => Box::new(MultiBzDecoder::new(packed)),
        Packing::Xz => Box::new(Xz {
            reader: XzReader::new_mem_limit(packed, true, XZ_MEMORY_MAX_KIB),
            bounds,
        }),
        Packing::Zstd => Box::new(Zstd::new(packed, bounds)?),
    })
}

fn is_memory(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::OutOfMemory
}

/// Tells apart what is broken and what takes too much memory.
struct Xz<'a, R: Read> {
    reader: XzReader<R>,
    bounds: &'a Bounds,
}

impl<R: Read> Read for Xz<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        if read.as_ref().is_err_and(is_memory) {
            self.bounds.trip(Why::Memory);
        }
        read
    }
}

/// Frames of zstd, one after the other (RFC 8878, section 3.1).
struct Zstd<'a, R: Read> {
    /// None at the end, and after an error.
    frame: Option<StreamingDecoder<BufReader<R>, FrameDecoder>>,
    bounds: &'a Bounds,
}

impl<'a, R: Read> Zstd<'a, R> {
    fn new(packed: R, bounds: &'a Bounds) -> io::Result<Self> {
        let frame = Self::open(BufReader::new(packed), bounds)?;
        Ok(Self { frame, bounds })
    }

    fn open(
        mut packed: BufReader<R>,
        bounds: &Bounds,
    ) -> io::Result<Option<StreamingDecoder<BufReader<R>, FrameDecoder>>> {
        if packed.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let opened = StreamingDecoder::new_with_max_window_size(packed, ZSTD_WINDOW_MAX_BYTES);
        opened.map(Some).map_err(|error| match error {
            FrameDecoderError::WindowSizeTooBig { .. } => bounds.trip(Why::Memory),
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}

impl<R: Read> Read for Zstd<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(mut frame) = self.frame.take() {
            let length = frame.read(buffer)?;
            if length > 0 || buffer.is_empty() {
                self.frame = Some(frame);
                return Ok(length);
            }
            self.frame = Self::open(frame.into_inner(), self.bounds)?;
        }
        Ok(0)
    }
}
