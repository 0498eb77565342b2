//! Moves bytes, only with the engine's leave, and records what was decided.
//!
//! [`Gate`] is the one place where content may pass. An adapter makes a crossing, feeds bytes to
//! the [`Pass`] it got, and renders a [`Refused`] in its own protocol.
#![forbid(unsafe_code)]

mod approvals;
mod ca;
mod dns;
mod evidence;
mod forward;
mod gate;
pub mod http;
mod interceptor;
pub mod limits;
mod listen;
mod login;
pub mod mcp;
mod names;
mod peek;
mod record;
mod relay;
mod resolve;
mod reverse;
mod roots;
mod socks;
mod stream;
mod tcp;
mod tls;
mod transparent;
mod upstream;
mod workers;

pub use approvals::{Approvals, Leave, Waiting, answer_call, waiting_calls};
pub use ca::{CaError, CertificateAuthority};
pub use dns::{serve_dns_tcp, serve_dns_udp};
pub use evidence::{Evidence, EvidenceConfig, EvidenceError, LEDGER_FILE, signing_key};
pub use gate::{Asking, CrossingId, Gate, GateConfig, Notice, Observer, Pass, Refused, Totals};
pub use interceptor::Interceptor;
pub use listen::{Listener, Role, serve};
pub use login::Login;
pub use names::{NAMES_MAX, Names, POOL_V4, POOL_V6, PoolExhausted, Synthetic};
pub use resolve::{HostsError, HostsTable, Resolver};
pub use roots::RootsError;
pub use stream::{ClientIo, Destination, Learnt, serve_client_stream};
pub use transparent::OriginalDestination;
pub use upstream::{Identity, IdentityError, Upstream, UpstreamConfig};
pub use workers::Workers;
