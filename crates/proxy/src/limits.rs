//! Every bound of the gate, in one place, each with its reason.

use std::time::Duration;

/// How long a client may take to send a request's head: a slow-loris client is cut here.
pub const HEAD_READ_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a client's kept-alive connection may stay without a request. Longer than the pools of
/// common clients (Node 5 s, Go and urllib3 up to 90 s), so that they close first.
pub const CLIENT_IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// How long a body may go without a byte, either way. Long polls and token streams pause for
/// tens of seconds; a stuck peer must not pin memory for ever.
pub const BODY_IDLE_TIMEOUT: Duration = Duration::from_secs(300);

/// How long an upstream may take to begin its response. Model providers think for minutes.
pub const RESPONSE_HEAD_TIMEOUT: Duration = Duration::from_secs(600);

/// How long one address may take to accept a TCP connection.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long all of a permit's addresses together may take.
pub const CONNECT_TOTAL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client may take for its TLS handshake. A client on a busy machine that opens two
/// hundred connections at once takes tens of seconds for the last of them.
pub const CLIENT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an upstream may take for its TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a server in clear text may take to begin HTTP/2, before a request is sent: as long as for a
/// TLS handshake, whose place it takes.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(15);

/// The stagger between attempts on a permit's addresses (RFC 8305, section 5 recommends 250 ms).
pub const HAPPY_EYEBALLS_STAGGER: Duration = Duration::from_millis(250);

/// How long a name's resolution may take, all servers and retries together.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The addresses of one name that are considered: more than any honest answer needs.
pub const ADDRESSES_MAX: usize = 32;

/// The bytes of a request's or response's head: what common servers accept at most (nginx 32 KiB,
/// Node 16 KiB), doubled for cookies and tokens.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The header fields of one head: the HTTP/1 library's own bound, for which it keeps room on its
/// stack. Any other makes it allocate for every head.
pub const HEADERS_MAX: usize = 100;

/// The bytes of one body that may be held while the engine has not let them go. It covers the
/// engine's own window and one read.
pub const BODY_HOLD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The head of another proxy's answer to a `CONNECT`: a status and a few fields.
pub const PROXY_ANSWER_BYTES_MAX: usize = 8 * 1024;

/// The most that one read from a socket may return, so that large bodies cost few wake-ups.
pub const READ_BYTES_MAX: usize = 256 * 1024;

/// The streams that one h2 client connection may have open: browsers ask for 100.
pub const H2_STREAMS_MAX: u32 = 128;

/// The bytes that one h2 stream's client may send unread. Clients are near, so that few are on their way.
pub const H2_CLIENT_STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// The same for all streams of one client connection: a whole window for each of [`H2_STREAMS_MAX`], so that
/// an upstream that does not read holds up only its own.
pub const H2_CLIENT_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// The bytes that one h2 stream's upstream may send unread. What the engine holds of a body
/// ([`BODY_HOLD_BYTES_MAX`]) has been read; this is one fast read beside it.
pub const H2_STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;

/// The exchanges that share one upstream connection: a further one has another. Clients that do not read
/// hold up none of the others this way.
pub const H2_SHARE_MAX: usize = 16;

/// The bytes that the upstream may send unread on all streams of one connection: a whole window for each
/// ([`H2_SHARE_MAX`] and [`H2_STREAM_WINDOW_BYTES`]).
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 32 * 1024 * 1024;

/// How often a silent h2 peer is asked whether it is there.
pub const H2_PING_INTERVAL: Duration = Duration::from_secs(30);

/// How long it may take to answer.
pub const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// The open connections that one gate serves. 200 parallel ones are ordinary; each idle one costs
/// at most 50 KiB.
pub const CONNECTIONS_MAX: usize = 4096;

/// The upstream connections kept for one scheme, host and port.
pub const POOL_IDLE_PER_TARGET_MAX: usize = 64;

/// The upstream connections kept in all.
pub const POOL_IDLE_MAX: usize = 512;

/// How long an upstream connection is kept idle: under the 60 s at which common servers close.
pub const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a stopping gate waits for open crossings before it drops them, each with its receipt.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// The content that `/fetch` returns: more does not fit a model's context.
pub const FETCH_CONTENT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How much of a response is taken in before its head is sent on, so that a refusal early in it
/// can still be answered in words.
pub const BODY_PRIME_BYTES_MAX: usize = 64 * 1024;

/// How long a response's head waits for that. Streams whose first event comes late are not kept.
pub const BODY_PRIME_TIMEOUT: Duration = Duration::from_millis(20);

/// How long a body in which the policy wants content replaced, or which may hold messages, may pause while
/// it is taken in. One that pauses for longer may be a stream that is made as it is read: it crosses as
/// it comes, and what would have been replaced in it is refused.
pub const REWRITE_PAUSE: Duration = Duration::from_secs(2);

/// The bytes of an event in a stream in which the policy wants content replaced. What is longer is
/// rewritten in parts of this size.
pub const EVENT_BYTES_MAX: usize = 64 * 1024;

/// How long a stream of events may pause before an event that could be an attack or only cite one is
/// judged as it stands. Models pause for less within a sentence.
pub const EVENT_PAUSE: Duration = Duration::from_secs(2);

/// The bytes of one WebSocket message. Clients of model providers and browsers' debuggers send a few
/// megabytes; servers take 1 to 100 MiB.
pub const WS_MESSAGE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How much of a WebSocket message is held until it is judged as a whole. A longer one goes on in
/// fragments, each once it is judged.
pub const WS_HOLD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long a WebSocket may be without a frame. Peers ping each other much more often; what is silent
/// for half a day has lost its peer.
pub const WS_IDLE_TIMEOUT: Duration = Duration::from_secs(43_200);

/// How long a WebSocket's peer may take to answer a close frame, or to read one.
pub const WS_CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The pings of one peer that its other side may have left unanswered: a pong that answers an older
/// one is inspected like any other content.
pub const WS_PINGS_MAX: usize = 16;

/// How often idle upstream connections are looked over.
pub const POOL_SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// How long a stopped gate waits for the receipts of crossings that were just dropped: their
/// connections' tasks need a moment to learn of it.
pub const SETTLE_TIMEOUT: Duration = Duration::from_secs(1);

/// How often it looks.
pub const SETTLE_PAUSE: Duration = Duration::from_millis(2);

/// The calls of one gate that may wait for a person at once: nobody looks through more, and each keeps
/// its message.
pub const APPROVALS_MAX: usize = 16;

/// How often a call that waits looks for its answer: a person does not notice less.
pub const APPROVAL_POLL: Duration = Duration::from_millis(200);

/// The files that are looked at for calls that wait: those of many gates, and their answers.
pub const APPROVALS_READ_MAX: usize = 4096;

/// One of them: the beginning of a call's arguments, escaped, and a few names.
pub const APPROVALS_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The messages that wait for one side of an MCP connection to take them; past it, the other side
/// waits. Servers send progress in bursts.
pub const MCP_QUEUE_MESSAGES: usize = 64;

/// The most that one read from an MCP server's or client's pipe returns: what a pipe holds.
pub const MCP_READ_BYTES: usize = 64 * 1024;

/// How long a server may take for a page of its tools, where a client calls one unlisted: servers
/// that fetch theirs from elsewhere take seconds.
pub const MCP_LISTING_TIMEOUT: Duration = Duration::from_secs(10);

/// The pages of tools that are asked for then: a hundred tools a page make the most that are kept.
pub const MCP_PAGES_MAX: usize = 100;

/// How long an MCP server may go on after its client has ended: one that was piped a request may
/// still be at work on it.
pub const MCP_END_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a client waits before it takes up a stream of an MCP server's that broke off, where the server
/// does not say.
pub const MCP_RESUME_WAIT: Duration = Duration::from_secs(1);

/// The longest such wait: a server that says more is not waited for.
pub const MCP_RESUME_WAIT_MAX: Duration = Duration::from_secs(60);

/// How often in a row a stream is taken up that brings nothing: a server that starts again takes seconds.
pub const MCP_RESUMES_MAX: u32 = 5;

/// The answers of one MCP session that may come again to a client that was cut off: what servers
/// keep for it.
pub const MCP_ANSWERED_MAX: usize = 256;

/// The MCP sessions that are remembered; the one that was used least lately goes.
pub const MCP_SESSIONS_MAX: usize = 1024;

/// How long an MCP message may take to come whole over HTTP: servers begin an answer before their
/// tool has ended.
pub const MCP_BODY_TIMEOUT: Duration = Duration::from_secs(300);

/// The paths at a remote server, named by its metadata, by which clients may sign in: standards know a
/// dozen.
pub const MCP_PAGES_KNOWN_MAX: usize = 32;

/// Servers of the model context protocol whose tools and sessions are remembered at a time, of those
/// that are spoken to within plain HTTP. An agent has a handful.
pub const MCP_SERVERS_MAX: usize = 256;

/// The threads that one worker may have while crossings wait for the disk (`evidence.durability: synced`):
/// each that waits takes one, and all that wait are served by one sync.
pub const SYNC_THREADS_MAX: usize = 128;
