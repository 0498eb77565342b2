//! Servers started to see what they offer: each in a bottle, behind the gate, as `carboy mcp wrap --bottle` does.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::{Value, json};

use super::document::Server;
use super::install::{name_of, own_command};
use super::scan::shown;
use super::secrets::{Secrets, is_reference};
use crate::output;

/// How long a server may take to say one thing. Its first start may fetch it and all that it needs.
const ANSWER_WAIT: Duration = Duration::from_secs(120);

/// How long it may take to end once its input is closed.
const END_WAIT: Duration = Duration::from_secs(5);

/// Pages of tools that are asked for.
const PAGES_MAX: usize = 100;

/// Lines of a server's that may wait to be read.
const LINES_MAX: usize = 64;

/// The revision of the protocol that is asked for.
const REVISION: &str = "2025-11-25";

/// What came of a start. It holds no value of the configuration.
#[derive(Debug, Serialize)]
pub(super) struct Started {
    pub(super) server: String,
    /// The tools that it lists, where they were let pass.
    pub(super) tools: Vec<String>,
    #[serde(skip)]
    pub(super) trouble: Option<Trouble>,
}

/// What is wrong with what a server says.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) rule: &'static str,
    pub(super) severity: &'static str,
    pub(super) message: String,
    pub(super) remedy: String,
}

/// A server that can be started: a local one.
pub(super) fn is_startable(server: &Server) -> bool {
    !own_command(&server.command).is_empty()
}

/// Says what will be started.
pub(super) fn announce(servers: &[&Server], secrets: &Secrets) {
    for server in servers {
        let command = own_command(&server.command);
        let hidden = secrets.words(command);
        let words = command.iter().zip(hidden);
        let words = words.map(|(word, is_secret)| match is_secret {
            true => "***".to_owned(),
            false => shown(word),
        });
        let (name, words) = (shown(&server.name), words.collect::<Vec<_>>().join(" "));
        output::note(format_args!("starts {name} in a bottle: {words}"));
    }
}

/// Starts a server, lists its tools, and ends it.
///
/// # Errors
/// When this program itself cannot be started.
pub(super) fn start(server: &Server, policy: Option<&str>) -> Result<Started> {
    let mut command = command(server, policy)?;
    let child = command.spawn().context("cannot start carboy itself")?;
    let mut session = Session::over(child)?;
    let listed = session.list();
    session.end();
    let (tools, trouble) = match listed {
        Ok(tools) => (tools, None),
        Err(trouble) => (Vec::new(), Some(trouble)),
    };
    Ok(Started {
        server: shown(&server.name),
        tools,
        trouble,
    })
}

fn command(server: &Server, policy: Option<&str>) -> Result<Command> {
    let own = std::env::current_exe().context("cannot tell where carboy itself is")?;
    let mut command = Command::new(own);
    // What it writes to the workspace is nobody's wish.
    command.args([
        "mcp",
        "wrap",
        "--bottle",
        "--quiet",
        "--workspace",
        "overlay",
    ]);
    command.arg("--name").arg(name_of_kept(server));
    if let Some(policy) = policy {
        command.args(["--policy", policy]);
    }
    let is_value = |own: &&(String, String)| !is_reference(&own.1);
    for (name, value) in server.variables.iter().filter(is_value) {
        // A value must not stand in a command line, where every process can read it.
        command.arg("--env").arg(name).env(name, value);
    }
    command.arg("--").args(own_command(&server.command));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command.stderr(Stdio::null());
    Ok(command)
}

/// The name under which its tools are kept: that which it is wrapped by, or would be.
fn name_of_kept(server: &Server) -> String {
    let words = server.command.windows(2);
    let lead = server.command.len() - own_command(&server.command).len();
    let named = words.take(lead).find(|pair| pair[0] == "--name");
    named.map_or_else(|| name_of(&server.name), |pair| pair[1].clone())
}

/// A server that runs, and what it says.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    asked: u64,
}

impl Session {
    fn over(mut child: Child) -> Result<Self> {
        let output = child.stdout.take().context("no standard output")?;
        Ok(Self {
            input: child.stdin.take(),
            lines: lines(output),
            child,
            asked: 0,
        })
    }

    /// The names of the tools that are let pass.
    fn list(&mut self) -> Result<Vec<String>, Trouble> {
        let client = json!({"name": "carboy", "version": env!("CARGO_PKG_VERSION")});
        self.ask(
            "initialize",
            &json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": client}),
        )?;
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}))?;
        let (mut tools, mut params) = (Vec::new(), json!({}));
        for _ in 0..PAGES_MAX {
            let page = self.ask("tools/list", &params)?;
            let listed = page["tools"].as_array().into_iter().flatten();
            tools.extend(listed.filter_map(|tool| tool["name"].as_str().map(shown)));
            match page["nextCursor"].as_str() {
                Some(cursor) => params = json!({ "cursor": cursor }),
                None => break,
            }
        }
        Ok(tools)
    }

    fn ask(&mut self, method: &str, params: &Value) -> Result<Value, Trouble> {
        self.asked += 1;
        let id = self.asked;
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}))?;
        let until = Instant::now() + ANSWER_WAIT;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).map_err(|error| match error {
                RecvTimeoutError::Timeout => Trouble::silent("it does not answer"),
                RecvTimeoutError::Disconnected => {
                    Trouble::silent("it ended, or could not be started")
                }
            })?;
            // What passes the gate is JSON, and what has another id is none of this.
            let mut said: Value = serde_json::from_str(&line).unwrap_or_default();
            if said["id"] != id {
                continue;
            }
            return match said.get("error") {
                None => Ok(said["result"].take()),
                Some(error) => Err(Trouble::of(method, error)),
            };
        }
    }

    fn say(&mut self, message: &Value) -> Result<(), Trouble> {
        let written = self
            .input
            .as_mut()
            .map(|input| writeln!(input, "{message}"));
        match written {
            Some(Ok(())) => Ok(()),
            Some(Err(_)) | None => Err(Trouble::silent("it ended, or could not be started")),
        }
    }

    /// Closes its input, and waits for its end for a while.
    fn end(mut self) {
        drop(self.input.take());
        let until = Instant::now() + END_WAIT;
        while Instant::now() < until {
            match self.child.try_wait() {
                Ok(None) => thread::sleep(Duration::from_millis(20)),
                Ok(Some(_)) | Err(_) => return,
            }
        }
        // Its bottle ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Trouble {
    fn silent(how: &str) -> Self {
        Self {
            rule: "not-started",
            severity: "medium",
            message: how.to_owned(),
            remedy: "see why with carboy mcp wrap --bottle -- and its command".to_owned(),
        }
    }

    /// An error that is a refusal, or the server's own, whose words are not shown.
    fn of(method: &str, error: &Value) -> Self {
        let data = &error["data"];
        let reason = data["reason"].as_str().unwrap_or_default();
        let (rule, severity) = match reason {
            "tool_changed" => ("tool-changed", "high"),
            "tool_lookalike" => ("tool-lookalike", "high"),
            "injection" => ("tool-injection", "high"),
            "" => ("not-listed", "low"),
            _ => ("refused", "medium"),
        };
        let own = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
        match reason {
            "" => Self {
                rule,
                severity,
                message: format!("it answers {method} with an error"),
                remedy: "see what it says with carboy mcp wrap --bottle -- and its command"
                    .to_owned(),
            },
            _ => Self {
                rule,
                severity,
                message: own("message"),
                remedy: own("remedy"),
            },
        }
    }
}

/// What a server says, line by line.
fn lines(output: ChildStdout) -> Receiver<String> {
    let (to, lines) = sync_channel(LINES_MAX);
    thread::spawn(move || {
        for line in BufReader::new(output).lines() {
            let Ok(line) = line else { return };
            if to.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
