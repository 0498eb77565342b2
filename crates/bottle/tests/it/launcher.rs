//! The launcher that each test starts: a bottle whose gate answers with what it was asked for.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::thread;

use carboy_bottle::{HostFacts, Sockets, Spec, Workspace, WorkspaceMode};

/// Runs a bottle: `[--overlay | --none] [--state DIR] [--show PATH] [--plan] -- COMMAND...`.
pub(crate) fn main(arguments: &[String]) -> u8 {
    let mut spec = spec();
    let mut print = false;
    let mut gate = true;
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--overlay" => spec.workspace.mode = WorkspaceMode::Overlay,
            "--none" => spec.workspace.mode = WorkspaceMode::None,
            "--best-effort" => spec.best_effort = true,
            "--named" => spec.workspace.named = true,
            "--state" => spec.state_dir = words.next().expect("a directory").into(),
            "--show" => spec.read_only.push(words.next().expect("a path").into()),
            "--no-gate" => gate = false,
            "--plan" => print = true,
            "--" => spec.command = words.by_ref().map(OsString::from).collect(),
            other => panic!("what is {other}?"),
        }
    }
    match run(&spec, print, gate) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

fn spec() -> Spec {
    let host: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
    Spec {
        name: "test".into(),
        command: Vec::new(),
        workspace: Workspace {
            mode: WorkspaceMode::Bind,
            dir: std::env::current_dir().expect("a directory"),
            named: false,
        },
        env: carboy_bottle::environment(&host, &[]).expect("an environment"),
        ca_certificate_pem: CERTIFICATE.into(),
        state_dir: PathBuf::from("/nonexistent/carboy"),
        read_only: Vec::new(),
        read_write: Vec::new(),
        best_effort: false,
    }
}

fn run(spec: &Spec, print: bool, gate: bool) -> Result<u8, carboy_bottle::Error> {
    let env = std::env::vars_os().collect();
    let plan = carboy_bottle::plan(spec, &HostFacts::gather(&env)?)?;
    if print {
        println!("{plan}");
        return Ok(0);
    }
    let outcome = carboy_bottle::launch(plan, if gate { serve } else { refuse })?;
    if let Some(upper) = outcome.workspace_upper {
        eprintln!("upper: {}", upper.display());
    }
    for loss in outcome.lost {
        eprintln!("lost: {}", loss.layer);
    }
    Ok(outcome.exit.code())
}

/// Answers every connection and query with where it was going.
fn serve(sockets: Sockets) -> Result<(), std::io::Error> {
    for listener in sockets.tcp {
        thread::spawn(move || accept(&listener, "tcp"));
    }
    for listener in sockets.dns_tcp {
        thread::spawn(move || accept(&listener, "dns"));
    }
    for socket in sockets.dns_udp {
        thread::spawn(move || answer(&socket));
    }
    Ok(())
}

/// A gate that dies at once.
fn refuse(sockets: Sockets) -> Result<(), std::io::Error> {
    drop(sockets);
    Ok(())
}

fn accept(listener: &TcpListener, kind: &'static str) {
    for connection in listener.incoming().flatten() {
        thread::spawn(move || tell(connection, kind));
    }
}

fn tell(mut connection: TcpStream, kind: &str) {
    let original = carboy_bottle::original_destination(connection.as_fd());
    let line = match original {
        Ok(Some(address)) => format!("{kind} {address}\n"),
        Ok(None) => format!("{kind} itself\n"),
        Err(cause) => format!("{kind} error {cause}\n"),
    };
    connection.write_all(line.as_bytes()).ok();
    // The client may send; what it sends is read so that closing is clean.
    connection.shutdown(std::net::Shutdown::Write).ok();
    connection.read_to_end(&mut Vec::new()).ok();
}

fn answer(socket: &UdpSocket) {
    let mut query = [0; 512];
    while let Ok((length, from)) = socket.recv_from(&mut query) {
        let mut reply = b"answer:".to_vec();
        reply.extend_from_slice(&query[..length]);
        socket.send_to(&reply, from).ok();
    }
}

/// A certificate that nobody has the key of.
const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUfMI0rfZ/6ofKFVnkpwtLHUkzixgwCgYIKoZIzj0EAwIw
IjEgMB4GA1UEAwwXQ2FyYm95IHRlc3QgY2VydGlmaWNhdGUwIBcNMjYxMTIyMjA0
ODM5WhgPMjEyNjEwMjkyMDQ4MzlaMCIxIDAeBgNVBAMMF0NhcmJveSB0ZXN0IGNl
cnRpZmljYXRlMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE6lyZDZ2XB6yc1gz5
89M8xHuIcWbPvMcq1lGt+fRbN9MjvFIBz+7XbVpW6SAIOwL4K+vt3+CPHDU4ysWv
mQJzDKNTMFEwHQYDVR0OBBYEFIhLLRF12ksdP3OX6CVz6w2TK2TkMB8GA1UdIwQY
MBaAFIhLLRF12ksdP3OX6CVz6w2TK2TkMA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZI
zj0EAwIDSQAwRgIhAMLCPD5j6+ZUoWw6ym7d5FyH/Jf2w3wMcquKY6Xg2UOpAiEA
xwzy/L0fO+04EwQnTxorbJqRfOfWdoOVQq3gsouwze4=
-----END CERTIFICATE-----
";
