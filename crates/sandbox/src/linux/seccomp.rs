//! The system call filter: everything is allowed but a list of calls that no agent's program
//! needs and that reach into the kernel's rarely walked parts.
//!
//! A refused call returns EPERM, so that programs take their fallback; `clone3` returns ENOSYS,
//! because its flags are behind a pointer that a filter cannot read and the C libraries then
//! use `clone`. Calls of another architecture's numbering end the process.

use std::collections::BTreeMap;
use std::io;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, sock_filter,
};

use crate::{Error, Layer};

/// Calls that are refused whatever their arguments.
const REFUSED: &[libc::c_long] = &[
    // Mounts: the file system is as it is.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    OPEN_TREE_ATTR,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
    libc::SYS_nfsservctl,
    // File handles go around the mount namespace.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    // Other namespaces.
    libc::SYS_setns,
    // The kernel's own programs, modules, tracing and clocks.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_lookup_dcookie,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_vhangup,
    // Keyrings are not part of any namespace.
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    // Favourite first steps of kernel exploits, with fallbacks in every program that uses them.
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Memory placement of other processes.
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    libc::SYS_kcmp,
];

/// Newer than the C libraries' tables; from number 424 on all architectures share theirs.
const OPEN_TREE_ATTR: libc::c_long = 467;

/// Calls of x86-64 alone, or whose number the C libraries do not name everywhere.
#[cfg(target_arch = "x86_64")]
const REFUSED_HERE: &[libc::c_long] = &[
    libc::SYS_kexec_file_load,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];

/// `kexec_file_load` in `asm-generic/unistd.h`, which musl's table does not name.
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_HERE: &[libc::c_long] = &[294];

/// Flags of `clone` and `unshare` that make namespaces.
const NEW_NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    CLONE_NEWTIME,
];

/// In `clone` this bit is part of the exit signal, where no program sets it (signals end at 64).
const CLONE_NEWTIME: libc::c_int = 0x80;

/// Socket families that a program may use; netlink only for its routing protocol.
const FAMILIES: &[libc::c_int] = &[
    libc::AF_UNIX,
    libc::AF_INET,
    libc::AF_INET6,
    libc::AF_NETLINK,
];

/// The bits of `socket`'s second argument that are the type; the others are flags.
const SOCKET_TYPE_MASK: u64 = 0xf;

/// `ioctl` requests that put words into a terminal's input (`asm-generic/ioctls.h`).
const TERMINAL_INJECTION: &[u64] = &[0x5412, 0x541C];

/// Netlink's protocol for addresses and routes, which `getifaddrs` asks.
const NETLINK_ROUTE: u64 = 0;

/// What `personality` is called with to read it. Else its low byte says which system to emulate,
/// Linux being 0; the flags above it, which debuggers use, are allowed.
const PERSONALITY_QUERY: u64 = 0xffff_ffff;

/// The bit of x32 call numbers, which x86-64 kernels may accept next to their own.
const X32_BIT: u32 = 0x4000_0000;

// `linux/bpf_common.h`, `linux/seccomp.h`.
const LOAD_WORD: u16 = 0x20;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const JUMP_IF_EQUAL: u16 = 0x15;
const RETURN: u16 = 0x06;
const RETURN_ERRNO: u32 = 0x0005_0000;
/// Offset of the call's number in `struct seccomp_data`.
const NUMBER_OFFSET: u32 = 0;

/// The filter for this machine.
///
/// # Errors
/// When this architecture has no table.
pub(super) fn filter() -> Result<BpfProgram, Error> {
    let target = TargetArch::try_from(std::env::consts::ARCH).map_err(|_| {
        Error::new(
            Layer::Seccomp,
            format!("no table for {}", std::env::consts::ARCH),
        )
        .remedy("tables exist for x86_64 and aarch64; or use `--best-effort`")
    })?;
    compile(target).map_err(|cause| {
        Error::new(
            Layer::Seccomp,
            format!("compile the system call filter: {cause}"),
        )
    })
}

/// Installs the filter in this process, and all that it will start, for good.
pub(super) fn install(filter: &BpfProgram) -> Result<(), Error> {
    seccompiler::apply_filter(filter).map_err(|cause| {
        let os = match cause {
            seccompiler::Error::Prctl(cause) | seccompiler::Error::Seccomp(cause) => cause,
            other => io::Error::other(other),
        };
        Error::os(Layer::Seccomp, "install the system call filter", &os)
            .remedy("the kernel needs CONFIG_SECCOMP_FILTER; or use `--best-effort`")
    })
}

pub(super) fn compile(target: TargetArch) -> Result<BpfProgram, seccompiler::Error> {
    let filter = SeccompFilter::new(
        rules()?,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        target,
    )?;
    let refused: BpfProgram = filter.try_into()?;
    Ok(prologue().into_iter().chain(refused).collect())
}

/// What the compiler of filters cannot say: ranges of numbers, and a second error number.
fn prologue() -> Vec<sock_filter> {
    let statement = |code, k| sock_filter {
        code,
        jt: 0,
        jf: 0,
        k,
    };
    let not_there = statement(RETURN, RETURN_ERRNO | libc::ENOSYS as u32);
    let unless = |code, k| sock_filter {
        code,
        jt: 0,
        jf: 1,
        k,
    };
    vec![
        statement(LOAD_WORD, NUMBER_OFFSET),
        unless(JUMP_IF_AT_LEAST, X32_BIT),
        not_there.clone(),
        unless(JUMP_IF_EQUAL, libc::SYS_clone3 as u32),
        not_there,
    ]
}

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

fn rules() -> Result<Rules, seccompiler::Error> {
    let mut rules: Rules = REFUSED
        .iter()
        .chain(REFUSED_HERE)
        .map(|number| (*number, Vec::new()))
        .collect();
    rules.insert(libc::SYS_clone, namespaces()?);
    rules.insert(libc::SYS_unshare, namespaces()?);
    rules.insert(libc::SYS_socket, sockets()?);
    let injection = TERMINAL_INJECTION
        .iter()
        .map(|request| all([equal(1, *request)]));
    rules.insert(libc::SYS_ioctl, injection.collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_personality, emulations()?);
    Ok(rules)
}

fn namespaces() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    NEW_NAMESPACES
        .iter()
        .map(|flag| all([has(0, u64::from(*flag as u32))]))
        .collect()
}

fn sockets() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let other_family = FAMILIES.iter().map(|family| differs(0, *family as u64));
    let raw = |family: libc::c_int| {
        let raw = SeccompCmpOp::MaskedEq(SOCKET_TYPE_MASK);
        all([
            equal(0, family as u64),
            condition(1, raw, libc::SOCK_RAW as u64),
        ])
    };
    let other_netlink = [equal(0, libc::AF_NETLINK as u64), differs(2, NETLINK_ROUTE)];
    Ok(vec![
        all(other_family)?,
        raw(libc::AF_INET)?,
        raw(libc::AF_INET6)?,
        all(other_netlink)?,
    ])
}

fn emulations() -> Result<Vec<SeccompRule>, seccompiler::Error> {
    let bits = (0..u8::BITS).map(|bit| 1_u64 << bit);
    bits.map(|bit| all([differs(0, PERSONALITY_QUERY), has(0, bit)]))
        .collect()
}

fn all(
    conditions: impl IntoIterator<Item = Result<SeccompCondition, seccompiler::Error>>,
) -> Result<SeccompRule, seccompiler::Error> {
    Ok(SeccompRule::new(
        conditions.into_iter().collect::<Result<_, _>>()?,
    )?)
}

fn has(argument: u8, bits: u64) -> Result<SeccompCondition, seccompiler::Error> {
    condition(argument, SeccompCmpOp::MaskedEq(bits), bits)
}

fn equal(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    condition(argument, SeccompCmpOp::Eq, value)
}

fn differs(argument: u8, value: u64) -> Result<SeccompCondition, seccompiler::Error> {
    condition(argument, SeccompCmpOp::Ne, value)
}

/// The kernel reads all these arguments as 32 bits, so the upper half must not matter here.
fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::Error> {
    Ok(SeccompCondition::new(
        argument,
        SeccompCmpArgLen::Dword,
        operator,
        value,
    )?)
}
