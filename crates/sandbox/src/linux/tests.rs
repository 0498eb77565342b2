//! What can be checked without namespaces; the walls themselves are tested with real bottles.

use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use seccompiler::{BpfProgram, TargetArch};

use super::channel::{Channel, Order, Report};
use super::{netlink, root, seccomp};
use crate::{Error, Exit, Layer};

/// What the kernel would do with one call.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Allowed,
    Refused(i32),
    Killed,
}

const X86_64: u32 = 0xC000_003E;
const AARCH64: u32 = 0xC000_00B7;

/// Runs a classic BPF program over one `struct seccomp_data`, as far as our filters go: load a
/// word, mask it, compare, return.
fn run(program: &BpfProgram, arch: u32, number: i64, arguments: &[u64]) -> Fate {
    let mut data = [0_u8; 64];
    data[..4].copy_from_slice(&(number as u32).to_le_bytes());
    data[4..8].copy_from_slice(&arch.to_le_bytes());
    for (slot, value) in data[16..].chunks_exact_mut(8).zip(arguments) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
    let mut at = 0;
    let mut word = 0_u32;
    loop {
        let step = &program[at];
        at += 1;
        let holds = match step.code {
            0x20 => {
                let from = step.k as usize;
                word = u32::from_le_bytes(data[from..from + 4].try_into().unwrap());
                continue;
            }
            0x54 => {
                word &= step.k;
                continue;
            }
            0x05 => {
                at += step.k as usize;
                continue;
            }
            0x06 => return fate(step.k),
            0x15 => word == step.k,
            0x25 => word > step.k,
            0x35 => word >= step.k,
            code => panic!("what is {code:#x}?"),
        };
        at += usize::from(if holds { step.jt } else { step.jf });
    }
}

fn fate(action: u32) -> Fate {
    match action & 0xffff_0000 {
        0x7fff_0000 => Fate::Allowed,
        0x0005_0000 => Fate::Refused((action & 0xffff) as i32),
        0x8000_0000 => Fate::Killed,
        other => panic!("what is {other:#x}?"),
    }
}

fn check(number: i64, arguments: &[u64], expected: &Fate) {
    // The table holds this architecture's numbers; what is compiled from it differs by target
    // only in which architecture it lets through.
    for (target, arch) in [(TargetArch::x86_64, X86_64), (TargetArch::aarch64, AARCH64)] {
        let program = seccomp::compile(target).unwrap();
        let fate = run(&program, arch, number, arguments);
        assert_eq!(&fate, expected, "{number} {arguments:x?} on {target:?}");
    }
}

#[test]
fn dangerous_calls_are_refused() {
    let refused = Fate::Refused(libc::EPERM);
    for number in [
        libc::SYS_mount,
        libc::SYS_setns,
        libc::SYS_bpf,
        libc::SYS_keyctl,
        libc::SYS_io_uring_setup,
        libc::SYS_open_by_handle_at,
        libc::SYS_kexec_load,
        467,
    ] {
        check(number, &[], &refused);
    }
    for flag in [
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWNS,
        0x80,
    ] {
        let flags = u64::from(flag as u32);
        check(libc::SYS_unshare, &[flags], &refused);
        check(libc::SYS_clone, &[flags | libc::SIGCHLD as u64], &refused);
    }
    check(libc::SYS_ioctl, &[0, 0x5412], &refused);
    check(libc::SYS_personality, &[0x0008], &refused);
}

#[test]
fn bits_that_the_kernel_ignores_hide_nothing() {
    let refused = Fate::Refused(libc::EPERM);
    check(libc::SYS_ioctl, &[0, 0xdead_beef_0000_5412], &refused);
    check(
        libc::SYS_socket,
        &[0x1_0000_0000 | libc::AF_PACKET as u64, 3, 0],
        &refused,
    );
    let raw = (libc::SOCK_RAW | libc::SOCK_CLOEXEC) as u64;
    check(
        libc::SYS_socket,
        &[libc::AF_INET as u64, 0x1_0000_0000 | raw, 1],
        &refused,
    );
}

#[test]
fn ordinary_calls_are_allowed() {
    let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_SIGHAND;
    for (number, arguments) in [
        (libc::SYS_openat, [0, 0, 0]),
        (libc::SYS_execve, [0, 0, 0]),
        (libc::SYS_ptrace, [0, 0, 0]),
        (libc::SYS_clone, [thread as u64, 0, 0]),
        (libc::SYS_clone, [libc::SIGCHLD as u64, 0, 0]),
        (libc::SYS_unshare, [libc::CLONE_FILES as u64, 0, 0]),
        (libc::SYS_ioctl, [0, 0x5413, 0]),
        (libc::SYS_personality, [0xffff_ffff, 0, 0]),
        (libc::SYS_personality, [0x0004_0000, 0, 0]),
        (libc::SYS_socket, [libc::AF_UNIX as u64, 1, 0]),
        (libc::SYS_socket, [libc::AF_INET as u64, 2, 17]),
        (libc::SYS_socket, [libc::AF_INET6 as u64, 1, 6]),
        (libc::SYS_socket, [libc::AF_NETLINK as u64, 3, 0]),
    ] {
        check(number, &arguments, &Fate::Allowed);
    }
}

#[test]
fn socket_families_are_few() {
    let refused = Fate::Refused(libc::EPERM);
    for family in [
        libc::AF_PACKET,
        libc::AF_VSOCK,
        libc::AF_ALG,
        libc::AF_BLUETOOTH,
        0,
    ] {
        check(libc::SYS_socket, &[family as u64, 1, 0], &refused);
    }
    for protocol in [
        libc::NETLINK_NETFILTER,
        libc::NETLINK_AUDIT,
        libc::NETLINK_KOBJECT_UEVENT,
    ] {
        check(
            libc::SYS_socket,
            &[libc::AF_NETLINK as u64, 3, protocol as u64],
            &refused,
        );
    }
}

#[test]
fn unreadable_and_foreign_calls_are_not_there() {
    check(libc::SYS_clone3, &[], &Fate::Refused(libc::ENOSYS));
    check(0x4000_0000, &[], &Fate::Refused(libc::ENOSYS));
    check(
        0x4000_0000 | libc::SYS_mount,
        &[],
        &Fate::Refused(libc::ENOSYS),
    );
    const I386: u32 = 0x4000_0003;
    let program = seccomp::compile(TargetArch::x86_64).unwrap();
    assert_eq!(run(&program, I386, 1, &[]), Fate::Killed);
    assert_eq!(run(&program, AARCH64, 1, &[]), Fate::Killed);
}

#[test]
fn netlink_attributes_are_aligned_and_nested() {
    let inner = netlink::Attributes::default().text(1, "lo");
    let message = netlink::Message::new(16, 4, &[9], netlink::Attributes::default().nest(2, inner));
    let mut bytes = Vec::new();
    message.write(7, &mut bytes);
    let mut expected = Vec::new();
    expected.extend(32_u32.to_ne_bytes());
    expected.extend([16_u16, 4 | 1].map(u16::to_ne_bytes).concat());
    expected.extend([7_u32, 0].map(u32::to_ne_bytes).concat());
    expected.extend([9, 0, 0, 0]);
    expected.extend([12_u16, 2 | 1 << 15, 7, 1].map(u16::to_ne_bytes).concat());
    expected.extend(*b"lo\0\0");
    assert_eq!(bytes, expected);
}

#[test]
fn netlink_answers_are_read_and_nonsense_is_not() {
    let mut bytes = Vec::new();
    for (sequence, error) in [(3_u32, 0_i32), (4, -libc::EPERM)] {
        bytes.extend(20_u32.to_ne_bytes());
        bytes.extend([2_u16, 0].map(u16::to_ne_bytes).concat());
        bytes.extend([sequence, 0].map(u32::to_ne_bytes).concat());
        bytes.extend(error.to_ne_bytes());
    }
    assert_eq!(netlink::answers(&bytes), [(3, 0), (4, libc::EPERM)]);
    assert_eq!(netlink::answers(&bytes[..25]), [(3, 0)]);
    assert_eq!(netlink::answers(&[0; 19]), []);
    assert_eq!(netlink::answers(&[0; 40]), []);
}

#[test]
fn layer_names_are_escaped() {
    assert_eq!(root::layer_name(Path::new("/a:b\\c,d")), b"/a\\:b\\\\c,d");
}

#[test]
fn the_channel_carries_messages_and_descriptors() {
    let (one, other) = Channel::pair().unwrap();
    let mut file = std::fs::File::from(
        rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::CLOEXEC).unwrap(),
    );
    file.write_all(b"x").unwrap();
    one.send(&Report::Ended(Exit::Code(3)), &[file.as_fd()])
        .unwrap();
    one.send(&Report::Failed(Error::new(Layer::Proc, "x")), &[])
        .unwrap();
    let (report, descriptors) = other.receive::<Report>().unwrap().unwrap();
    assert!(matches!(report, Report::Ended(Exit::Code(3))));
    assert_eq!(rustix::fs::fstat(&descriptors[0]).unwrap().st_size, 1);
    let (report, descriptors) = other.receive::<Report>().unwrap().unwrap();
    assert!(matches!(report, Report::Failed(error) if error.layer == Layer::Proc));
    assert!(descriptors.is_empty());
    drop(one);
    assert!(other.receive::<Order>().unwrap().is_none());
}
