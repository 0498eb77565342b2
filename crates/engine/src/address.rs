//! What an IP address is good for.
//!
//! The classes are those of the IANA special-purpose address registries (RFC 6890 and its updates),
//! with the addresses of cloud metadata services set apart. An address that embeds another
//! (v4-mapped, NAT64, 6to4 and the like) is of the class of the one inside, where that is special.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The class of an address, as far as letting a bottle reach it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AddressClass {
    /// Globally reachable.
    Public,
    /// RFC 1918 networks, IPv6 unique local and site-local addresses.
    Private,
    /// The machine itself.
    Loopback,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// A cloud's instance metadata or credential service. No policy can allow it.
    Metadata,
    /// 100.64.0.0/10, a provider's own side of its address translation (RFC 6598).
    SharedNat,
    /// 0.0.0.0/8 and ::, which many systems read as the machine itself.
    Unspecified,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// Set aside for documentation or benchmarks.
    Documentation,
    /// Set aside by the IETF, or not given out.
    Reserved,
    /// A transition form (NAT64, 6to4, Teredo) whose far end no one can vouch for.
    Transition,
}

impl AddressClass {
    /// The class of `addr`.
    pub fn of(addr: IpAddr) -> Self {
        match addr {
            IpAddr::V4(addr) => of_v4(addr),
            IpAddr::V6(addr) => of_v6(addr),
        }
    }

    /// The stable name that refusals use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Metadata => "cloud metadata",
            Self::SharedNat => "carrier-grade NAT",
            Self::Unspecified => "unspecified",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::Transition => "transition",
        }
    }

    /// Whether a policy's `egress.private` may let a bottle reach it.
    pub(crate) fn is_permissible(self) -> bool {
        match self {
            Self::Public
            | Self::Private
            | Self::Loopback
            | Self::LinkLocal
            | Self::SharedNat
            | Self::Documentation
            | Self::Reserved
            | Self::Transition => true,
            Self::Metadata | Self::Unspecified | Self::Multicast | Self::Broadcast => false,
        }
    }
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Instance metadata and credential services: AWS, Azure, Google, Oracle, DigitalOcean
/// (169.254.169.254), AWS containers (169.254.170.2 and .23), AWS DNS and time beside it, Alibaba
/// (100.100.100.200), Azure's wire server (168.63.129.16), Oracle (192.0.0.192), Tencent
/// (169.254.0.23).
const METADATA_V4: [Ipv4Addr; 9] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 169, 253),
    Ipv4Addr::new(169, 254, 169, 123),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(169, 254, 170, 23),
    Ipv4Addr::new(169, 254, 0, 23),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(168, 63, 129, 16),
    Ipv4Addr::new(192, 0, 0, 192),
];

/// AWS instance metadata, containers, DNS and time (fd00:ec2::/32 as AWS uses it), and Google's
/// (fd20:ce::254).
const METADATA_V6: [Ipv6Addr; 5] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x253),
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x123),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

fn of_v4(addr: Ipv4Addr) -> AddressClass {
    if METADATA_V4.contains(&addr) {
        return AddressClass::Metadata;
    }
    match addr.octets() {
        [0, ..] => AddressClass::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => AddressClass::Private,
        [100, 64..=127, ..] => AddressClass::SharedNat,
        [127, ..] => AddressClass::Loopback,
        [169, 254, ..] => AddressClass::LinkLocal,
        // AS112, AMT anycast and the old 6to4 relay anycast are no one's server; 192.0.0/24 is the IETF's own.
        [192, 0, 0, _] | [192, 31, 196, _] | [192, 52, 193, _] => AddressClass::Reserved,
        [192, 88, 99, _] | [192, 175, 48, _] => AddressClass::Reserved,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            AddressClass::Documentation
        }
        [224..=239, ..] => AddressClass::Multicast,
        [255, 255, 255, 255] => AddressClass::Broadcast,
        [240..=255, ..] => AddressClass::Reserved,
        _ => AddressClass::Public,
    }
}

fn of_v6(addr: Ipv6Addr) -> AddressClass {
    if METADATA_V6.contains(&addr) {
        return AddressClass::Metadata;
    }
    match addr.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => AddressClass::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => AddressClass::Loopback,
        // v4-mapped (::ffff:0:0/96): the socket layer treats it as the IPv4 address inside.
        [0, 0, 0, 0, 0, 0xffff, high, low] => of_v4(embedded(high, low)),
        // v4-compatible (::/96) and IPv4-translated (::ffff:0:0:0/96), both given up.
        [0, 0, 0, 0, 0, 0, high, low] => transition(embedded(high, low)),
        [0, 0, 0, 0, 0xffff, 0, high, low] => transition(embedded(high, low)),
        // NAT64, well-known prefix (RFC 6052): a gateway would dial the address inside.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => transition(embedded(high, low)),
        // NAT64, local-use prefix (RFC 8215): the prefix length inside is the site's own.
        [0x64, 0xff9b, 1, _, _, _, high, low] => transition(embedded(high, low)),
        [0x100, 0, 0, 0 | 1, ..] => AddressClass::Reserved,
        // Teredo (RFC 4380): the client's address stands inverted in the last 32 bits.
        [0x2001, 0, .., high, low] => transition(embedded(!high, !low)),
        [0x2001, 2, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => {
            AddressClass::Documentation
        }
        // The rest of 2001::/23, the IETF's own: ORCHID, drone remote ID and others.
        [0x2001, 0..=0x1ff, ..] => AddressClass::Reserved,
        // 6to4 (RFC 3056).
        [0x2002, high, low, ..] => transition(embedded(high, low)),
        // ISATAP (RFC 5214): the identifier 0:5efe or 200:5efe and an IPv4 address.
        [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => transition(embedded(high, low)),
        [0x5f00, ..] => AddressClass::Reserved,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => AddressClass::Private,
        [0xfe80..=0xfebf, ..] => AddressClass::LinkLocal,
        [0xff00..=0xffff, ..] => AddressClass::Multicast,
        [0x2000..=0x3fff, ..] => AddressClass::Public,
        // Outside 2000::/3 nothing has been given out for global unicast.
        _ => AddressClass::Reserved,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

/// A transition form is of the class of a special address inside it. With a public one inside it is
/// still no ordinary address: the gateway it names may be anyone's.
fn transition(inside: Ipv4Addr) -> AddressClass {
    match of_v4(inside) {
        AddressClass::Public => AddressClass::Transition,
        special => special,
    }
}
