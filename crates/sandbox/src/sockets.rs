//! The listening sockets that are made inside and served from outside.

use std::net::{TcpListener, UdpSocket};

/// Sockets of the confinement's network namespace, for the gate outside to serve.
///
/// Whatever the command dials arrives here: TCP on `tcp`, port 53 on the two DNS sets. All are
/// in blocking mode; set them non-blocking before handing them to an async runtime.
#[derive(Debug)]
pub struct Sockets {
    /// TCP listeners (IPv4, and IPv6 if the kernel has it) on [`crate::GATE_PORT`].
    pub tcp: Vec<TcpListener>,
    /// UDP sockets for DNS queries, whatever resolver they were sent to.
    pub dns_udp: Vec<UdpSocket>,
    /// TCP listeners for DNS queries.
    pub dns_tcp: Vec<TcpListener>,
}
