//! SOCKS version 5 (RFC 1928), with its user name and password (RFC 1929), as a server reads and
//! answers it.
//!
//! Each parser looks at everything that a client has sent since the last whole message. Like the
//! other framings, its answer does not depend on how the bytes were cut, and what follows a message
//! is left alone: clients may send on without waiting.

#[cfg(test)]
mod tests;

use std::net::{Ipv4Addr, Ipv6Addr};

use carboy_engine::{Fault, Host};

use crate::http::parse_host;
use crate::login::Given;

/// The first byte of each message of a SOCKS 5 client, and of its first one alone.
pub const VERSION: u8 = 5;

/// The first byte of a SOCKS 4 or 4a client.
pub const VERSION_4: u8 = 4;

/// The longest message: a user name and a password of 255 bytes each (RFC 1929, section 2).
pub const MESSAGE_BYTES_MAX: usize = 513;

/// The version of the user name and password exchange (RFC 1929, section 2).
const LOGIN_VERSION: u8 = 1;

/// Methods (RFC 1928, section 3).
const NO_LOGIN: u8 = 0;
const PASSWORD: u8 = 2;
const NONE_ACCEPTABLE: u8 = 0xff;

/// Address types (RFC 1928, section 5).
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// A whole message and its length; `None` while more bytes are needed.
pub type Parsed<T> = Result<Option<(T, usize)>, Fault>;

/// How a client is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// As it is.
    Open,
    /// It tells a user name and a password next.
    Password,
    /// The client offers neither; it is to go.
    Unacceptable,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What is to be done.
    pub command: Command,
    /// The far end's name or address.
    pub host: Host,
    /// Its port.
    pub port: u16,
    /// The host as the client spelt it.
    pub spelt: String,
}

/// What a SOCKS server can be told to do (RFC 1928, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// To open a TCP connection.
    Connect,
    /// To wait for one from outside.
    Bind,
    /// To relay datagrams.
    UdpAssociate,
}

/// How a request is answered (RFC 1928, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// What follows is the far end's.
    Granted,
    /// It cannot be done.
    Failed,
    /// The rules do not allow it.
    NotAllowed,
    /// The command is not one that is carried.
    CommandUnsupported,
}

/// The client's first message: how it can be let in. Without a login that is wanted, the way that asks
/// least of it.
///
/// # Errors
/// [`Fault::Malformed`] when it is not version 5.
pub fn greeting(sent: &[u8], wants_login: bool) -> Parsed<Method> {
    let Some((&version, rest)) = sent.split_first() else {
        return Ok(None);
    };
    check_version(version)?;
    let Some(methods) = counted(rest) else {
        return Ok(None);
    };
    let method = if methods.contains(&NO_LOGIN) && !wants_login {
        Method::Open
    } else if methods.contains(&PASSWORD) {
        Method::Password
    } else {
        Method::Unacceptable
    };
    Ok(Some((method, 2 + methods.len())))
}

/// A user name and a password (RFC 1929, section 2).
///
/// # Errors
/// [`Fault::Malformed`] for another version.
pub fn login(sent: &[u8]) -> Parsed<Given> {
    let Some((&version, rest)) = sent.split_first() else {
        return Ok(None);
    };
    if version != LOGIN_VERSION {
        return Err(malformed("the SOCKS login is not of version 1"));
    }
    let Some(name) = counted(rest) else {
        return Ok(None);
    };
    let Some(password) = counted(&rest[1 + name.len()..]) else {
        return Ok(None);
    };
    let given = Given::of_parts(name, password);
    Ok(Some((given, 3 + name.len() + password.len())))
}

/// What the client asks for (RFC 1928, section 4).
///
/// # Errors
/// [`Fault::Malformed`] for another version, a reserved byte that is not zero, a host that is neither
/// a name nor an address, or port 0 of one that is to be connected to; [`Fault::Unsupported`] for a
/// command or an address type that the standard does not have. No text quotes the host.
pub fn request(sent: &[u8]) -> Parsed<Request> {
    let [version, command, reserved, kind, rest @ ..] = sent else {
        return sent
            .first()
            .map_or(Ok(None), |version| check_version(*version).map(|()| None));
    };
    check_version(*version)?;
    let command = command_of(*command)?;
    if *reserved != 0 {
        return Err(malformed(
            "the reserved byte of a SOCKS request is not zero",
        ));
    }
    let Some((address, length)) = address(*kind, rest)? else {
        return Ok(None);
    };
    let Some(port) = rest[length..]
        .first_chunk()
        .copied()
        .map(u16::from_be_bytes)
    else {
        return Ok(None);
    };
    let (host, spelt) = address.host()?;
    if port == 0 && command == Command::Connect {
        return Err(malformed("a SOCKS request for port 0"));
    }
    let request = Request {
        command,
        host,
        port,
        spelt,
    };
    Ok(Some((request, 4 + length + 2)))
}

/// The answer to a greeting.
pub fn method(chosen: Method) -> [u8; 2] {
    let method = match chosen {
        Method::Open => NO_LOGIN,
        Method::Password => PASSWORD,
        Method::Unacceptable => NONE_ACCEPTABLE,
    };
    [VERSION, method]
}

/// The answer to a login. After one that is not let in, the connection ends.
pub fn welcome(is_admitted: bool) -> [u8; 2] {
    [LOGIN_VERSION, u8::from(!is_admitted)]
}

/// The answer to a request. The address that it names is `0.0.0.0:0`: nothing is dialled yet, and
/// where the gate dials from is not the client's to know.
pub fn reply(reply: Reply) -> [u8; 10] {
    let code = match reply {
        Reply::Granted => 0,
        Reply::Failed => 1,
        Reply::NotAllowed => 2,
        Reply::CommandUnsupported => 7,
    };
    [VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]
}

/// The answer to a SOCKS 4 client, which has a form of its own: refused.
pub fn reject_version_4() -> [u8; 8] {
    const REJECTED: u8 = 0x5b;
    [0, REJECTED, 0, 0, 0, 0, 0, 0]
}

/// An address as it stands in a request.
enum Address<'a> {
    V4([u8; 4]),
    V6([u8; 16]),
    Name(&'a [u8]),
}

impl Address<'_> {
    fn host(&self) -> Result<(Host, String), Fault> {
        match self {
            Self::V4(octets) => Ok(numeric(Ipv4Addr::from(*octets).into())),
            Self::V6(octets) => Ok(numeric(Ipv6Addr::from(*octets).into())),
            Self::Name(name) => {
                let name = std::str::from_utf8(name)
                    .map_err(|_| malformed("the name in a SOCKS request is not text"))?;
                Ok((parse_host(name)?, name.to_owned()))
            }
        }
    }
}

fn numeric(address: std::net::IpAddr) -> (Host, String) {
    (Host::Addr(address.to_canonical()), address.to_string())
}

/// The address and its length.
fn address(kind: u8, bytes: &[u8]) -> Result<Option<(Address<'_>, usize)>, Fault> {
    match kind {
        IPV4 => Ok(bytes.first_chunk().map(|octets| (Address::V4(*octets), 4))),
        IPV6 => Ok(bytes.first_chunk().map(|octets| (Address::V6(*octets), 16))),
        NAME => Ok(counted(bytes).map(|name| (Address::Name(name), 1 + name.len()))),
        _ => Err(Fault::Unsupported(
            "a SOCKS address type other than IPv4, IPv6 and a name".into(),
        )),
    }
}

fn command_of(code: u8) -> Result<Command, Fault> {
    match code {
        1 => Ok(Command::Connect),
        2 => Ok(Command::Bind),
        3 => Ok(Command::UdpAssociate),
        _ => Err(Fault::Unsupported(
            "a SOCKS command that the standard does not have".into(),
        )),
    }
}

/// The bytes that a length of one byte stands before.
fn counted(bytes: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = bytes.split_first()?;
    rest.get(..usize::from(length))
}

fn check_version(version: u8) -> Result<(), Fault> {
    match version {
        VERSION => Ok(()),
        _ => Err(malformed("a SOCKS message that is not of version 5")),
    }
}

fn malformed(what: &str) -> Fault {
    Fault::Malformed(what.into())
}
