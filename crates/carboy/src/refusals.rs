//! Tells the user of each refusal when it happens, and of repeats once.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use carboy_engine::{CrossingKind, Reason, Refusal, SurfaceKind};
use carboy_proxy::{Asking, Notice, Observer};
use serde_json::Value;

use crate::output::Paint;

/// Refusals that may wait to be printed; further ones are counted, not kept.
const QUEUE_MAX: usize = 1024;
/// The same refusal is printed again only after this long without it: clients ask for A and AAAA
/// at once, and retry.
const REPEAT_WINDOW: Duration = Duration::from_secs(10);
/// How often a terminal that must not be written to is looked at again.
const BUSY_POLL: Duration = Duration::from_millis(200);
/// Different refusals that are remembered for the window; beyond it the oldest are forgotten.
const REMEMBERED_MAX: usize = 4096;
/// Lines that are kept while the terminal is busy; further ones are counted, not kept.
const HELD_LINES_MAX: usize = 100;

/// Who prints. Dropping every [`Observer`] of it and calling [`Refusals::finish`] ends it.
pub(crate) struct Refusals {
    sender: SyncSender<Event>,
    printer: JoinHandle<()>,
}

/// How a terminal is doing that the command shares with these lines.
pub(crate) trait Screen: Send + 'static {
    /// Whether a line would spoil what a program draws.
    fn is_busy(&self) -> bool;
    /// Whether a line must end with a carriage return too.
    fn is_raw(&self) -> bool;
}

/// Standard error that nobody draws on.
pub(crate) struct PlainScreen;

impl Screen for PlainScreen {
    fn is_busy(&self) -> bool {
        false
    }

    fn is_raw(&self) -> bool {
        false
    }
}

enum Event {
    Refused {
        key: Key,
        line: String,
    },
    /// A call waits for a person. Each is told, however alike they are.
    Asked {
        line: String,
    },
    End,
}

/// Refusals of one key are the same to a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    reason: &'static str,
    rule: Box<str>,
    host: String,
}

impl Refusals {
    /// Starts the printing thread.
    pub(crate) fn start(screen: impl Screen) -> Self {
        let (sender, receiver) = sync_channel(QUEUE_MAX);
        let printer = thread::spawn(move || Printer::new(screen).work(&receiver));
        Self { sender, printer }
    }

    /// What the gate tells.
    pub(crate) fn observer(&self) -> Arc<dyn Observer> {
        Arc::new(Teller {
            sender: self.sender.clone(),
        })
    }

    /// Prints what is left. Call it when the command has ended and the terminal is free.
    pub(crate) fn finish(self) {
        // Waits for room; the printer is alive until it has read this.
        let _ = self.sender.send(Event::End);
        let _ = self.printer.join();
    }
}

/// Tells nobody.
pub(crate) struct Silence;

impl Observer for Silence {
    fn refused(&self, _: &Notice<'_>) {}

    fn asked(&self, _: &Asking<'_>) {}
}

struct Teller {
    sender: SyncSender<Event>,
}

impl Observer for Teller {
    fn refused(&self, notice: &Notice<'_>) {
        // Who went away half-way knows it, and nobody refused anything.
        if notice.refusal.reason == Reason::Dropped {
            return;
        }
        // A gate must not wait for a terminal. The receipt has what a full queue drops.
        let _ = self.sender.try_send(Event::Refused {
            key: key(notice),
            line: line(notice),
        });
    }

    fn asked(&self, asking: &Asking<'_>) {
        // `carboy approvals list` has what a full queue drops.
        let _ = self.sender.try_send(Event::Asked {
            line: question(asking),
        });
    }
}

/// What waits, why, how long, and the command that answers. Never the call's arguments.
fn question(asking: &Asking<'_>) -> String {
    let (id, plea) = (asking.id, asking.plea);
    let rules: Vec<_> = plea
        .rules
        .iter()
        .map(|(id, title)| format!("{id}: {title}"))
        .collect();
    format!(
        "a call of {} waits up to {} s for your leave ({}); see it with `carboy approvals list`, \
         answer with `carboy approvals allow {id}` or `carboy approvals deny {id}`",
        tool(&plea.server, &plea.tool),
        plea.wait.as_secs(),
        rules.join("; "),
    )
}

/// A tool in words.
pub(crate) fn tool(server: &str, tool: &str) -> String {
    match tool {
        "" => format!("a tool of {server}"),
        tool => format!("the tool {tool} of {server}"),
    }
}

fn key(notice: &Notice<'_>) -> Key {
    // A budget that is spent is spent for the next name as well.
    let is_budget = notice.refusal.reason == Reason::Budget;
    let host = match is_budget {
        true => notice.target.host.site().into(),
        false => host(notice),
    };
    Key {
        reason: notice.refusal.reason.as_str(),
        rule: notice.refusal.rule.clone(),
        host,
    }
}

/// What, which rule, where, how to allow it, the crossing's id.
fn line(notice: &Notice<'_>) -> String {
    let refusal = notice.refusal;
    let verb = if notice.shadow {
        "would refuse"
    } else {
        "refused"
    };
    let rule = match &*refusal.rule {
        "" => String::new(),
        rule => format!(" by {rule}"),
    };
    format!(
        "{verb} {}: {}{rule}: {}{}; {} [{}]",
        what(notice),
        refusal.reason.as_str(),
        sentence(&refusal.message),
        place(refusal),
        remedy(&refusal.remedy),
        notice.id
    )
}

fn what(notice: &Notice<'_>) -> String {
    let (host, port) = (host(notice), notice.target.port);
    let scheme = notice.target.scheme.as_str();
    if notice.target.is_unknown() {
        let method = notice.method.unwrap_or("a request");
        return format!("{method} that names no target");
    }
    match notice.kind {
        CrossingKind::DnsQuery => format!("the name {host}"),
        CrossingKind::Tunnel => format!("a tunnel to {host}:{port}"),
        CrossingKind::TcpConnection => format!("TCP to {host}:{port}"),
        CrossingKind::TcpResponse => format!("TCP from {host}:{port}"),
        CrossingKind::HttpRequest => {
            format!(
                "{} {scheme}://{host}:{port}",
                notice.method.unwrap_or("a request to")
            )
        }
        CrossingKind::HttpResponse => format!("a response from {scheme}://{host}:{port}"),
        CrossingKind::McpRequest => {
            format!(
                "{} to the MCP server {host}",
                notice.method.unwrap_or("a message")
            )
        }
        CrossingKind::McpResponse => match notice.method {
            Some(method) => format!("the answer to {method} from the MCP server {host}"),
            None => format!("a message from the MCP server {host}"),
        },
        CrossingKind::WsMessage => format!("a WebSocket message to {host}:{port}"),
        CrossingKind::WsReply => format!("a WebSocket message from {host}:{port}"),
    }
}

/// The far end, unless what was found is in its name.
fn host(notice: &Notice<'_>) -> String {
    let in_name = notice
        .refusal
        .locus
        .as_ref()
        .is_some_and(|locus| matches!(locus.surface, SurfaceKind::Host | SurfaceKind::Url));
    match in_name {
        true => "(name withheld)".to_owned(),
        false => notice.target.host.to_string(),
    }
}

/// Where, unless the message says it.
fn place(refusal: &Refusal) -> String {
    let locus = refusal.locus.as_ref().map(ToString::to_string);
    let untold = locus.filter(|locus| !refusal.message.contains(locus));
    untold.map_or_else(String::new, |locus| format!(" ({locus})"))
}

/// A remedy's first line says what to do with the policy lines after it; these go on the same
/// line in YAML's flow form, so that they can still be pasted.
fn remedy(text: &str) -> String {
    let Some((lead, lines)) = text.split_once('\n') else {
        return text.to_owned();
    };
    match serde_saphyr::from_str::<Value>(lines) {
        Ok(Value::Object(keys)) => {
            let flow = keys.iter().map(|(key, value)| format!(" {key}: {value}"));
            format!("{lead}{}", flow.collect::<String>())
        }
        _ => one_line(text),
    }
}

fn sentence(text: &str) -> String {
    one_line(text.trim_end_matches('.'))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join(" ")
}

struct Printer<S> {
    screen: S,
    paint: Paint,
    seen: HashMap<Key, Instant>,
    held: Vec<String>,
    unheld: usize,
}

impl<S: Screen> Printer<S> {
    fn new(screen: S) -> Self {
        Self {
            screen,
            paint: Paint::on(&io::stderr()),
            seen: HashMap::new(),
            held: Vec::new(),
            unheld: 0,
        }
    }

    fn work(mut self, events: &Receiver<Event>) {
        loop {
            match self.next(events) {
                Ok(Event::Refused { key, line }) => self.take(key, line),
                Ok(Event::Asked { line }) => self.hold(line),
                Err(RecvTimeoutError::Timeout) => self.release(),
                Ok(Event::End) | Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.print_held();
    }

    fn next(&self, events: &Receiver<Event>) -> Result<Event, RecvTimeoutError> {
        match self.held.is_empty() {
            true => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
            false => events.recv_timeout(BUSY_POLL),
        }
    }

    fn take(&mut self, key: Key, line: String) {
        if !self.is_repeat(key) {
            self.hold(line);
        }
    }

    fn hold(&mut self, line: String) {
        match self.held.len() < HELD_LINES_MAX {
            true => self.held.push(line),
            false => self.unheld += 1,
        }
        self.release();
    }

    fn is_repeat(&mut self, key: Key) -> bool {
        let now = Instant::now();
        if self.seen.len() >= REMEMBERED_MAX {
            self.seen
                .retain(|_, last| now.duration_since(*last) < REPEAT_WINDOW);
        }
        if self.seen.len() >= REMEMBERED_MAX {
            self.seen.clear();
        }
        let last = self.seen.insert(key, now);
        last.is_some_and(|last| now.duration_since(last) < REPEAT_WINDOW)
    }

    fn release(&mut self) {
        if !self.screen.is_busy() {
            self.print_held();
        }
    }

    fn print_held(&mut self) {
        let end = if self.screen.is_raw() { "\r\n" } else { "\n" };
        let mut text = String::new();
        for line in self.held.drain(..) {
            text.push_str(&format!("carboy: {}{end}", self.paint.yellow(line)));
        }
        if self.unheld > 0 {
            let more = std::mem::take(&mut self.unheld);
            text.push_str(&format!(
                "carboy: and {more} more; the receipts have them all{end}"
            ));
        }
        // A closed standard error is nobody's concern.
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests;
