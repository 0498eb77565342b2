//! What is spoken on a raw TCP connection, as far as the first words of its two sides tell.
//!
//! Nothing is decided by it: receipts name it, so that a person who reads them knows what a
//! connection was for, and whether its sides agreed on TLS, which nobody reads.

#[cfg(test)]
mod tests;

/// How much of what a side says is looked at: a greeting and a command or two.
const SAID_BYTES_MAX: usize = 512;

/// The requests with which a PostgreSQL client asks for TLS or GSSAPI, or to cancel (PostgreSQL 17,
/// section 53.7).
const POSTGRES_SSL: u32 = 80_877_103;
const POSTGRES_GSS: u32 = 80_877_104;
const POSTGRES_CANCEL: u32 = 80_877_102;

/// A MySQL client that asks for TLS sends this much of its answer first, with this flag (MySQL 9,
/// `Protocol::SSLRequest`).
const MYSQL_SSL_HEADER: [u8; 4] = [0x20, 0, 0, 1];
const MYSQL_SSL: u8 = 0x08;

/// The code of a MongoDB message.
const MONGO_MSG: u32 = 2013;

/// A protocol over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// SSH (RFC 4253).
    Ssh,
    /// PostgreSQL, version 3.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
    /// Redis, by RESP.
    Redis,
    /// MongoDB.
    Mongo,
    /// SMTP (RFC 5321).
    Smtp,
    /// IMAP (RFC 9051).
    Imap,
    /// POP3 (RFC 1939).
    Pop3,
    /// FTP (RFC 959).
    Ftp,
}

/// Which side of a connection speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who was dialled.
    Server,
}

/// Listens to one side of a connection until it has said enough.
#[derive(Debug)]
pub struct Listener {
    side: Side,
    said: Vec<u8>,
}

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Heard {
    /// The protocol, once it is told.
    pub protocol: Option<Protocol>,
    /// Whether the client asked for TLS within it (STARTTLS and its like).
    pub starttls: bool,
}

impl Protocol {
    /// The stable name that receipts use; of the protocol in which TLS was asked for, another.
    pub fn as_str(self, starttls: bool) -> &'static str {
        match (self, starttls) {
            (Self::Ssh, _) => "ssh",
            (Self::Redis, _) => "redis",
            (Self::Mongo, _) => "mongodb",
            (Self::Postgres, false) => "postgres",
            (Self::Postgres, true) => "postgres+starttls",
            (Self::Mysql, false) => "mysql",
            (Self::Mysql, true) => "mysql+starttls",
            (Self::Smtp, false) => "smtp",
            (Self::Smtp, true) => "smtp+starttls",
            (Self::Imap, false) => "imap",
            (Self::Imap, true) => "imap+starttls",
            (Self::Pop3, false) => "pop3",
            (Self::Pop3, true) => "pop3+starttls",
            (Self::Ftp, false) => "ftp",
            (Self::Ftp, true) => "ftp+starttls",
        }
    }
}

impl Listener {
    /// Listens to one side.
    pub fn new(side: Side) -> Self {
        Self {
            side,
            said: Vec::new(),
        }
    }

    /// Hears what is said next. `None` when it tells nothing new.
    pub fn hear(&mut self, next: &[u8]) -> Option<Heard> {
        let room = SAID_BYTES_MAX - self.said.len();
        if room == 0 || next.is_empty() {
            return None;
        }
        let before = self.heard();
        self.said.extend_from_slice(&next[..next.len().min(room)]);
        let now = self.heard();
        (now != before).then_some(now)
    }

    fn heard(&self) -> Heard {
        match self.side {
            Side::Client => client(&self.said),
            Side::Server => Heard {
                protocol: server(&self.said),
                starttls: false,
            },
        }
    }
}

fn client(said: &[u8]) -> Heard {
    let upper = said.to_ascii_uppercase();
    let lines = || upper.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let says = |word: &[u8]| lines().any(|line| line == word);
    // In IMAP a tag stands before the command.
    let command = lines()
        .next()
        .and_then(|line| line.split(|b| *b == b' ').nth(1));
    let is_imap = command.is_some_and(|word| {
        [&b"CAPABILITY"[..], b"STARTTLS", b"LOGIN", b"AUTHENTICATE"].contains(&word)
    });
    let asks = |protocol, starttls| Heard {
        protocol: Some(protocol),
        starttls,
    };
    let long = |at: usize| {
        said.get(at..)?
            .first_chunk()
            .map(|own| u32::from_be_bytes(*own))
    };
    match (long(0), long(4)) {
        (Some(8), Some(POSTGRES_SSL | POSTGRES_GSS)) => return asks(Protocol::Postgres, true),
        (Some(16), Some(POSTGRES_CANCEL)) => return asks(Protocol::Postgres, false),
        (Some(8..=10_000), Some(0x0003_0000..=0x0003_ffff)) => {
            return asks(Protocol::Postgres, false);
        }
        _ => {}
    }
    if said.starts_with(&MYSQL_SSL_HEADER) && said.get(5).is_some_and(|own| own & MYSQL_SSL != 0) {
        asks(Protocol::Mysql, true)
    } else if said.starts_with(b"SSH-") {
        asks(Protocol::Ssh, false)
    } else if is_resp(said) {
        asks(Protocol::Redis, false)
    } else if long(12).map(u32::swap_bytes) == Some(MONGO_MSG) {
        asks(Protocol::Mongo, false)
    } else if upper.starts_with(b"EHLO ") || upper.starts_with(b"HELO ") {
        asks(Protocol::Smtp, says(b"STARTTLS"))
    } else if is_imap {
        let words = || lines().filter_map(|line| line.split(|b| *b == b' ').nth(1));
        asks(Protocol::Imap, words().any(|word| word == b"STARTTLS"))
    } else if says(b"CAPA") || says(b"STLS") {
        asks(Protocol::Pop3, says(b"STLS"))
    } else if says(b"AUTH TLS") || says(b"AUTH SSL") {
        asks(Protocol::Ftp, true)
    } else {
        Heard::default()
    }
}

fn server(said: &[u8]) -> Option<Protocol> {
    let upper = said.to_ascii_uppercase();
    let has = |word: &[u8]| memchr::memmem::find(&upper, word).is_some();
    if said.starts_with(b"SSH-") {
        Some(Protocol::Ssh)
    } else if is_mysql_greeting(said) {
        Some(Protocol::Mysql)
    } else if upper.starts_with(b"220") && has(b"SMTP") {
        Some(Protocol::Smtp)
    } else if upper.starts_with(b"220") && has(b"FTP") {
        Some(Protocol::Ftp)
    } else if upper.starts_with(b"* OK") && has(b"IMAP") {
        Some(Protocol::Imap)
    } else if upper.starts_with(b"+OK") && has(b"POP") {
        Some(Protocol::Pop3)
    } else {
        None
    }
}

/// A command of Redis: an array of strings (RESP, `*N\r\n$`).
fn is_resp(said: &[u8]) -> bool {
    let Some(rest) = said.strip_prefix(b"*") else {
        return false;
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    digits > 0 && rest[digits..].starts_with(b"\r\n$")
}

/// The first packet of a MySQL server: its number is 0, its version 10, and then comes a text that names
/// the server's own.
fn is_mysql_greeting(said: &[u8]) -> bool {
    let [_, _, 0, 0, 10, version @ ..] = said else {
        return false;
    };
    let length = version.iter().position(|byte| *byte == 0);
    length.is_some_and(|length| length > 0 && version[..length].iter().all(u8::is_ascii_graphic))
}
