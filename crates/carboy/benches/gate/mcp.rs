//! MCP over pipes: calls of a tool, of a server that is wrapped and of one that is not.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::groups::{ROUNDS, STRETCH, add_stretches, middle};
use crate::load::{Stretch, median};
use crate::subject::Bench;
use crate::table::Table;

/// The argument with which this program is the server.
pub(crate) const SERVER: &str = "mcp-server";

/// Budgets that a stretch of calls does not spend.
const POLICY: &str = "\
version: 1
mode: strict
tools:
  limits: {calls_per_minute: 1000000000, tool_calls_per_minute: 1000000000, arguments_per_minute: off, repeats: 1000000000}
";

pub(crate) fn mcp(table: &mut Table) -> Result<()> {
    let bench = Bench::new()?;
    std::fs::write(bench.path("tools.yaml"), POLICY)?;
    let server = std::env::current_exe()?;
    let direct = || {
        let mut command = Command::new(&server);
        command.arg(SERVER);
        command
    };
    let wrapped = || {
        let mut command = bench.carboy();
        command
            .args(["mcp", "wrap", "--quiet", "--policy", "tools.yaml"])
            .args(["--name", "bench", "--"])
            .arg(&server)
            .arg(SERVER);
        command
    };
    let (mut throughs, mut pasts) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        pasts.push(Talk::begin(direct())?.stretch()?);
        throughs.push(Talk::begin(wrapped())?.stretch()?);
    }
    let (through, past) = (middle(throughs)?, middle(pasts)?);
    let what = "MCP over pipes, calls of a tool one after the other";
    add_stretches(table, what, None, through, past);
    add_stretches(
        table,
        &format!("{what}, p50"),
        Some("none set"),
        through,
        past,
    );
    Ok(())
}

/// A client's talk with a server that it has started.
struct Talk {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    line: String,
}

impl Talk {
    fn begin(mut command: Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let to = child.stdin.take().context("the server's input is piped")?;
        let from = child.stdout.take().context("its output is piped")?;
        let mut talk = Self {
            child,
            to,
            from: BufReader::new(from),
            line: String::new(),
        };
        let client = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}"#;
        talk.ask(&format!(
            r#"{{"jsonrpc":"2.0","id":"a","method":"initialize","params":{client}}}"#
        ))?;
        talk.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
        talk.ask(r#"{"jsonrpc":"2.0","id":"b","method":"tools/list"}"#)?;
        Ok(talk)
    }

    fn say(&mut self, message: &str) -> Result<()> {
        self.to.write_all(message.as_bytes())?;
        self.to.write_all(b"\n")?;
        Ok(self.to.flush()?)
    }

    fn ask(&mut self, message: &str) -> Result<()> {
        self.say(message)?;
        self.line.clear();
        self.from.read_line(&mut self.line)?;
        ensure!(self.line.contains("\"result\""), "answered: {}", self.line);
        Ok(())
    }

    /// Calls, each when the last is answered.
    fn stretch(mut self) -> Result<Stretch> {
        let (start, mut times) = (Instant::now(), Vec::new());
        let mut before = start;
        while before - start < STRETCH {
            let number = times.len();
            self.ask(&format!(
                r#"{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{{"name":"note","arguments":{{"title":"page {number}","text":"a few words, as one writes them into a note"}}}}}}"#
            ))?;
            let now = Instant::now();
            times.push(now - before);
            before = now;
        }
        let answers = times.len() as u64;
        Ok(Stretch {
            answers,
            per_second: answers as f64 / start.elapsed().as_secs_f64(),
            p50: median(&mut times).context("no call was answered")?,
        })
    }
}

impl Drop for Talk {
    fn drop(&mut self) {
        // It is this bench's own child; if it is gone already there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server: it has one tool, which says that a note was taken.
pub(crate) fn serve() -> Result<()> {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let Some(id) = id_of(&line) else {
            continue;
        };
        let result = if line.contains("\"initialize\"") {
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"bench","version":"1"}}"#
        } else if line.contains("\"tools/list\"") {
            r#"{"tools":[{"name":"note","description":"Takes a note.","inputSchema":{"type":"object","properties":{"title":{"type":"string"},"text":{"type":"string"}}}}]}"#
        } else {
            r#"{"content":[{"type":"text","text":"The note was taken, and is in the list of today."}]}"#
        };
        writeln!(out, r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)?;
        out.flush()?;
    }
    Ok(())
}

/// The id of a request of [`Talk`]'s, as it stands there.
fn id_of(line: &str) -> Option<&str> {
    line.split("\"id\":").nth(1)?.split([',', '}']).next()
}
