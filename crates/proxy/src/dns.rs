//! The DNS adapter: every question is a crossing, and none is ever passed on.
//!
//! An allowed name is answered with its synthetic addresses, a refused one with "no such name",
//! which clients report at once, where other errors make them ask again. Names under `localhost` mean
//! the asker's own machine; they are answered here and are no crossing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use carboy_engine::{Crossing, CrossingKind, Fault, Host, Scheme, Surface, SurfaceKind, Target};
use carboy_wire::dns::{self, QUESTION_MAX, Question, QuestionKind, Rcode, Received};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::gate::{Gate, Pass, Refused};

/// The DNS connections open at once. Clients use TCP for what UDP cuts, which nothing here is.
const TCP_CLIENTS_MAX: usize = 64;

/// How long a DNS connection may be idle (RFC 7766, section 6.2.3: a few seconds).
const TCP_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed accept: with no descriptors left, trying at once would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The port of DNS, which a question's target has.
const PORT: u16 = 53;

/// Answers questions that come by UDP until the gate stops. They are judged one after the other: none
/// waits for anything outside, so the socket's own buffer is the queue.
///
/// # Errors
/// When the socket fails for good.
pub async fn serve_dns_udp(gate: Arc<Gate>, socket: UdpSocket) -> io::Result<()> {
    let mut message = vec![0; QUESTION_MAX];
    let mut stopping = std::pin::pin!(gate.stopping());
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut message) => received,
            () = &mut stopping => return Ok(()),
        };
        let (length, client) = match received {
            Ok(received) => received,
            Err(error) if is_passing(&error) => continue,
            Err(error) => return Err(error),
        };
        if let Some(answer) = answer(&gate, &message[..length]) {
            reply(&socket, &answer, client).await;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "an answer, to who asked")]
async fn reply(socket: &UdpSocket, answer: &[u8], client: SocketAddr) {
    // The client may be gone; the others are not.
    if let Err(error) = socket.send_to(answer, client).await {
        tracing::debug!(%error, "a DNS answer could not be sent");
    }
}

/// A former client's ICMP error, which is not the socket's own.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

/// Answers questions that come by TCP until the gate stops.
pub async fn serve_dns_tcp(gate: Arc<Gate>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(TCP_CLIENTS_MAX));
    let mut clients = JoinSet::new();
    let mut stopping = std::pin::pin!(gate.stopping());
    loop {
        let place = Arc::clone(&room)
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stopping => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let gate = Arc::clone(&gate);
                clients.spawn(async move {
                    let ended = serve_client(&gate, stream).await;
                    drop(place);
                    ended
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a DNS connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
        while clients.try_join_next().is_some() {}
    }
}

/// Answers one connection's questions in order. Each message follows its length in two bytes
/// (RFC 1035, section 4.2.2).
async fn serve_client(gate: &Arc<Gate>, mut stream: TcpStream) -> io::Result<()> {
    let mut message = vec![0; QUESTION_MAX];
    loop {
        let Ok(length) = timeout(TCP_IDLE_TIMEOUT, stream.read_u16()).await else {
            return Ok(());
        };
        let length = usize::from(length?);
        let Some(question) = message.get_mut(..length) else {
            return Ok(());
        };
        let Ok(read) = timeout(TCP_IDLE_TIMEOUT, stream.read_exact(question)).await else {
            return Ok(());
        };
        read?;
        if let Some(answer) = answer(gate, question) {
            let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
            let framed = [&length.to_be_bytes()[..], &answer].concat();
            match timeout(TCP_IDLE_TIMEOUT, stream.write_all(&framed)).await {
                Ok(written) => written?,
                Err(_) => return Ok(()),
            }
        }
    }
}

/// What a message is answered with, if with anything.
fn answer(gate: &Arc<Gate>, message: &[u8]) -> Option<Vec<u8>> {
    match dns::read(message) {
        Received::Ignore => None,
        Received::Reject(answer) => Some(answer),
        Received::Question(question) if question.is_localhost() => Some(loopback(&question)),
        Received::Question(question) => Some(judge(gate, &question)),
    }
}

fn loopback(question: &Question) -> Vec<u8> {
    match question.kind() {
        QuestionKind::A => question.answer_address(Ipv4Addr::LOCALHOST.into()),
        QuestionKind::Aaaa => question.answer_address(Ipv6Addr::LOCALHOST.into()),
        QuestionKind::ServiceBinding | QuestionKind::Reverse(_) | QuestionKind::Other(_) => {
            question.answer_empty()
        }
    }
}

fn judge(gate: &Arc<Gate>, question: &Question) -> Vec<u8> {
    match question.kind() {
        QuestionKind::A | QuestionKind::Aaaa | QuestionKind::ServiceBinding => {
            forward(gate, question)
        }
        QuestionKind::Reverse(address) => reverse(gate, question, address),
        QuestionKind::Other(kind) => {
            let what = format!("DNS questions of type {kind}");
            let refused = refuse(gate, question, Fault::Unsupported(what));
            question.answer_error(Rcode::Refused, &why(&refused))
        }
    }
}

/// Answers a question about a name.
fn forward(gate: &Arc<Gate>, question: &Question) -> Vec<u8> {
    let answered = match Host::parse(question.name()) {
        Ok(host @ Host::Name(_)) => synthesize(gate, question, host),
        Ok(Host::Addr(_)) => {
            let fault = Fault::Malformed("an address was asked for as if it were a name".into());
            Err((Rcode::NameError, refuse(gate, question, fault)))
        }
        Err(_) => {
            let fault = Fault::Malformed("not a host name".into());
            Err((Rcode::NameError, refuse(gate, question, fault)))
        }
    };
    answered.unwrap_or_else(|(code, refused)| question.answer_error(code, &why(&refused)))
}

fn synthesize(
    gate: &Arc<Gate>,
    question: &Question,
    host: Host,
) -> Result<Vec<u8>, (Rcode, Refused)> {
    let name = host.to_string();
    let refused = |refused| (Rcode::NameError, refused);
    let mut pass = open(gate, question, host).map_err(refused)?;
    // Before the crossing closes, so that a full pool is on its receipt.
    let synthetic = match gate.names().address(&name, Instant::now()) {
        Ok(synthetic) => synthetic,
        Err(full) => {
            let fault = Fault::Unsupported(full.to_string());
            return Err((Rcode::ServerFailure, pass.fail(fault)));
        }
    };
    pass.close().map_err(refused)?;
    Ok(match question.kind() {
        QuestionKind::A => question.answer_address(synthetic.v4.into()),
        QuestionKind::Aaaa => question.answer_address(synthetic.v6.into()),
        QuestionKind::ServiceBinding | QuestionKind::Reverse(_) | QuestionKind::Other(_) => {
            question.answer_empty()
        }
    })
}

/// Answers a question about an address: the name that it stands for, if it stands for one.
fn reverse(gate: &Arc<Gate>, question: &Question, address: IpAddr) -> Vec<u8> {
    if address.to_canonical().is_loopback() {
        return question.answer_name("localhost");
    }
    let Some(name) = gate.names().name(address, Instant::now()) else {
        let fault = Fault::Unsupported("the names of addresses outside the bottle".into());
        let refused = refuse(gate, question, fault);
        return question.answer_error(Rcode::NameError, &why(&refused));
    };
    let opened = open(gate, question, Host::Name((*name).into()));
    match opened.and_then(|mut pass| pass.close()) {
        Ok(()) => question.answer_name(&name),
        Err(refused) => question.answer_error(Rcode::NameError, &why(&refused)),
    }
}

fn open(gate: &Arc<Gate>, question: &Question, host: Host) -> Result<Box<Pass>, Refused> {
    let mut pass = gate.open(crossing(&target(host)))?;
    pass.push(Surface {
        kind: SurfaceKind::Host,
        name: "",
        bytes: question.name().as_bytes(),
    })?;
    Ok(pass)
}

/// Records a question that is refused whatever the policy says.
fn refuse(gate: &Arc<Gate>, question: &Question, fault: Fault) -> Refused {
    let host = Host::parse(question.name())
        .unwrap_or_else(|_| Host::Name(question.name().to_ascii_lowercase().into()));
    gate.refuse(crossing(&target(host)), fault)
}

fn target(host: Host) -> Target {
    Target {
        scheme: Scheme::Dns,
        host,
        port: PORT,
    }
}

fn crossing(target: &Target) -> Crossing<'_> {
    Crossing {
        kind: CrossingKind::DnsQuery,
        target,
        method: None,
    }
}

/// The text of the extended error: what to look for in the gate's own report.
fn why(refused: &Refused) -> String {
    let reason = refused.refusal.reason.as_str();
    format!("refused by Carboy: {reason}, crossing {}", refused.id)
}
