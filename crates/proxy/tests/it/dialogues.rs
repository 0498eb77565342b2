//! Recorded dialogues of real clients and servers over raw TCP: all of it passes as it was said, and the
//! receipts name what was spoken.
//!
//! A file has a message a line: who says it, `C` or `S`, and its bytes in hexadecimal, which may go on in
//! indented lines. They are of redis-cli and Redis 7, the MariaDB client and server 10.11, psql and
//! PostgreSQL 15, curl and Dovecot 2.3, curl and an SMTP server, OpenSSH 9.2, the last two without TLS.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{OPEN, Stand};
use crate::tls::up_tunnel;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

const DIALOGUES: [(&str, &str, &str); 7] = [
    ("redis", "redis", include_str!("dialogues/redis.txt")),
    ("mysql", "mysql", include_str!("dialogues/mysql.txt")),
    (
        "postgres",
        "postgres",
        include_str!("dialogues/postgres.txt"),
    ),
    ("imap", "imap", include_str!("dialogues/imap.txt")),
    (
        "imap with STARTTLS",
        "imap+starttls",
        include_str!("dialogues/imap-starttls.txt"),
    ),
    ("smtp", "smtp", include_str!("dialogues/smtp.txt")),
    ("ssh", "ssh", include_str!("dialogues/ssh.txt")),
];

fn messages(recorded: &str) -> Vec<(Side, Vec<u8>)> {
    let mut messages: Vec<(Side, String)> = Vec::new();
    for line in recorded.lines() {
        match line.split_at(2) {
            ("C ", hex) => messages.push((Side::Client, hex.into())),
            ("S ", hex) => messages.push((Side::Server, hex.into())),
            (_, more) => messages.last_mut().unwrap().1.push_str(more),
        }
    }
    let bytes = |hex: String| {
        let digits = hex.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.map(byte).collect()
    };
    messages
        .into_iter()
        .map(|(side, hex)| (side, bytes(hex)))
        .collect()
}

/// Says one side's part, each message in pieces, and hears the other's. What was heard that is not what
/// was said.
async fn take_part(mut stream: TcpStream, own: Side, dialogue: &[(Side, Vec<u8>)]) -> TcpStream {
    for (side, message) in dialogue {
        if *side == own {
            for piece in message.chunks(message.len().div_ceil(3)) {
                stream.write_all(piece).await.unwrap();
            }
            continue;
        }
        let mut heard = vec![0; message.len()];
        let hearing = stream.read_exact(&mut heard);
        let hearing = timeout(Duration::from_secs(20), hearing).await;
        hearing.expect("all of it comes").unwrap();
        assert_eq!(heard, *message, "what {own:?} hears");
    }
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn recorded_dialogues_pass_and_are_named() {
    for (name, protocol, recorded) in DIALOGUES {
        let dialogue = messages(recorded);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = socket.local_addr().unwrap().port();
        let stand = Stand::open(&format!("{OPEN}  tcp: ['up.example:{port}']\n")).await;
        let client = up_tunnel(&stand, port).await;
        let serving = async {
            let (server, _) = socket.accept().await.unwrap();
            take_part(server, Side::Server, &dialogue).await
        };
        let asking = take_part(client, Side::Client, &dialogue);
        let (mut server, mut client) = tokio::join!(serving, asking);
        for side in [&mut client, &mut server] {
            side.shutdown().await.unwrap();
        }
        for side in [&mut client, &mut server] {
            let mut rest = Vec::new();
            let ending = timeout(Duration::from_secs(20), side.read_to_end(&mut rest)).await;
            ending.expect("it ends").unwrap();
            assert!(rest.is_empty(), "{name}: {rest:?}");
        }
        let mut receipts = stand.finish_alone().await.receipts.split_off(1);
        receipts.sort_by_key(|own| own["crossing"].to_string());
        for (receipt, own) in receipts.iter().zip([Side::Client, Side::Server]) {
            let said = dialogue.iter().filter(|(side, _)| *side == own);
            let bytes: usize = said.map(|(_, message)| message.len()).sum();
            assert_eq!(receipt["decision"], "allow", "{name}: {receipt}");
            assert_eq!(receipt["protocol"], protocol, "{name}: {receipt}");
            assert_eq!(receipt["bytes"], bytes, "{name}: {receipt}");
        }
        assert_eq!(receipts.len(), 2, "{name}");
    }
}
