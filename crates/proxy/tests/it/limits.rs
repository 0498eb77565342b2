//! `docs/limits.md` says what the sources say. `CARBOY_DOCS=write` writes it.
//!
//! Value and reason of each limit come from the constant and its documentation; what happens past it
//! is told here. Every constant of `proxy/src/limits.rs` must be in it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file, and what happens past its constants.
struct Part {
    title: &'static str,
    limits: &'static [(&'static str, &'static str, &'static str)],
}

const HEAD: &str = "\
# Limits

Every buffer, queue, depth and wait has a bound, so that no peer can make a gate hold more than it should. These are the ones
that a user can meet. They are constants of the program; what a policy can set (rates, byte budgets, the length of URLs) is in
[policy.md](policy.md). What a limit refuses leaves a receipt as any refusal does.

This page is made from the sources (`CARBOY_DOCS=write cargo test -p carboy-proxy limits`), and a test keeps it true.
";

const LIMITS: &str = "proxy/src/limits.rs";

const PARTS: &[Part] = &[
    Part {
        title: "Clients",
        limits: &[
            (
                LIMITS,
                "CONNECTIONS_MAX",
                "the next client waits until another leaves",
            ),
            (
                LIMITS,
                "HEAD_READ_TIMEOUT",
                "the connection is closed; of TLS and SOCKS too",
            ),
            (LIMITS, "CLIENT_IDLE_TIMEOUT", "the connection is closed"),
            (
                LIMITS,
                "CLIENT_HANDSHAKE_TIMEOUT",
                "refused as `malformed`, and closed",
            ),
            (
                "wire/src/tls.rs",
                "CLIENT_HELLO_MAX",
                "refused as `malformed`, with an alert",
            ),
            (
                "wire/src/socks.rs",
                "MESSAGE_BYTES_MAX",
                "cannot be passed: no message has more",
            ),
            (
                "proxy/src/stream.rs",
                "SERVER_FIRST_WAIT",
                "the server is dialled and may speak first",
            ),
            (
                "proxy/src/stream.rs",
                "WEB_SILENCE_MAX",
                "closed; nothing was asked, so there is no receipt",
            ),
            (
                "proxy/src/stream.rs",
                "SILENCE_MAX",
                "refused as raw TCP that is not listed",
            ),
            (
                "proxy/src/stream.rs",
                "SERVER_FIRST_SILENCE_MAX",
                "refused as raw TCP that is not listed",
            ),
            (
                "proxy/src/relay.rs",
                "TUNNEL_IDLE_TIMEOUT",
                "the tunnel is closed",
            ),
            (
                "proxy/src/http/guard.rs",
                "EARLY_TUNNEL_BYTES_MAX",
                "the rest is read once the tunnel is open",
            ),
            (
                LIMITS,
                "DRAIN_TIMEOUT",
                "what is still open is dropped, each crossing with its receipt",
            ),
            (
                LIMITS,
                "SETTLE_TIMEOUT",
                "the gate ends; a receipt that is missing then shows when the log is verified",
            ),
            (LIMITS, "SETTLE_PAUSE", "it looks again"),
        ],
    },
    Part {
        title: "HTTP",
        limits: &[
            (
                LIMITS,
                "HEAD_BYTES_MAX",
                "a request is refused as `malformed` (400), an answer as `upstream` (502)",
            ),
            (
                LIMITS,
                "HEADERS_MAX",
                "a request is refused as `malformed` (400), an answer as `upstream` (502)",
            ),
            (
                "wire/src/http1/mod.rs",
                "HEAD_BYTES_MAX",
                "refused as `malformed` (400)",
            ),
            (
                "wire/src/http1/mod.rs",
                "FIELDS_MAX",
                "refused as `malformed` (400)",
            ),
            (
                "wire/src/http1/mod.rs",
                "TRAILER_BYTES_MAX",
                "refused as `malformed`; the connection is closed",
            ),
            (
                "wire/src/http1/mod.rs",
                "METHOD_BYTES_MAX",
                "refused as `malformed` (400)",
            ),
            (
                "wire/src/http1/mod.rs",
                "CHUNK_EXTENSION_BYTES_MAX",
                "refused as `malformed`; the connection is closed",
            ),
            (
                "wire/src/http1/mod.rs",
                "BODY_EXTENSION_BYTES_MAX",
                "refused as `malformed`; the connection is closed",
            ),
            (
                LIMITS,
                "BODY_IDLE_TIMEOUT",
                "the crossing ends: `dropped` for a request, `upstream_timeout` for an answer",
            ),
            (LIMITS, "BODY_HOLD_BYTES_MAX", "refused as `unsupported`"),
            (
                LIMITS,
                "BODY_PRIME_BYTES_MAX",
                "the head is sent on; a later refusal breaks the answer off",
            ),
            (
                LIMITS,
                "BODY_PRIME_TIMEOUT",
                "the head is sent on; a later refusal breaks the answer off",
            ),
            (LIMITS, "READ_BYTES_MAX", "the rest is read next"),
            (
                "proxy/src/limits.rs",
                "H2_SHARE_MAX",
                "another connection is opened",
            ),
            (
                LIMITS,
                "H2_STREAMS_MAX",
                "the stream is refused (`REFUSED_STREAM`); clients try again",
            ),
            (
                "proxy/src/limits.rs",
                "H2_CLIENT_STREAM_WINDOW_BYTES",
                "the sender waits",
            ),
            (
                "proxy/src/limits.rs",
                "H2_CLIENT_WINDOW_BYTES",
                "the sender waits",
            ),
            (LIMITS, "H2_STREAM_WINDOW_BYTES", "the sender waits"),
            (LIMITS, "H2_CONNECTION_WINDOW_BYTES", "the sender waits"),
            (LIMITS, "H2_PING_INTERVAL", "the peer is asked"),
            (LIMITS, "H2_PING_TIMEOUT", "the connection is closed"),
            (LIMITS, "FETCH_CONTENT_BYTES_MAX", "`/fetch` answers 502"),
            (
                "wire/src/readable.rs",
                "LINKS_MAX",
                "further links of a page are left out",
            ),
        ],
    },
    Part {
        title: "WebSocket and streams of events",
        limits: &[
            (
                LIMITS,
                "WS_MESSAGE_BYTES_MAX",
                "both sides are closed with 1009",
            ),
            (
                LIMITS,
                "WS_HOLD_BYTES_MAX",
                "what was judged goes on as a fragment",
            ),
            (LIMITS, "WS_IDLE_TIMEOUT", "both sides are closed"),
            (
                LIMITS,
                "WS_CLOSE_TIMEOUT",
                "the connection is closed without it",
            ),
            (LIMITS, "WS_PINGS_MAX", "the oldest is forgotten"),
            (LIMITS, "EVENT_PAUSE", "what is held is refused or released"),
            (
                LIMITS,
                "REWRITE_PAUSE",
                "it crosses as it comes; what would be replaced is refused",
            ),
            (LIMITS, "EVENT_BYTES_MAX", "rewritten in parts of this size"),
            (
                "engine/src/inspection/rewrite.rs",
                "DECODED_BYTES_MAX",
                "inspected as it is; what would be replaced is refused",
            ),
            (
                "engine/src/inspection/rewrite.rs",
                "EDITS_MAX",
                "refused as what was found",
            ),
            (
                "engine/src/inspection/rewrite/restore.rs",
                "PLACES_MAX",
                "the rest stay as they are",
            ),
            (
                "engine/src/session/originals.rs",
                "VALUES_BYTES_MAX",
                "later ones are not put back",
            ),
            (
                "engine/src/session/originals.rs",
                "HOSTS_MAX",
                "put back in what comes from the first alone",
            ),
            (
                "engine/src/scan/strings.rs",
                "STRING_BYTES_MAX",
                "taken for no part of a credential",
            ),
            (
                "engine/src/scan/strings/binary.rs",
                "DEPTH_MAX",
                "read as no structure",
            ),
            (
                "engine/src/detect/mod.rs",
                "CUT_PLACES_MAX",
                "the rest are not looked at",
            ),
            (
                "engine/src/detect/mod.rs",
                "CUT_PARTS_MAX",
                "not put together",
            ),
            (
                "engine/src/inspection/rewrite.rs",
                "ROUNDS_MAX",
                "what is still found is refused",
            ),
            (
                "engine/src/inspection/rewrite/carrier.rs",
                "TEXT_BYTES_MAX",
                "the sentence is cut out",
            ),
        ],
    },
    Part {
        title: "Servers",
        limits: &[
            (LIMITS, "RESOLVE_TIMEOUT", "refused as `unresolved`"),
            (
                LIMITS,
                "ADDRESSES_MAX",
                "further addresses are not used, and not checked",
            ),
            (LIMITS, "CONNECT_TIMEOUT", "the next address is tried"),
            (
                LIMITS,
                "CONNECT_TOTAL_TIMEOUT",
                "refused as `upstream_timeout` (504)",
            ),
            (
                LIMITS,
                "HAPPY_EYEBALLS_STAGGER",
                "the next address is tried beside it",
            ),
            (
                LIMITS,
                "TLS_HANDSHAKE_TIMEOUT",
                "refused as `upstream_timeout` (504)",
            ),
            (
                "proxy/src/limits.rs",
                "PREFACE_TIMEOUT",
                "refused as `upstream_timeout` (504)",
            ),
            (
                LIMITS,
                "RESPONSE_HEAD_TIMEOUT",
                "refused as `upstream_timeout` (504)",
            ),
            (
                LIMITS,
                "PROXY_ANSWER_BYTES_MAX",
                "refused as `upstream` (502)",
            ),
            (
                LIMITS,
                "POOL_IDLE_PER_TARGET_MAX",
                "the connection is closed after its use",
            ),
            (
                LIMITS,
                "POOL_IDLE_MAX",
                "the connection is closed after its use",
            ),
            (LIMITS, "POOL_IDLE_TIMEOUT", "the connection is closed"),
            (LIMITS, "POOL_SWEEP_INTERVAL", "they are looked over again"),
        ],
    },
    Part {
        title: "Raw TCP and DNS",
        limits: &[
            (
                "proxy/src/tcp.rs",
                "CLIENT_PAUSE",
                "what is held is judged and goes on",
            ),
            (
                "proxy/src/tcp.rs",
                "SERVER_PAUSE",
                "what is held is judged and goes on",
            ),
            (
                "wire/src/protocol.rs",
                "SAID_BYTES_MAX",
                "the receipt names no protocol",
            ),
            (
                "wire/src/dns.rs",
                "QUESTION_MAX",
                "cut over UDP and not understood; over TCP the connection is closed",
            ),
            (
                "proxy/src/dns.rs",
                "TCP_CLIENTS_MAX",
                "the next client waits",
            ),
            (
                "proxy/src/dns.rs",
                "TCP_IDLE_TIMEOUT",
                "the connection is closed",
            ),
            (
                "proxy/src/names.rs",
                "NAMES_MAX",
                "the name that was used least recently gives its address up; while all are in use, a new name is not answered",
            ),
        ],
    },
    Part {
        title: "The model context protocol",
        limits: &[
            (
                "wire/src/mcp/lines.rs",
                "LINE_BYTES_MAX",
                "the message is refused as `malformed`",
            ),
            (
                "wire/src/mcp/json.rs",
                "DEPTH_MAX",
                "the message is refused as `malformed`",
            ),
            (
                "wire/src/mcp/json.rs",
                "NODES_MAX",
                "the message is refused as `malformed`",
            ),
            (
                "wire/src/mcp/message.rs",
                "BATCH_MAX",
                "the message is refused as `malformed`",
            ),
            (
                "wire/src/mcp/message.rs",
                "ID_BYTES_MAX",
                "the message is refused as `malformed`",
            ),
            (
                "wire/src/mcp/pending.rs",
                "PENDING_MAX",
                "further requests are refused",
            ),
            ("wire/src/mcp/tools.rs", "TOOLS_MAX", "the list is refused"),
            (LIMITS, "MCP_QUEUE_MESSAGES", "the other side waits"),
            (LIMITS, "MCP_READ_BYTES", "the rest is read next"),
            (LIMITS, "MCP_LISTING_TIMEOUT", "the call is refused"),
            (
                LIMITS,
                "MCP_PAGES_MAX",
                "tools on further pages count as unlisted",
            ),
        ],
    },
    Part {
        title: "Model context protocol",
        limits: &[
            (
                "wire/src/mcp/lines.rs",
                "LINE_BYTES_MAX",
                "refused as `malformed`; a server's leaves what waits for an answer an error. The same of an event and an HTTP body",
            ),
            (
                "wire/src/mcp/json.rs",
                "DEPTH_MAX",
                "refused as `malformed`",
            ),
            (
                "wire/src/mcp/json.rs",
                "NODES_MAX",
                "refused as `malformed`",
            ),
            (
                "wire/src/mcp/message.rs",
                "BATCH_MAX",
                "refused as `malformed`",
            ),
            (
                "wire/src/mcp/message.rs",
                "ID_BYTES_MAX",
                "refused as `malformed`",
            ),
            (
                "wire/src/mcp/pending.rs",
                "PENDING_MAX",
                "an answer that was cancelled is no longer expected; without one the next request is refused as `malformed`",
            ),
            (
                "wire/src/mcp/tools.rs",
                "TOOLS_MAX",
                "the list is refused as `malformed`; over several, further tools cannot be called",
            ),
            (LIMITS, "MCP_QUEUE_MESSAGES", "the other side waits"),
            (LIMITS, "MCP_READ_BYTES", "the rest is read next"),
            (
                LIMITS,
                "MCP_LISTING_TIMEOUT",
                "the call is refused as `tool_unlisted`",
            ),
            (
                LIMITS,
                "MCP_PAGES_MAX",
                "the call is refused as `tool_unlisted`",
            ),
            (
                LIMITS,
                "MCP_END_TIMEOUT",
                "the server is told to end (SIGTERM), and then killed",
            ),
            (
                LIMITS,
                "MCP_RESUME_WAIT",
                "the stream is taken up again, of `mcp connect`",
            ),
            (
                LIMITS,
                "MCP_RESUME_WAIT_MAX",
                "the stream is taken up again all the same",
            ),
            (
                LIMITS,
                "MCP_RESUMES_MAX",
                "what waits for an answer on it is refused as `upstream`",
            ),
            (
                "proxy/src/mcp/socket.rs",
                "NOTES_MAX",
                "further pings are answered by none",
            ),
            (
                LIMITS,
                "MCP_ANSWERED_MAX",
                "an older answer that comes again is refused as `unsolicited`",
            ),
            (
                LIMITS,
                "MCP_SESSIONS_MAX",
                "what a forgotten session asked is no longer known, and its answer refused as `unsolicited`",
            ),
            (
                LIMITS,
                "MCP_BODY_TIMEOUT",
                "413 to a client; a server's answer is refused as `upstream`",
            ),
            (
                LIMITS,
                "APPROVALS_MAX",
                "the call that asks is refused as `tool`",
            ),
            (
                LIMITS,
                "APPROVAL_POLL",
                "the answer is heard that much later",
            ),
            (
                LIMITS,
                "APPROVALS_READ_MAX",
                "`carboy approvals` does not list more",
            ),
            (
                LIMITS,
                "APPROVALS_FILE_BYTES_MAX",
                "`carboy approvals` does not list it",
            ),
            (
                LIMITS,
                "MCP_PAGES_KNOWN_MAX",
                "pages beyond it are not served",
            ),
            (
                LIMITS,
                "MCP_SERVERS_MAX",
                "the tools of the one spoken to least lately are asked for anew",
            ),
        ],
    },
    Part {
        title: "Inspection",
        limits: &[
            (
                "engine/src/scan/budget.rs",
                "FLOOR_BYTES",
                "beside the next: refused as `inspection_budget`",
            ),
            (
                "engine/src/scan/budget.rs",
                "FACTOR",
                "refused as `inspection_budget`",
            ),
            (
                "engine/src/views/mod.rs",
                "DEPTH_MAX",
                "what is nested deeper is not decoded",
            ),
            (
                "engine/src/views/mod.rs",
                "VIEWS_MAX",
                "refused as `inspection_budget`",
            ),
            (
                "engine/src/scan/stream.rs",
                "HOLD_MAX_BYTES",
                "judged as far as it is there",
            ),
            ("engine/src/scan/inflate.rs", "CODINGS_MAX", "`opaque`"),
            (
                "engine/src/scan/inflate.rs",
                "OUTPUT_FLOOR_BYTES",
                "beside the next: `opaque`",
            ),
            (
                "engine/src/scan/inflate.rs",
                "RATIO_MAX",
                "`opaque`: a compression bomb is never opened further",
            ),
            (
                "engine/src/scan/inflate.rs",
                "ZSTD_WINDOW_MAX_BYTES",
                "`opaque`",
            ),
            (
                "engine/src/views/compressed.rs",
                "RATIO_MAX",
                "compressed data within content is not opened further, and is `opaque`",
            ),
            (
                "engine/src/views/compressed.rs",
                "XZ_MEMORY_MAX_KIB",
                "the same",
            ),
            (
                "engine/src/decide.rs",
                "FINDINGS_MAX",
                "further findings that do not block are not kept",
            ),
            (
                "engine/src/known/mod.rs",
                "VALUES_MAX",
                "further values are not looked for",
            ),
            (
                "engine/src/known/value.rs",
                "BYTES_MAX",
                "the rest of the value is not looked for",
            ),
            (
                "engine/src/policy/compile.rs",
                "FILE_BYTES_MAX",
                "the policy is not valid",
            ),
            (
                "engine/src/policy/compile.rs",
                "NODES_MAX",
                "the policy is not valid",
            ),
        ],
    },
    Part {
        title: "What a session remembers",
        limits: &[
            (
                "engine/src/session.rs",
                "SITES_MAX",
                "the half that was used least recently is forgotten",
            ),
            (
                "engine/src/session.rs",
                "NAMES_MAX",
                "the name is refused as a spent `budget`",
            ),
            (
                "engine/src/session.rs",
                "HOSTS_MAX",
                "the host is refused as a spent `budget`",
            ),
            (
                "engine/src/known/pieces.rs",
                "PIECES_MAX",
                "the oldest piece is forgotten",
            ),
        ],
    },
    Part {
        title: "Receipts",
        limits: &[
            (
                "receipt/src/line.rs",
                "LINE_BYTES_MAX",
                "such a line is not valid",
            ),
            (
                "receipt/src/redact.rs",
                "FINDINGS_MAX",
                "further findings are left out of the line",
            ),
            ("receipt/src/redact.rs", "PATH_BYTES_MAX", "cut"),
            ("receipt/src/redact.rs", "NAME_BYTES_MAX", "cut"),
            (
                "receipt/src/verify/walk.rs",
                "UNSIGNED_LINES_MAX",
                "the log does not verify",
            ),
            (
                "proxy/src/evidence/ledger.rs",
                "TURN_WAIT_MAX",
                "the gate does not start, with an error that names the ledger",
            ),
            (
                "proxy/src/evidence/log.rs",
                "BUFFER_BYTES_MAX",
                "the lines are written",
            ),
            (
                "proxy/src/limits.rs",
                "SYNC_THREADS_MAX",
                "the worker's other crossings wait as well",
            ),
        ],
    },
];

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A constant of a source file: its value in words, and its documentation in one line.
fn constant(file: &str, name: &str) -> (String, String) {
    let text = fs::read_to_string(crates().join(file)).unwrap();
    let mut reason: Vec<&str> = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            reason.push(doc.trim());
        } else if let Some(value) = value_of(line, name) {
            let rest = lines.next().unwrap_or_default().trim();
            let value = if value.is_empty() { rest } else { value };
            let reason = reason.join(" ").replace("[`", "`").replace("`]", "`");
            let reason = reason.replace("  ", " ").replace('|', "\\|");
            return (in_words(name, value.trim_end_matches(';')), reason);
        } else if !line.starts_with("#[") {
            reason.clear();
        }
    }
    panic!("{file} has no constant {name}");
}

fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (head, value) = line.split_once('=')?;
    let head = head.split_once("const ")?.1;
    (head.split(':').next()? == name).then(|| value.trim())
}

/// A constant's expression as a person writes it.
fn in_words(name: &str, value: &str) -> String {
    let inner = |start: &str| value.strip_prefix(start)?.split(')').next();
    if let Some(seconds) = inner("Duration::from_secs(") {
        let seconds: u64 = number(seconds);
        return match seconds {
            3600.. if seconds.is_multiple_of(3600) => format!("{} h", seconds / 3600),
            120.. if seconds.is_multiple_of(60) => format!("{} min", seconds / 60),
            _ => format!("{seconds} s"),
        };
    }
    if let Some(millis) = inner("Duration::from_millis(") {
        return format!("{millis} ms");
    }
    let value = inner("NonZeroUsize::new(").unwrap_or(value);
    let amount: u64 = match value.split_once("<<") {
        Some((left, shift)) => number(left) << number(shift),
        None => value.split('*').map(number).product(),
    };
    let amount = if name.ends_with("_KIB") {
        amount * 1024
    } else {
        amount
    };
    let is_bytes = name.contains("BYTES") || name.ends_with("_KIB");
    match (is_bytes, amount) {
        (true, 1_048_576..) if amount.is_multiple_of(1 << 20) => format!("{} MiB", amount >> 20),
        (true, 1024..) if amount.is_multiple_of(1024) => format!("{} KiB", amount >> 10),
        (true, _) => format!("{amount} bytes"),
        (false, _) => amount.to_string(),
    }
}

fn number(text: &str) -> u64 {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    digits
        .parse()
        .unwrap_or_else(|_| panic!("{text} is no number"))
}

fn page() -> String {
    let mut page = HEAD.to_owned();
    for part in PARTS {
        write!(
            page,
            "\n## {}\n\n| limit | default | what and why | past it |\n|---|---|---|---|\n",
            part.title
        )
        .unwrap();
        for (file, name, past) in part.limits {
            let (value, reason) = constant(file, name);
            let crate_name = file.split('/').next().unwrap();
            writeln!(
                page,
                "| `{crate_name}` `{name}` | {value} | {reason} | {past} |"
            )
            .unwrap();
        }
    }
    page
}

#[test]
fn the_page_says_what_the_sources_say() {
    let path = crates().join("../docs/limits.md");
    let page = page();
    if std::env::var("CARBOY_DOCS").as_deref() == Ok("write") {
        fs::write(&path, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "docs/limits.md is old: run CARBOY_DOCS=write cargo test -p carboy-proxy limits"
    );
}

#[test]
fn every_limit_of_the_gate_is_on_the_page() {
    let text = fs::read_to_string(crates().join(LIMITS)).unwrap();
    let told: Vec<_> = PARTS.iter().flat_map(|part| part.limits).collect();
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
    {
        let name = line.split(':').next().unwrap();
        let is_told = told
            .iter()
            .any(|(file, own, _)| *file == LIMITS && *own == name);
        assert!(is_told, "say in this file what happens past {name}");
    }
}

#[test]
fn values_are_written_as_people_do() {
    for (name, value, expect) in [
        ("X_TIMEOUT", "Duration::from_secs(15)", "15 s"),
        ("X_TIMEOUT", "Duration::from_secs(600)", "10 min"),
        ("X_TIMEOUT", "Duration::from_secs(3600)", "1 h"),
        ("X_PAUSE", "Duration::from_millis(20)", "20 ms"),
        ("X_BYTES_MAX", "64 * 1024", "64 KiB"),
        ("X_BYTES_MAX", "4 << 20", "4 MiB"),
        ("X_BYTES_MAX", "513", "513 bytes"),
        ("X_MAX", "NonZeroUsize::new(32_768).expect(\"it\")", "32768"),
        ("X_MAX", "4096", "4096"),
        ("X_MAX_KIB", "66 * 1024", "66 MiB"),
    ] {
        assert_eq!(in_words(name, value), expect, "{name} {value}");
    }
}
