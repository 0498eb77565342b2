//! The program inside: each probe tries one thing and prints what came of it.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType};

/// Long enough for a busy machine; a probe that fails fast is far below.
const PATIENCE: Duration = Duration::from_secs(5);

/// What "at once" means for a refusal, on a busy machine: well before any retry.
const AT_ONCE: Duration = Duration::from_secs(2);

pub(crate) fn main(arguments: &[String]) {
    for argument in arguments {
        let (name, target) = argument.split_once('=').unwrap_or((argument, ""));
        let outcome = match name {
            "loopback" => loopback(target),
            "tcp" => tcp(target),
            "udp" => udp(target),
            "refused" => refused(target),
            "socket" => socket(target),
            "connections" => connections(target),
            other => panic!("what is {other}?"),
        };
        match outcome {
            Ok(line) => println!("{argument}: {}", line.trim_end()),
            Err(cause) => println!("{argument}: error {cause}"),
        }
    }
}

/// A server of the bottle's own, on loopback.
fn loopback(address: &str) -> io::Result<String> {
    let listener = TcpListener::bind(address)?;
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"own")?;
    drop(client);
    let mut text = String::new();
    server.read_to_string(&mut text)?;
    Ok(text)
}

fn tcp(address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().expect("an address");
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(format!("{text} from {}", stream.peer_addr()?))
}

/// A connected socket, which takes only answers that come from where the question went.
fn udp(address: &str) -> io::Result<String> {
    let address: SocketAddr = address.parse().expect("an address");
    let any = if address.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(address)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.send(b"question")?;
    let mut answer = [0; 512];
    let length = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

fn refused(address: &str) -> io::Result<String> {
    let start = Instant::now();
    let outcome = udp(address);
    let speed = if start.elapsed() < AT_ONCE {
        "at once"
    } else {
        "late"
    };
    match outcome {
        // As where nothing listens: clients of UDP know this error, and fall back.
        Err(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => Ok(speed.into()),
        Err(cause) => Ok(format!("{speed} {cause}")),
        Ok(answer) => Ok(format!("answered {answer}")),
    }
}

fn socket(kind: &str) -> io::Result<String> {
    let number = |n: u32| Protocol::from_raw(std::num::NonZeroU32::new(n).expect("not zero"));
    let (family, kind, protocol) = match kind {
        "raw" => (AddressFamily::INET, SocketType::RAW, Some(number(1))),
        "raw6" => (AddressFamily::INET6, SocketType::RAW, Some(number(58))),
        "ping" => (AddressFamily::INET, SocketType::DGRAM, Some(number(1))),
        "packet" => (AddressFamily::PACKET, SocketType::RAW, None),
        "vsock" => (AddressFamily::from_raw(40), SocketType::STREAM, None),
        "alg" => (AddressFamily::from_raw(38), SocketType::SEQPACKET, None),
        "netfilter" => (AddressFamily::NETLINK, SocketType::RAW, Some(number(12))),
        "route" => (AddressFamily::NETLINK, SocketType::RAW, None),
        "unix" => (AddressFamily::UNIX, SocketType::STREAM, None),
        other => panic!("what is {other}?"),
    };
    rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, protocol)?;
    Ok("open".into())
}

/// Many connections at once.
fn connections(count: &str) -> io::Result<String> {
    let count: usize = count.parse().expect("a number");
    let threads: Vec<_> = (0..count)
        .map(|index| std::thread::spawn(move || tcp(&format!("198.51.100.7:{}", 1000 + index))))
        .collect();
    let mut right = 0;
    for (index, thread) in threads.into_iter().enumerate() {
        let text = thread.join().expect("no panic")?;
        right += usize::from(text.starts_with(&format!("tcp 198.51.100.7:{}\n", 1000 + index)));
    }
    Ok(right.to_string())
}
