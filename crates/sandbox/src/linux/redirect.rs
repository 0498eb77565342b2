//! The nftables rules that lead every connection to the gate and refuse the rest at once.
//!
//! As `nft` would say it:
//!
//! ```text
//! table inet carboy {
//!   chain redirect { type nat hook output priority -100; policy accept;
//!     ip daddr 127.0.0.0/8 return
//!     ip6 daddr ::1 return
//!     tcp dport 53 redirect to :5354
//!     udp dport 53 redirect to :5354
//!     meta l4proto tcp redirect to :3128
//!   }
//!   chain refuse { type filter hook output priority 0; policy drop;
//!     ct state established,related accept
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     meta l4proto tcp reject with tcp reset
//!     meta l4proto udp accept
//!     reject with icmpx port-unreachable
//!   }
//!   chain unreachable { type filter hook input priority 0; policy drop;
//!     ct state established,related accept
//!     ip daddr 127.0.0.0/8 accept
//!     ip6 daddr ::1 accept
//!     reject with icmpx port-unreachable
//!   }
//! }
//! ```
//!
//! REDIRECT in the output hook rewrites the destination to 127.0.0.1 or ::1, so what the first
//! chain took passes the second as loopback.
//!
//! What is rejected in the output hook fails in `send`, with `EPERM`, which programs take for a fault of
//! their own. So UDP, whose every destination is this machine, is rejected where it arrives: `send`
//! succeeds, and a connected socket then has `ECONNREFUSED`, as where nothing listens.

use std::io;
use std::net::Ipv6Addr;

use rustix::net::netlink::NETFILTER;

use super::netlink::{ACK, APPEND, Attributes, CREATE, Message, Netlink};
use crate::{DNS_PORT, Error, GATE_PORT, Layer};

const TABLE: &str = "carboy";

// `linux/netfilter/nfnetlink.h` and `nf_tables.h`.
const SUBSYSTEM: u16 = 10;
const BATCH_BEGIN: u16 = 0x10;
const BATCH_END: u16 = 0x11;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;
const FAMILY_UNSPEC: u8 = 0;
const FAMILY_INET: u8 = 1;
const HOOK_INPUT: u32 = 1;
const HOOK_OUTPUT: u32 = 3;
const PRIORITY_NAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
const DROP: u32 = 0;
const ACCEPT: u32 = 1;
const RETURN: u32 = -5_i32 as u32;
const REGISTER_VERDICT: u32 = 0;
const REGISTER: u32 = 1;
const META_FAMILY: u32 = 15;
const META_L4_PROTOCOL: u32 = 16;
const NETWORK_HEADER: u32 = 1;
const TRANSPORT_HEADER: u32 = 2;
const COMPARE_EQUAL: u32 = 0;
const COMPARE_NOT_EQUAL: u32 = 1;
const REDIRECT_PORT_GIVEN: u32 = 2;
const TRACKED_STATE: u32 = 0;
/// `NF_CT_STATE_BIT` of established and of related.
const KNOWN_CONNECTION: u32 = 1 << 1 | 1 << 2;
const REJECT_TCP_RESET: u32 = 1;
const REJECT_ICMPX: u32 = 2;
const PORT_UNREACHABLE: u8 = 1;

const IPV4: u8 = 2;
const IPV6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DNS: u16 = 53;

/// Installs the rules in this network namespace, all or none.
pub(super) fn install() -> Result<(), Error> {
    let netlink = Netlink::open(Some(NETFILTER))
        .map_err(|cause| failed("open a netfilter socket", &cause))?;
    let (names, messages): (Vec<_>, Vec<_>) = batch().into_iter().unzip();
    netlink.ask(&messages).map_err(|(index, cause)| {
        failed(
            &format!("install nftables {}", names[index.min(names.len() - 1)]),
            &cause,
        )
    })
}

fn failed(step: &str, cause: &io::Error) -> Error {
    Error::os(Layer::Redirect, step, cause).remedy(
        "the kernel needs nf_tables with inet NAT, redirect, reject and conntrack (Linux 5.2): \
         as root, `modprobe -a nf_tables nft_chain_nat nft_redir nft_reject_inet nft_ct`",
    )
}

fn batch() -> Vec<(&'static str, Message)> {
    let mut all = vec![
        ("batch", edge(BATCH_BEGIN)),
        (
            "table",
            message(NEW_TABLE, CREATE, Attributes::default().text(1, TABLE)),
        ),
        (
            "nat chain",
            chain("redirect", "nat", HOOK_OUTPUT, PRIORITY_NAT, ACCEPT),
        ),
        (
            "output chain",
            chain("refuse", "filter", HOOK_OUTPUT, PRIORITY_FILTER, DROP),
        ),
        (
            "input chain",
            chain("unreachable", "filter", HOOK_INPUT, PRIORITY_FILTER, DROP),
        ),
    ];
    let redirect = [
        (
            "rule that leaves 127.0.0.0/8 alone",
            to_loopback_v4().then(verdict(RETURN)),
        ),
        (
            "rule that leaves ::1 alone",
            to_loopback_v6().then(verdict(RETURN)),
        ),
        (
            "redirect of DNS over TCP",
            protocol(TCP).then(to_port(DNS)).then(redirect_to(DNS_PORT)),
        ),
        (
            "redirect of DNS over UDP",
            protocol(UDP).then(to_port(DNS)).then(redirect_to(DNS_PORT)),
        ),
        (
            "redirect of TCP",
            protocol(TCP).then(redirect_to(GATE_PORT)),
        ),
    ];
    let refuse = [
        ("TCP reset", protocol(TCP).then(reject(REJECT_TCP_RESET))),
        (
            "rule that leaves UDP to the input chain",
            protocol(UDP).then(verdict(ACCEPT)),
        ),
    ];
    let mut add = |chain, (name, what)| all.push((name, rule(chain, what)));
    redirect.into_iter().for_each(|own| add("redirect", own));
    own().into_iter().for_each(|own| add("refuse", own));
    refuse.into_iter().for_each(|own| add("refuse", own));
    add("refuse", ("reject rule", reject(REJECT_ICMPX)));
    own().into_iter().for_each(|own| add("unreachable", own));
    add("unreachable", ("reject rule", reject(REJECT_ICMPX)));
    all.push(("batch", edge(BATCH_END)));
    all
}

/// What stays within the bottle, and what answers it.
fn own() -> [(&'static str, Expressions); 3] {
    [
        (
            "rule for known connections",
            known_connection().then(verdict(ACCEPT)),
        ),
        (
            "rule that accepts 127.0.0.0/8",
            to_loopback_v4().then(verdict(ACCEPT)),
        ),
        (
            "rule that accepts ::1",
            to_loopback_v6().then(verdict(ACCEPT)),
        ),
    ]
}

/// `struct nfgenmsg`: family, version, resource id in network order.
fn header(family: u8, resource: u16) -> [u8; 4] {
    let [high, low] = resource.to_be_bytes();
    [family, 0, high, low]
}

fn edge(kind: u16) -> Message {
    Message::new(
        kind,
        0,
        &header(FAMILY_UNSPEC, SUBSYSTEM),
        Attributes::default(),
    )
}

fn message(kind: u16, flags: u16, attributes: Attributes) -> Message {
    Message::new(kind, flags | ACK, &header(FAMILY_INET, 0), attributes)
}

fn chain(name: &str, kind: &str, hook: u32, priority: i32, policy: u32) -> Message {
    let place = Attributes::default().be32(1, hook).be32(2, priority as u32);
    let attributes = Attributes::default()
        .text(1, TABLE)
        .text(3, name)
        .nest(4, place)
        .be32(5, policy)
        .text(7, kind);
    message(NEW_CHAIN, CREATE, attributes)
}

fn rule(chain: &str, expressions: Expressions) -> Message {
    let attributes = Attributes::default()
        .text(1, TABLE)
        .text(2, chain)
        .nest(4, expressions.0);
    message(NEW_RULE, CREATE | APPEND, attributes)
}

/// A rule's expressions, evaluated in order until one does not match.
struct Expressions(Attributes);

impl Expressions {
    fn one(name: &str, data: Attributes) -> Expressions {
        Expressions(Attributes::default()).and(name, data)
    }

    fn and(self, name: &str, data: Attributes) -> Expressions {
        let element = Attributes::default().text(1, name).nest(2, data);
        Expressions(self.0.nest(1, element))
    }

    fn then(self, next: Expressions) -> Expressions {
        Expressions(self.0.chain(next.0))
    }

    fn compare(self, operator: u32, value: &[u8]) -> Expressions {
        let data = Attributes::default()
            .be32(1, REGISTER)
            .be32(2, operator)
            .nest(3, Attributes::default().bytes(1, value));
        self.and("cmp", data)
    }

    fn equals(self, value: &[u8]) -> Expressions {
        self.compare(COMPARE_EQUAL, value)
    }

    fn payload(self, base: u32, offset: u32, length: u32) -> Expressions {
        let data = Attributes::default()
            .be32(1, REGISTER)
            .be32(2, base)
            .be32(3, offset)
            .be32(4, length);
        self.and("payload", data)
    }
}

fn meta(key: u32) -> Expressions {
    Expressions::one("meta", Attributes::default().be32(1, REGISTER).be32(2, key))
}

fn protocol(number: u8) -> Expressions {
    meta(META_L4_PROTOCOL).equals(&[number])
}

fn to_port(port: u16) -> Expressions {
    // The destination port is at offset 2 of a TCP and of a UDP header.
    Expressions(Attributes::default())
        .payload(TRANSPORT_HEADER, 2, 2)
        .equals(&port.to_be_bytes())
}

fn to_loopback_v4() -> Expressions {
    // The destination address is at offset 16 of an IPv4 header; its first byte decides.
    meta(META_FAMILY)
        .equals(&[IPV4])
        .payload(NETWORK_HEADER, 16, 1)
        .equals(&[127])
}

fn to_loopback_v6() -> Expressions {
    // The destination address is at offset 24 of an IPv6 header.
    let loopback = Ipv6Addr::LOCALHOST.octets();
    meta(META_FAMILY)
        .equals(&[IPV6])
        .payload(NETWORK_HEADER, 24, 16)
        .equals(&loopback)
}

fn known_connection() -> Expressions {
    let value = |word: u32| Attributes::default().ne32(1, word);
    let mask = Attributes::default()
        .be32(1, REGISTER)
        .be32(2, REGISTER)
        .be32(3, size_of::<u32>() as u32)
        .nest(4, value(KNOWN_CONNECTION))
        .nest(5, value(0));
    Expressions::one(
        "ct",
        Attributes::default()
            .be32(1, REGISTER)
            .be32(2, TRACKED_STATE),
    )
    .and("bitwise", mask)
    .compare(COMPARE_NOT_EQUAL, &0_u32.to_ne_bytes())
}

fn verdict(code: u32) -> Expressions {
    let verdict = Attributes::default().nest(2, Attributes::default().be32(1, code));
    Expressions::one(
        "immediate",
        Attributes::default()
            .be32(1, REGISTER_VERDICT)
            .nest(2, verdict),
    )
}

fn redirect_to(port: u16) -> Expressions {
    let value = Attributes::default().bytes(1, &port.to_be_bytes());
    let target = Attributes::default()
        .be32(1, REGISTER)
        .be32(3, REDIRECT_PORT_GIVEN);
    Expressions::one(
        "immediate",
        Attributes::default().be32(1, REGISTER).nest(2, value),
    )
    .and("redir", target)
}

fn reject(kind: u32) -> Expressions {
    let data = Attributes::default()
        .be32(1, kind)
        .bytes(2, &[PORT_UNREACHABLE]);
    Expressions::one("reject", data)
}
