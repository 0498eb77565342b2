//! Attempts that ask the kernel for more than a bottle may have.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, SockaddrIn, recv,
    sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{Plan, Probe, Seen, blocked, passed, stopped};

pub(super) fn probes() -> Vec<Probe> {
    vec![
        stopped("raw-v4", "raw socket, IPv4", |_, _| {
            made(AddressFamily::Inet, SockType::Raw, Some(SockProtocol::Icmp))
        }),
        stopped("raw-v6", "raw socket, IPv6", |_, _| {
            made(
                AddressFamily::Inet6,
                SockType::Raw,
                Some(SockProtocol::IcmpV6),
            )
        }),
        stopped("packet", "packet socket", |_, _| {
            made(
                AddressFamily::Packet,
                SockType::Raw,
                Some(SockProtocol::EthAll),
            )
        }),
        stopped("icmp-echo", "ICMP echo through a ping socket", |_, _| {
            outcome(ping())
        }),
        stopped("unix-path", "path Unix socket of the host", |plan, _| {
            connected(UnixStream::connect(&plan.unix_path))
        }),
        stopped(
            "unix-abstract",
            "abstract Unix socket of the host",
            unix_abstract,
        ),
        stopped("netlink-link", "take the loopback device down", |_, _| {
            outcome(netlink(SockProtocol::NetlinkRoute, &link_down()))
        }),
        stopped("netlink-nft", "delete every nftables table", |_, _| {
            outcome(netlink(SockProtocol::NetlinkNetFilter, &delete_tables()))
        }),
        stopped("mount", "mount a tmpfs", |_, _| outcome(mount_tmpfs())),
        stopped("unshare-user", "unshare a user namespace", |_, _| {
            outcome(unshare(CloneFlags::CLONE_NEWUSER))
        }),
        stopped("unshare-net", "unshare a network namespace", |_, _| {
            outcome(unshare(CloneFlags::CLONE_NEWNET))
        }),
        stopped("unshare-mount", "unshare a mount namespace", |_, _| {
            outcome(unshare(CloneFlags::CLONE_NEWNS))
        }),
        stopped("setns", "enter a namespace by its file", |_, _| {
            enter_namespace()
        }),
    ]
}

fn outcome<T>(result: nix::Result<T>) -> Seen {
    match result {
        Ok(_) => passed("done"),
        Err(errno) => blocked(errno.desc()),
    }
}

fn made(family: AddressFamily, kind: SockType, protocol: Option<SockProtocol>) -> Seen {
    match socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol) {
        Ok(_) => passed("the socket was made"),
        Err(errno) => blocked(errno.desc()),
    }
}

/// Sends an echo request (RFC 792) to an address for documentation and waits for the reply.
fn ping() -> nix::Result<()> {
    let fd = socket(
        AddressFamily::Inet,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        Some(SockProtocol::Icmp),
    )?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
    let echo = [8, 0, 0, 0, 0, 0, 0, 1];
    sendto(
        fd.as_raw_fd(),
        &echo,
        &SockaddrIn::new(192, 0, 2, 1, 0),
        MsgFlags::empty(),
    )?;
    recv(fd.as_raw_fd(), &mut [0; 64], MsgFlags::empty()).map(drop)
}

fn unix_abstract(plan: &Plan, _: &str) -> Seen {
    connected(
        SocketAddr::from_abstract_name(&plan.unix_abstract)
            .and_then(|address| UnixStream::connect_addr(&address)),
    )
}

fn connected(result: std::io::Result<UnixStream>) -> Seen {
    match result {
        Ok(_) => passed("connected"),
        Err(error) => blocked(error),
    }
}

fn netlink(protocol: SockProtocol, request: &[u8]) -> nix::Result<()> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(AddressFamily::Netlink, SockType::Raw, flags, Some(protocol))?;
    setsockopt(&fd, sockopt::ReceiveTimeout, &TimeVal::seconds(1))?;
    sendto(
        fd.as_raw_fd(),
        request,
        &NetlinkAddr::new(0, 0),
        MsgFlags::empty(),
    )?;
    let mut answer = [0; 256];
    let length = recv(fd.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    acknowledged(&answer[..length])
}

/// The kernel answers with an error message, whose code is zero when all went well (netlink(7)).
fn acknowledged(answer: &[u8]) -> nix::Result<()> {
    let code: [u8; 4] = answer
        .get(16..20)
        .and_then(|it| it.try_into().ok())
        .ok_or(Errno::EIO)?;
    match i32::from_ne_bytes(code) {
        0 => Ok(()),
        negative => Err(Errno::from_raw(negative.saturating_neg())),
    }
}

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;

fn message(kind: u16, flags: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(16 + payload.len()).expect("the payloads here are a few bytes");
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8]);
    message.extend(payload);
    message
}

/// `RTM_NEWLINK` for interface 1 that clears `IFF_UP` (rtnetlink(7)).
fn link_down() -> Vec<u8> {
    const RTM_NEWLINK: u16 = 16;
    const IFF_UP: u32 = 1;
    let mut payload = vec![0; 4];
    payload.extend(1_i32.to_ne_bytes());
    payload.extend(0_u32.to_ne_bytes());
    payload.extend(IFF_UP.to_ne_bytes());
    message(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, &payload)
}

/// A batch with one `NFT_MSG_DELTABLE` that names no table, which means all of them
/// (linux/netfilter/nf_tables.h).
fn delete_tables() -> Vec<u8> {
    const NFNL_SUBSYS_NFTABLES: u8 = 10;
    const NFT_MSG_DELTABLE: u8 = 2;
    const BATCH_BEGIN: u16 = 16;
    const BATCH_END: u16 = 17;
    let batch = [0, 0, 0, NFNL_SUBSYS_NFTABLES];
    let delete = u16::from(NFNL_SUBSYS_NFTABLES) << 8 | u16::from(NFT_MSG_DELTABLE);
    [
        message(BATCH_BEGIN, NLM_F_REQUEST, &batch),
        message(delete, NLM_F_REQUEST | NLM_F_ACK, &[0; 4]),
        message(BATCH_END, NLM_F_REQUEST, &batch),
    ]
    .concat()
}

fn mount_tmpfs() -> nix::Result<()> {
    // The directory may be there from another attempt.
    let _ = fs::create_dir("mount-point");
    mount(
        Some("none"),
        "mount-point",
        Some("tmpfs"),
        MsFlags::empty(),
        None::<&str>,
    )
}

fn enter_namespace() -> Seen {
    match File::open("/proc/1/ns/net") {
        Ok(file) => outcome(setns(file, CloneFlags::CLONE_NEWNET)),
        Err(error) => blocked(error),
    }
}
