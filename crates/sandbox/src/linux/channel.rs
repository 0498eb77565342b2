//! The control channel between carboy and the init process: whole messages, with descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Error, Exit, Loss};

/// What init tells carboy.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// All is built; the descriptors are the sockets, then the terminal if there is one.
    Ready {
        /// Address families that each kind of socket comes in (1 or 2).
        families: usize,
        /// Whether the last descriptor is a terminal.
        terminal: bool,
        /// What was given up so far.
        lost: Vec<Loss>,
    },
    /// A layer could not be built, or the command could not be started.
    Failed(Error),
    /// The command has ended.
    Ended(Exit),
}

/// What carboy tells init.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// The gate is ready: start the command.
    Start,
    /// Send this signal to the command.
    Signal(i32),
}

/// Longest message: a failure's few sentences, with room to spare.
const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// Most descriptors in one message: three kinds of sockets in two families, and a terminal.
const DESCRIPTORS_MAX: usize = 7;

/// One end of the channel. The other end's death reads as an end of file.
#[derive(Debug)]
pub(super) struct Channel(OwnedFd);

impl Channel {
    pub(super) fn pair() -> io::Result<(Channel, Channel)> {
        let (one, other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Channel(one), Channel(other)))
    }

    pub(super) fn from_descriptor(fd: OwnedFd) -> Channel {
        Channel(fd)
    }

    pub(super) fn send(
        &self,
        message: &impl Serialize,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = postcard::to_stdvec(message).map_err(io::Error::other)?;
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let parts = [IoSlice::new(&bytes)];
        rustix::net::sendmsg(&self.0, &parts, &mut ancillary, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// The next message and its descriptors; `None` when the other end is gone.
    pub(super) fn receive<T: DeserializeOwned>(&self) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let received =
            rustix::net::recvmsg(&self.0, &mut parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC);
        let length = match received {
            Ok(message) => message.bytes,
            Err(rustix::io::Errno::CONNRESET) => 0,
            Err(cause) => return Err(cause.into()),
        };
        if length == 0 {
            return Ok(None);
        }
        let descriptors = ancillary
            .drain()
            .filter_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => Some(fds),
                _ => None,
            })
            .flatten()
            .collect();
        let message = postcard::from_bytes(&bytes[..length]).map_err(io::Error::other)?;
        Ok(Some((message, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
