//! Memory that a start has used and nothing after it needs.

use std::ffi::c_void;
use std::fs;
use std::io;
use std::ops::Range;

use rustix::mm::{Advice, madvise};

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
    fn code_that_can_be_written_is_left_alone() {
        let maps = "0-7fffffffffff rwxp 00000000 00:00 0 /bin/other\n";
        assert_eq!(own_code(maps), None);
    }
}
