use super::*;

fn heard(side: Side, said: &[u8]) -> Heard {
    let mut listener = Listener::new(side);
    listener.hear(said).unwrap_or_default()
}

const SSL_REQUEST: &[u8] = &[0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const STARTUP: &[u8] = b"\0\0\0\x13\0\x03\0\0user\0agent\0\0";
const OP_MSG: &[u8] = &[0x30, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0xdd, 7, 0, 0];

#[test]
fn clients_are_known_by_their_first_words() {
    for (said, expect) in [
        (&b"SSH-2.0-OpenSSH_9.6\r\n"[..], "ssh"),
        (SSL_REQUEST, "postgres+starttls"),
        (STARTUP, "postgres"),
        (b"\x20\0\0\x01\x85\xae\xff\x19", "mysql+starttls"),
        (b"*1\r\n$4\r\nPING\r\n", "redis"),
        (OP_MSG, "mongodb"),
        (b"EHLO a.example\r\n", "smtp"),
        (b"ehlo a.example\r\nSTARTTLS\r\n", "smtp+starttls"),
        (b"a1 CAPABILITY\r\n", "imap"),
        (b"a1 capability\r\na2 starttls\r\n", "imap+starttls"),
        (b"CAPA\r\nSTLS\r\n", "pop3+starttls"),
        (b"AUTH TLS\r\n", "ftp+starttls"),
        (b"hello there\r\n", ""),
        (b"\0\0\0\0\0\0\0\0", ""),
        (b"*", ""),
        (b"", ""),
    ] {
        let Heard { protocol, starttls } = heard(Side::Client, said);
        let name = protocol.map_or("", |own| own.as_str(starttls));
        assert_eq!(name, expect, "{said:?}");
    }
}

#[test]
fn servers_are_known_by_their_greetings() {
    for (said, expect) in [
        (&b"SSH-2.0-dropbear\r\n"[..], Some(Protocol::Ssh)),
        (b"\x4a\0\0\0\x0a8.0.36\0abc", Some(Protocol::Mysql)),
        (b"220 mail.example ESMTP\r\n", Some(Protocol::Smtp)),
        (b"220 FTP server ready\r\n", Some(Protocol::Ftp)),
        (
            b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
            Some(Protocol::Imap),
        ),
        (b"+OK POP3 ready\r\n", Some(Protocol::Pop3)),
        (b"220 ready\r\n", None),
        (b"+PONG\r\n", None),
    ] {
        assert_eq!(heard(Side::Server, said).protocol, expect, "{said:?}");
    }
}

#[test]
fn words_may_come_in_pieces_and_only_news_is_told() {
    let mut listener = Listener::new(Side::Client);
    let told: Vec<_> = [&b"EHLO a.ex"[..], b"ample\r\nSTART", b"TLS\r\n", b"noise"]
        .into_iter()
        .map(|part| listener.hear(part).map(|own| own.starttls))
        .collect();
    assert_eq!(told, [Some(false), None, Some(true), None]);
    for _ in 0..4 {
        assert_eq!(listener.hear(&[b'x'; SAID_BYTES_MAX]), None);
    }
    assert_eq!(listener.said.len(), SAID_BYTES_MAX);
}
