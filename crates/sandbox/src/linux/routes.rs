//! The bottle's own loopback, and routes that make every address in the world local to it.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};

use rustix::net::AddressFamily;

use super::netlink::{ACK, Attributes, CREATE, EXCLUSIVE, Message, Netlink};
use crate::{Error, Layer};

// `linux/rtnetlink.h`, `linux/if_addr.h`.
const NEW_LINK: u16 = 16;
const NEW_ADDRESS: u16 = 20;
const NEW_ROUTE: u16 = 24;
const LINK_UP: u32 = 1;
const ADDRESS_LOCAL: u16 = 2;
const ADDRESS_ADDRESS: u16 = 1;
const ADDRESS_NO_DAD: u8 = 0x02;
const ROUTE_OUT_INTERFACE: u16 = 4;
const TABLE_LOCAL: u8 = 255;
const PROTOCOL_STATIC: u8 = 4;
const SCOPE_HOST: u8 = 254;
const KIND_LOCAL: u8 = 2;

/// The loopback interface is always the first of a new network namespace.
const LOOPBACK: u32 = 1;

/// An address that is not loopback, so that a resolver that asks for the families of the
/// configured addresses (`AI_ADDRCONFIG`) sees both. From TEST-NET-1, RFC 5737.
const OWN_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The same for IPv6: from the unique local range, RFC 4193.
const OWN_V6: Ipv6Addr = Ipv6Addr::new(0xfdca, 0xb0c4, 0, 0, 0, 0, 0, 1);

/// Whether the kernel has IPv6 at all; where it has none, nothing can leave by it.
pub(super) fn has_v6() -> bool {
    rustix::net::socket(AddressFamily::INET6, rustix::net::SocketType::DGRAM, None).is_ok()
}

/// Brings loopback up and routes every address to it.
pub(super) fn set_up(v6: bool) -> Result<(), Error> {
    let netlink = Netlink::open(None).map_err(|cause| failed("open a route socket", &cause))?;
    let mut steps = vec![
        ("bring loopback up", link_up()),
        (
            "add an IPv4 address",
            address(AddressFamily::INET, &OWN_V4.octets()),
        ),
        ("route IPv4 to loopback", local_default(AddressFamily::INET)),
    ];
    if v6 {
        steps.push((
            "add an IPv6 address",
            address(AddressFamily::INET6, &OWN_V6.octets()),
        ));
        steps.push((
            "route IPv6 to loopback",
            local_default(AddressFamily::INET6),
        ));
    }
    for (step, message) in steps {
        netlink
            .ask(&[message])
            .map_err(|(_, cause)| failed(step, &cause))?;
    }
    Ok(())
}

fn failed(step: &str, cause: &io::Error) -> Error {
    Error::os(Layer::Routes, step, cause)
}

fn link_up() -> Message {
    // struct ifinfomsg: family, padding, type, index, flags, change mask.
    let mut header = vec![0; 4];
    header.extend_from_slice(&LOOPBACK.to_ne_bytes());
    header.extend_from_slice(&LINK_UP.to_ne_bytes());
    header.extend_from_slice(&LINK_UP.to_ne_bytes());
    Message::new(NEW_LINK, ACK, &header, Attributes::default())
}

fn address(family: AddressFamily, octets: &[u8]) -> Message {
    // struct ifaddrmsg: family, prefix length, flags, scope, index.
    let prefix = (octets.len() * 8) as u8;
    let mut header = vec![family.as_raw() as u8, prefix, ADDRESS_NO_DAD, 0];
    header.extend_from_slice(&LOOPBACK.to_ne_bytes());
    let attributes = Attributes::default()
        .bytes(ADDRESS_LOCAL, octets)
        .bytes(ADDRESS_ADDRESS, octets);
    Message::new(NEW_ADDRESS, ACK | CREATE | EXCLUSIVE, &header, attributes)
}

fn local_default(family: AddressFamily) -> Message {
    // struct rtmsg: family, destination and source length, tos, table, protocol, scope, type,
    // flags.
    let family = family.as_raw() as u8;
    let mut header = vec![
        family,
        0,
        0,
        0,
        TABLE_LOCAL,
        PROTOCOL_STATIC,
        SCOPE_HOST,
        KIND_LOCAL,
    ];
    header.extend_from_slice(&[0; 4]);
    let attributes = Attributes::default().ne32(ROUTE_OUT_INTERFACE, LOOPBACK);
    Message::new(NEW_ROUTE, ACK | CREATE | EXCLUSIVE, &header, attributes)
}
