//! Attempts to reach an address without leave.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::{Plan, Probe, Seen, blocked, not_tested, passed, stopped};
use crate::client::{self, Request};

/// How long an attempt waits for an answer. A drop that fails fast never needs it.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// An address for documentation (RFC 5737) stands for every public one: an attempt that did get
/// out would bother nobody.
const PUBLIC_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The same for IPv6 (RFC 3849).
const PUBLIC_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
const LOOPBACK_V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOOPBACK_V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Synthetic addresses that the bottle's resolver hands out (RFC 2544's benchmarking block).
const SYNTHETIC_V4: [u8; 2] = [198, 18];

pub(super) fn probes() -> Vec<Probe> {
    let all = PROBES.iter();
    all.map(|(id, title, attempt)| stopped(id, title, *attempt))
        .collect()
}

/// An attempt's name, what it tries, and how.
type Attempt = (&'static str, &'static str, fn(&Plan, &str) -> Seen);

const PROBES: [Attempt; 16] = [
    (
        "tcp-public-v4",
        "TCP straight to a public address, IPv4",
        |_, id| tcp((PUBLIC_V4, 443).into(), id),
    ),
    (
        "tcp-public-v6",
        "TCP straight to a public address, IPv6",
        |_, id| tcp((PUBLIC_V6, 443).into(), id),
    ),
    (
        "tcp-private-v4",
        "TCP to the host's own address, IPv4",
        |plan, id| at(plan.host_v4, plan, id, tcp),
    ),
    (
        "tcp-private-v6",
        "TCP to the host's own address, IPv6",
        |plan, id| at(plan.host_v6, plan, id, tcp),
    ),
    (
        "tcp-loopback-v4",
        "TCP to the host's loopback, IPv4",
        |plan, id| tcp((LOOPBACK_V4, plan.canary_port).into(), id),
    ),
    (
        "tcp-loopback-v6",
        "TCP to the host's loopback, IPv6",
        |plan, id| tcp((LOOPBACK_V6, plan.canary_port).into(), id),
    ),
    (
        "tcp-host-internal",
        "TCP to host.internal, not listed",
        host_internal,
    ),
    (
        "udp-public-v4",
        "UDP to a public address, IPv4 (QUIC's port)",
        |_, id| udp((PUBLIC_V4, 443).into(), id),
    ),
    (
        "udp-public-v6",
        "UDP to a public address, IPv6 (QUIC's port)",
        |_, id| udp((PUBLIC_V6, 443).into(), id),
    ),
    (
        "udp-private-v4",
        "UDP to the host's own address, IPv4",
        |plan, id| at(plan.host_v4, plan, id, udp),
    ),
    (
        "udp-private-v6",
        "UDP to the host's own address, IPv6",
        |plan, id| at(plan.host_v6, plan, id, udp),
    ),
    (
        "udp-loopback-v4",
        "UDP to the host's loopback, IPv4",
        |plan, id| udp((LOOPBACK_V4, plan.canary_port).into(), id),
    ),
    (
        "udp-loopback-v6",
        "UDP to the host's loopback, IPv6",
        |plan, id| udp((LOOPBACK_V6, plan.canary_port).into(), id),
    ),
    (
        "dns-other-resolver",
        "DNS to a resolver of one's own choice",
        other_resolver,
    ),
    ("metadata-v4", "cloud metadata address, IPv4", |_, _| {
        metadata("http://169.254.169.254/latest/meta-data/")
    }),
    ("metadata-v6", "cloud metadata address, IPv6", |_, _| {
        metadata("http://[fd00:ec2::254]/latest/meta-data/")
    }),
];

fn at<A: Into<IpAddr>>(
    host: Option<A>,
    plan: &Plan,
    id: &str,
    attempt: fn(SocketAddr, &str) -> Seen,
) -> Seen {
    match host {
        Some(address) => attempt((address, plan.canary_port).into(), id),
        None => not_tested("this machine has no such address"),
    }
}

fn tcp(to: SocketAddr, id: &str) -> Seen {
    match TcpStream::connect_timeout(&to, ANSWER_WAIT) {
        Err(error) => blocked(error),
        Ok(stream) => converse(stream, id),
    }
}

/// A connection inside a bottle always opens, at the gate. What counts is whether anything but
/// the gate answers. Canaries read the first line.
fn converse(mut stream: TcpStream, id: &str) -> Seen {
    let mut answer = [0; 512];
    let exchange = stream
        .set_read_timeout(Some(ANSWER_WAIT))
        .and_then(|()| stream.write_all(format!("{id}\n").as_bytes()))
        .and_then(|()| stream.read(&mut answer));
    match exchange {
        Ok(0) => blocked("closed without an answer"),
        Ok(length) if is_refusal(&answer[..length]) => blocked("refused by the gate"),
        Ok(length) => passed(format_args!("{length} bytes came back")),
        Err(error) if is_timeout(&error) => blocked("no answer"),
        Err(error) => blocked(error),
    }
}

fn is_refusal(answer: &[u8]) -> bool {
    let text = String::from_utf8_lossy(answer).to_ascii_lowercase();
    text.starts_with("http/1.1 4") && text.contains("\r\ncarboy-decision:")
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

fn host_internal(plan: &Plan, id: &str) -> Seen {
    match ("host.internal", plan.canary_port)
        .to_socket_addrs()
        .map(|mut all| all.next())
    {
        Ok(Some(address)) => tcp(address, id),
        Ok(None) => blocked("no address"),
        Err(error) => blocked(error),
    }
}

fn udp(to: SocketAddr, id: &str) -> Seen {
    match datagram(to, id.as_bytes()) {
        Ok(answer) => passed(format_args!("{} bytes came back", answer.len())),
        Err(error) if is_timeout(&error) => blocked("no answer"),
        Err(error) => blocked(error),
    }
}

fn datagram(to: SocketAddr, content: &[u8]) -> io::Result<Vec<u8>> {
    let any: IpAddr = if to.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(ANSWER_WAIT))?;
    // A connected socket is told when nothing listens there.
    socket.connect(to)?;
    socket.send(content)?;
    let mut answer = vec![0; 1500];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

/// The bottle's own resolver answers whatever address is asked; any other answer came from
/// outside.
fn other_resolver(plan: &Plan, _: &str) -> Seen {
    let question = question(&format!("resolver.{}", plan.zone));
    match datagram((PUBLIC_V4, 53).into(), &question) {
        Ok(answer) if answer.windows(2).any(|pair| pair == SYNTHETIC_V4) => {
            blocked("answered by the bottle's own resolver")
        }
        Ok(answer) if answer.get(3).is_some_and(|code| code & 0x0f != 0) => {
            blocked("refused by the bottle's own resolver")
        }
        Ok(_) => passed("another resolver answered"),
        Err(error) if is_timeout(&error) => blocked("no answer"),
        Err(error) => blocked(error),
    }
}

/// An A question (RFC 1035, section 4.1).
fn question(name: &str) -> Vec<u8> {
    let mut message = vec![0x5e, 0x1f, 0x01, 0x00, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("the zone's labels are short"));
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, 1, 0, 1]);
    message
}

fn metadata(url: &str) -> Seen {
    match client::send(Request {
        method: "GET",
        url,
        ..Request::default()
    }) {
        Ok(answer) if answer.header("carboy-decision").is_some() => {
            blocked(format_args!("refused by the gate: {}", answer.status))
        }
        Ok(answer) => passed(format_args!("status {}", answer.status)),
        Err(error) => blocked(format_args!("{error:#}")),
    }
}
