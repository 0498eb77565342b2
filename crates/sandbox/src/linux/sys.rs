//! System calls that need unsafe code, each behind a safe function.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::process::Pid;
use rustix::thread::UnshareFlags;

/// Where the init process finds its end of the control channel.
pub(super) const CONTROL_FD: RawFd = 3;

/// Where the init process finds its orders.
pub(super) const PLAN_FD: RawFd = 4;

/// Below this number, file descriptors may collide with the two above while they are moved.
const SAFE_FD: RawFd = 10;

/// `ioctl` request that makes a terminal the session's own (`asm-generic/ioctls.h`).
const TIOCSCTTY: libc::Ioctl = 0x540E;

/// `getsockopt` names of the address before redirection (`linux/netfilter_ipv4.h`, `_ipv6/`).
const SO_ORIGINAL_DST: libc::c_int = 80;

fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// Arranges for `control` and `plan` to be at their known numbers in the spawned process.
pub(super) fn pass_descriptors(command: &mut Command, control: RawFd, plan: RawFd) {
    let place = move || -> io::Result<()> {
        for (from, to) in [(control, CONTROL_FD), (plan, PLAN_FD)] {
            // SAFETY: dup2 on numbers that are open in this process and outlive the spawn.
            check(unsafe { libc::dup2(from, to) }.into())?;
        }
        Ok(())
    };
    // SAFETY: the closure calls nothing but dup2, which is async-signal-safe.
    unsafe { command.pre_exec(place) };
}

/// Has a command's process killed when the thread that spawns it ends, however that comes about.
///
/// Spawn it on a thread that lives as long as this process.
pub fn ends_with_parent(command: &mut Command) {
    let parent = rustix::process::getpid();
    let arrange = move || -> io::Result<()> {
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        // It may have ended before it could be watched.
        match rustix::process::getppid() == Some(parent) {
            true => Ok(()),
            false => Err(io::Error::from_raw_os_error(libc::ESRCH)),
        }
    };
    // SAFETY: the closure makes three system calls and allocates nothing.
    unsafe { command.pre_exec(arrange) };
}

/// A duplicate whose number is out of the way of [`pass_descriptors`].
pub(super) fn out_of_the_way(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    Ok(rustix::io::fcntl_dupfd_cloexec(fd, SAFE_FD)?)
}

/// Takes over a descriptor that this process was started with.
///
/// # Errors
/// `EBADF` when it is not open.
pub(super) fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl reads and sets a flag of a number; a closed one gives EBADF.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }.into())?;
    // SAFETY: it is open, and each number is taken over once, at the start of the init process.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Leaves the named namespaces for new ones.
pub(super) fn unshare(flags: UnshareFlags) -> io::Result<()> {
    // SAFETY: no caller passes FILES, the flag that could pull descriptors from other threads,
    // and the init process has one thread.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Splits this process in two: the child gets `None`, the parent the child's id.
pub(super) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: only the init process forks, and it has one thread.
    let pid = unsafe { libc::fork() };
    check(pid.into())?;
    Ok(Pid::from_raw(pid))
}

/// As [`fork`], in a process that may have other threads. The child may do nothing but system calls
/// until it ends by [`exit_now`].
pub(super) fn fork_beside_threads() -> io::Result<Option<Pid>> {
    // SAFETY: the only caller's child touches no lock, no allocator and no destructor.
    let pid = unsafe { libc::fork() };
    check(pid.into())?;
    Ok(Pid::from_raw(pid))
}

/// Where [`keep_only`] puts what it keeps: standard output's number.
const KEPT_FD: RawFd = 1;

/// Closes every descriptor but standard input and `kept`, which [`kept`] then gives. For a process that
/// has nothing else to do.
pub(super) fn keep_only(kept: &OwnedFd) -> io::Result<()> {
    // SAFETY: dup2 on a number that is open; what it replaces, nobody uses any more.
    check(unsafe { libc::dup2(kept.as_raw_fd(), KEPT_FD) }.into())?;
    // SAFETY: nothing in this process uses a descriptor above from here on.
    check(unsafe { libc::syscall(libc::SYS_close_range, KEPT_FD + 1, u32::MAX, 0) })?;
    Ok(())
}

/// What [`keep_only`] kept.
pub(super) fn kept() -> BorrowedFd<'static> {
    // SAFETY: `keep_only` opened it, and nothing closes it until the process ends.
    unsafe { BorrowedFd::borrow_raw(KEPT_FD) }
}

/// Ends this process at once, without destructors or buffers.
pub(super) fn exit_now(code: u8) -> ! {
    // SAFETY: _exit takes any number and does not return.
    unsafe { libc::_exit(code.into()) }
}

/// `struct mount_attr` of `mount_setattr(2)`.
#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds attributes to a mount, and to all below it if `recursive`.
pub(super) fn set_mount_attributes(
    mount: BorrowedFd<'_>,
    attributes: u64,
    recursive: bool,
) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: attributes,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is an empty C string, and the kernel reads only `size_of` bytes of `attr`.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// Marks every descriptor from `first` on to be closed by exec.
pub(super) fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: it sets flags in this process's own descriptor table.
    check(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            u32::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })?;
    Ok(())
}

/// Makes `terminal` the controlling terminal of this session.
pub(super) fn take_terminal(terminal: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes a number, not a pointer.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), TIOCSCTTY, 0) }.into())?;
    Ok(())
}

/// A signal mask to go back to.
pub(super) struct SignalMask(libc::sigset_t);

/// Blocks `signals` in this thread and gives a descriptor to read them from.
pub(super) fn catch_signals(signals: &[libc::c_int]) -> io::Result<(OwnedFd, SignalMask)> {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises `set`; sigprocmask fills `before`; both outlive the calls.
    unsafe {
        let mut set = zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut set);
        for signal in signals {
            libc::sigaddset(&raw mut set, *signal);
        }
        let blocked = libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, before.as_mut_ptr());
        if blocked != 0 {
            return Err(io::Error::from_raw_os_error(blocked));
        }
        let fd = libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        check(fd.into())?;
        Ok((OwnedFd::from_raw_fd(fd), SignalMask(before.assume_init())))
    }
}

/// Goes back to an earlier mask.
pub(super) fn restore_signals(mask: &SignalMask) {
    // SAFETY: the mask came from pthread_sigmask.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const mask.0, ptr::null_mut()) };
}

/// Gives a command the signals that a program expects: none blocked, SIGPIPE deadly again.
pub(super) fn default_signals() {
    // SAFETY: sigemptyset initialises the set; SIG_DFL is a valid disposition of SIGPIPE.
    unsafe {
        let mut none = zeroed::<libc::sigset_t>();
        libc::sigemptyset(&raw mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// Replaces this process's program; returns only on failure.
pub(super) fn exec(path: &CStr, argv: &[CString], env: &[CString]) -> io::Error {
    let argv = pointers(argv);
    let env = pointers(env);
    // SAFETY: both arrays end in a null pointer and point into C strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), env.as_ptr()) };
    io::Error::last_os_error()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings
        .iter()
        .map(|text| text.as_ptr())
        .chain([ptr::null()])
        .collect()
}

/// Where a redirected IPv4 connection was going.
pub(super) fn original_v4(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    // SAFETY: sockaddr_in is plain integers, for which all zeroes is a value.
    let mut address: libc::sockaddr_in = unsafe { zeroed() };
    socket_option(socket, libc::SOL_IP, &mut address)?;
    let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
    Ok(SocketAddrV4::new(ip, u16::from_be(address.sin_port)).into())
}

/// Where a redirected IPv6 connection was going.
pub(super) fn original_v6(socket: BorrowedFd<'_>) -> io::Result<SocketAddr> {
    // SAFETY: sockaddr_in6 is plain integers, for which all zeroes is a value.
    let mut address: libc::sockaddr_in6 = unsafe { zeroed() };
    socket_option(socket, libc::SOL_IPV6, &mut address)?;
    let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
    Ok(SocketAddrV6::new(ip, u16::from_be(address.sin6_port), 0, 0).into())
}

fn socket_option<T>(socket: BorrowedFd<'_>, level: libc::c_int, into: &mut T) -> io::Result<()> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of `into`.
    check(
        unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                level,
                SO_ORIGINAL_DST,
                ptr::from_mut(into).cast(),
                &raw mut length,
            )
        }
        .into(),
    )?;
    Ok(())
}
