//! Netlink messages, built by hand (`netlink(7)`): a header, a family header, attributes.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

/// Bytes of `struct nlmsghdr`.
const HEADER_BYTES: usize = 16;

/// Attributes and messages start at multiples of this.
const ALIGN: usize = 4;

/// Set on attributes that hold attributes.
const NESTED: u16 = 1 << 15;

/// Type of the message that answers a request: an error number, zero for success.
const ANSWER: u16 = 2;

/// Answers are a header and the request's echo; many fit into this.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

pub(super) const REQUEST: u16 = 0x01;
pub(super) const ACK: u16 = 0x04;
pub(super) const EXCLUSIVE: u16 = 0x200;
pub(super) const CREATE: u16 = 0x400;
pub(super) const APPEND: u16 = 0x800;

/// One message, or one nest of attributes, under construction.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Attributes {
        // Attributes are a few dozen bytes here; their length field has 16 bits.
        let length = (ALIGN + value.len()) as u16;
        self.0.extend_from_slice(&length.to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        self
    }

    pub(super) fn text(self, kind: u16, value: &str) -> Attributes {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.bytes(kind, &bytes)
    }

    pub(super) fn be32(self, kind: u16, value: u32) -> Attributes {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub(super) fn ne32(self, kind: u16, value: u32) -> Attributes {
        self.bytes(kind, &value.to_ne_bytes())
    }

    pub(super) fn chain(mut self, next: Attributes) -> Attributes {
        self.0.extend_from_slice(&next.0);
        self
    }

    pub(super) fn nest(self, kind: u16, inner: Attributes) -> Attributes {
        self.bytes(kind | NESTED, &inner.0)
    }
}

/// One whole message.
#[derive(Debug)]
pub(super) struct Message {
    kind: u16,
    flags: u16,
    payload: Vec<u8>,
}

impl Message {
    pub(super) fn new(kind: u16, flags: u16, family: &[u8], attributes: Attributes) -> Message {
        let mut payload = family.to_vec();
        payload.resize(payload.len().next_multiple_of(ALIGN), 0);
        payload.extend_from_slice(&attributes.0);
        Message {
            kind,
            flags: flags | REQUEST,
            payload,
        }
    }

    pub(super) fn write(&self, sequence: u32, into: &mut Vec<u8>) {
        let length = (HEADER_BYTES + self.payload.len()) as u32;
        into.extend_from_slice(&length.to_ne_bytes());
        into.extend_from_slice(&self.kind.to_ne_bytes());
        into.extend_from_slice(&self.flags.to_ne_bytes());
        into.extend_from_slice(&sequence.to_ne_bytes());
        into.extend_from_slice(&0_u32.to_ne_bytes());
        into.extend_from_slice(&self.payload);
        into.resize(into.len().next_multiple_of(ALIGN), 0);
    }
}

/// A connection to one netlink protocol of the kernel.
#[derive(Debug)]
pub(super) struct Netlink(OwnedFd);

impl Netlink {
    /// `None` is the routing protocol, number 0.
    pub(super) fn open(protocol: Option<Protocol>) -> io::Result<Netlink> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Netlink(socket))
    }

    /// Sends all messages at once and waits for the answer to each that asked for one.
    ///
    /// # Errors
    /// The first refusal, with the index of the message that was refused.
    pub(super) fn ask(&self, messages: &[Message]) -> Result<(), (usize, io::Error)> {
        let mut bytes = Vec::new();
        for (index, message) in messages.iter().enumerate() {
            message.write(index as u32, &mut bytes);
        }
        rustix::net::send(&self.0, &bytes, SendFlags::empty()).map_err(|e| (0, e.into()))?;
        let mut open = messages
            .iter()
            .filter(|message| message.flags & ACK != 0)
            .count();
        let mut buffer = vec![0; ANSWER_BYTES_MAX];
        while open > 0 {
            let (_, length) = rustix::net::recv(&self.0, buffer.as_mut_slice(), RecvFlags::empty())
                .map_err(|e| (0, e.into()))?;
            for (index, errno) in answers(&buffer[..length]) {
                if errno != 0 {
                    return Err((index, io::Error::from_raw_os_error(errno)));
                }
                open = open.saturating_sub(1);
            }
        }
        Ok(())
    }
}

/// The sequence numbers and error numbers of the answers in `bytes`.
pub(super) fn answers(mut bytes: &[u8]) -> Vec<(usize, i32)> {
    let word = |bytes: &[u8], at: usize| {
        bytes
            .get(at..at + 4)
            .and_then(|b| <[u8; 4]>::try_from(b).ok())
            .map(u32::from_ne_bytes)
    };
    let mut found = Vec::new();
    while let (Some(length), Some(sequence), Some(error)) =
        (word(bytes, 0), word(bytes, 8), word(bytes, HEADER_BYTES))
    {
        let kind = u16::from_ne_bytes([bytes[4], bytes[5]]);
        if kind == ANSWER {
            found.push((sequence as usize, (error as i32).wrapping_neg()));
        }
        let step = (length as usize).max(HEADER_BYTES).next_multiple_of(ALIGN);
        bytes = bytes.get(step..).unwrap_or_default();
    }
    found
}
