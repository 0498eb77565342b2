//! Memory that a start has used and nothing after it needs.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::ops::Range;

use rustix::mm::{Advice, MlockFlags, madvise, mlock_with};

/// Gives back the pages of the program's own code that its start has run through: reading arguments,
/// policy and certificates. What runs again is mapped again from the file, by a minor fault for each
/// sixteen pages. To be called once, when a process that stays has started.
///
/// # Errors
/// When the kernel does not tell or take the mapping (proc(5), `maps`; madvise(2), `MADV_DONTNEED`).
pub fn forget_start() -> io::Result<()> {
    let Some(code) = own_code(&fs::read_to_string("/proc/self/maps")?) else {
        return Err(io::Error::other(
            "the program's code is not among its mappings",
        ));
    };
    // SAFETY: the range is a mapping of this process whose pages can be read and run, but not written:
    // they hold what the program's file holds, and come back from it whenever they are next touched,
    // this function's own among them.
    unsafe { madvise(code.start as *mut c_void, code.len(), Advice::LinuxDontNeed)? };
    Ok(())
}

/// Keeps the pages that `secrets` lie in, which are addresses of this process, out of swap space and of core dumps,
/// and returns how many bytes that are. It lasts while the pages are mapped; other data on the same pages is kept out too.
///
/// # Errors
/// When the kernel does not take it: where less may be locked (`RLIMIT_MEMLOCK`), or where nothing is mapped there
/// (mlock2(2); madvise(2), `MADV_DONTDUMP`).
pub fn keep_in_memory(secrets: &[Range<usize>]) -> io::Result<usize> {
    let pages = pages(secrets, page_bytes());
    // A dump has no limit that could be too low, so it goes first.
    for pages in &pages {
        // SAFETY: it changes neither what the pages hold nor whether they may be read, written or run; of addresses
        // where nothing is mapped the kernel says so.
        unsafe {
            madvise(
                pages.start as *mut c_void,
                pages.len(),
                Advice::LinuxDontDump,
            )?
        };
    }
    for pages in &pages {
        // SAFETY: as above.
        unsafe { mlock_with(pages.start as *mut c_void, pages.len(), MlockFlags::ONFAULT)? };
    }
    Ok(pages.iter().map(ExactSizeIterator::len).sum())
}

fn page_bytes() -> usize {
    // SAFETY: it takes a number and returns one (sysconf(3)).
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).unwrap_or(4096)
}

/// The whole pages that ranges lie in, in order, none twice.
fn pages(ranges: &[Range<usize>], page: usize) -> Vec<Range<usize>> {
    let whole = |range: &Range<usize>| range.start / page * page..range.end.next_multiple_of(page);
    let mut pages: Vec<Range<usize>> = ranges.iter().map(whole).collect();
    pages.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in pages {
        match apart.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            Some(_) | None => apart.push(range),
        }
    }
    apart
}

/// The mapping that this function's code is in, if it is private and was never writable.
fn own_code(maps: &str) -> Option<Range<usize>> {
    let here = own_code as fn(&str) -> Option<Range<usize>> as usize;
    maps.lines().find_map(|line| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let place = |text| usize::from_str_radix(text, 16).ok();
        let range = place(start)?..place(end)?;
        (range.contains(&here) && rest.starts_with("r-xp ")).then_some(range)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_code_is_found_and_runs_on() {
        let maps = fs::read_to_string("/proc/self/maps").expect("proc is mounted");
        let code = own_code(&maps).expect("a program has code");
        assert!(code.len() > 4096, "{code:x?}");
        forget_start().expect("the kernel takes it");
        assert_eq!(own_code(&maps), Some(code));
    }

    #[test]
    fn pages_are_whole_and_apart() {
        let ranges = [5000..5001, 100..200, 8191..8193, 20_000..20_000];
        let expect = [0..12_288, 16_384..20_480];
        assert_eq!(pages(&ranges, 4096), expect);
        assert!(pages(&[], 4096).is_empty());
    }

    /// What may be locked is a limit of the machine: where it is none at all the kernel says so.
    #[test]
    fn pages_with_secrets_are_locked_and_left_out_of_dumps() {
        let secret = Box::new([7u8; 64]);
        let start = secret.as_ptr().addr();
        let range = start..start + secret.len();
        let kept = keep_in_memory(std::slice::from_ref(&range));
        let limit = rustix::process::getrlimit(rustix::process::Resource::Memlock).current;
        match kept {
            Ok(bytes) => {
                assert!(bytes >= secret.len());
                let flags = flags_of(start);
                assert!(flags.contains(" lo") && flags.contains(" dd"), "{flags}");
            }
            Err(error) => assert!(limit.is_some_and(|limit| limit < 64 * 1024), "{error}"),
        }
    }

    /// The flags of the mapping that an address is in (proc(5), `smaps`).
    fn flags_of(address: usize) -> String {
        let maps = fs::read_to_string("/proc/self/smaps").expect("proc is mounted");
        let mut is_in = false;
        for line in maps.lines() {
            if let Some((start, end)) = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'))
            {
                let place = |text| usize::from_str_radix(text, 16).unwrap_or(0);
                is_in = (place(start)..place(end)).contains(&address);
            } else if is_in && line.starts_with("VmFlags:") {
                return line.into();
            }
        }
        String::new()
    }

    #[test]
    fn code_that_can_be_written_is_left_alone() {
        let maps = "0-7fffffffffff rwxp 00000000 00:00 0 /bin/other\n";
        assert_eq!(own_code(maps), None);
    }
}
