//! Listeners on the host that nothing in a bottle may reach.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

/// A connection that says nothing is counted after this long.
const FIRST_LINE_WAIT: Duration = Duration::from_secs(1);
/// Tries at finding a port that is free for TCP and UDP, on both families.
const PORT_TRIES: usize = 16;
/// What a canary answers, so that an escape is seen inside too.
const SONG: &[u8] = b"canary\n";

/// The open canaries: TCP and UDP on one port of every address, IPv4 and IPv6, and two Unix
/// sockets.
pub(super) struct Canaries {
    port: u16,
    unix_path: PathBuf,
    unix_abstract: String,
    touched: Touched,
}

type Touched = Arc<Mutex<Vec<String>>>;

impl Canaries {
    /// Opens them; the path socket goes into `dir`.
    pub(super) fn open(dir: &Path) -> Result<Self> {
        let touched = Touched::default();
        let port = open_port(&touched)?;
        let unix_path = dir.join("canary.sock");
        let unix_abstract = format!("carboy-selftest-{}-{port}", std::process::id());
        let by_path = UnixListener::bind(&unix_path).context("cannot open a Unix socket")?;
        let by_name = UnixAddr::from_abstract_name(&unix_abstract)
            .and_then(|address| UnixListener::bind_addr(&address))
            .context("cannot open an abstract Unix socket")?;
        listen_unix(by_path, "unix-path", &touched);
        listen_unix(by_name, "unix-abstract", &touched);
        Ok(Self {
            port,
            unix_path,
            unix_abstract,
            touched,
        })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn unix_path(&self) -> &Path {
        &self.unix_path
    }

    pub(super) fn unix_abstract(&self) -> &str {
        &self.unix_abstract
    }

    /// Every touch so far, by the probe's name where the toucher gave one.
    pub(super) fn touched(&self) -> Vec<String> {
        self.touched.lock().expect("no canary panics").clone()
    }
}

fn open_port(touched: &Touched) -> Result<u16> {
    let mut last = None;
    for _ in 0..PORT_TRIES {
        match try_port(touched) {
            Ok(port) => return Ok(port),
            Err(error) => last = Some(error),
        }
    }
    Err(last.expect("at least one try was made")).context("cannot open a port on every address")
}

/// A dual-stack socket listens on every address of both families, unless the system says that
/// IPv6 sockets are for IPv6 only; then IPv4 gets its own.
fn try_port(touched: &Touched) -> std::io::Result<u16> {
    let tcp = TcpListener::bind((Ipv6Addr::UNSPECIFIED, 0))
        .or_else(|_| TcpListener::bind(("0.0.0.0", 0)))?;
    let address = tcp.local_addr()?;
    let udp = UdpSocket::bind(address)?;
    if address.is_ipv6() {
        let v4 = SocketAddr::from(([0, 0, 0, 0], address.port()));
        if let Ok(tcp) = TcpListener::bind(v4) {
            listen_tcp(tcp, touched);
        }
        if let Ok(udp) = UdpSocket::bind(v4) {
            listen_udp(udp, touched);
        }
    }
    listen_tcp(tcp, touched);
    listen_udp(udp, touched);
    Ok(address.port())
}

fn listen_tcp(listener: TcpListener, touched: &Touched) {
    let touched = Arc::clone(touched);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let touched = Arc::clone(&touched);
            thread::spawn(move || {
                let mut name = String::new();
                let _ = stream.set_read_timeout(Some(FIRST_LINE_WAIT));
                let _ = BufReader::new(&stream).read_line(&mut name);
                note(&touched, &name, "an unnamed TCP connection");
                let _ = (&stream).write_all(SONG);
            });
        }
    });
}

#[expect(
    clippy::disallowed_methods,
    reason = "a canary answers whoever reached it"
)]
fn listen_udp(socket: UdpSocket, touched: &Touched) {
    let touched = Arc::clone(touched);
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let name = String::from_utf8_lossy(&buffer[..length]);
            note(&touched, &name, "an unnamed datagram");
            let _ = socket.send_to(SONG, from);
        }
    });
}

fn listen_unix(listener: UnixListener, name: &'static str, touched: &Touched) {
    let touched = Arc::clone(touched);
    thread::spawn(move || {
        for _ in listener.incoming().flatten() {
            note(&touched, name, name);
        }
    });
}

fn note(touched: &Touched, name: &str, otherwise: &str) {
    let name = match name.trim() {
        "" => otherwise,
        name => name,
    };
    touched
        .lock()
        .expect("no canary panics")
        .push(name.to_owned());
}
