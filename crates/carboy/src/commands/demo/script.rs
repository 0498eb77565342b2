//! What the program in the demo's bottle does.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use crate::client::{self, Answer, Request};
use crate::output;
use crate::stage;

pub(super) const RESULT_FILE: &str = "scenes.json";
pub(super) const ALLOWED_PATH: &str = "/hello";
pub(super) const DENIED_PATH: &str = "/paste";
pub(super) const LEAK_PATH: &str = "/notes";

/// Time for the gate's own line about a scene to appear before the next scene begins.
const SCENE_PAUSE: Duration = Duration::from_millis(250);
/// How long the escape waits for an answer that must not come.
const ANSWER_WAIT: Duration = Duration::from_secs(3);

/// Which scenes went as told, as far as can be seen inside.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Scenes {
    pub(super) allowed: bool,
    pub(super) denied: bool,
    pub(super) leak: bool,
    pub(super) direct: bool,
}

/// Plays the four scenes.
pub(crate) fn play(allowed: &str, denied: &str, direct: SocketAddr) -> Result<()> {
    let scenes = Scenes {
        allowed: allowed_request(allowed)?,
        denied: denied_host(denied)?,
        leak: leaked_key(allowed)?,
        direct: direct_socket(direct)?,
    };
    fs::write(RESULT_FILE, serde_json::to_vec(&scenes)?).context("cannot write the result")
}

fn allowed_request(origin: &str) -> Result<bool> {
    let url = format!("{origin}{ALLOWED_PATH}");
    scene("1. A request that the policy allows", &format!("GET {url}"))?;
    let answer = client::send(Request {
        method: "GET",
        url: &url,
        ..Request::default()
    });
    tell(&answer)?;
    Ok(answer.is_ok_and(|answer| answer.status == 200))
}

fn denied_host(origin: &str) -> Result<bool> {
    let url = format!("{origin}{DENIED_PATH}");
    scene("2. A host that it does not list", &format!("GET {url}"))?;
    let answer = client::send(Request {
        method: "GET",
        url: &url,
        ..Request::default()
    });
    tell(&answer)?;
    Ok(answer.map_or(true, |answer| answer.header("carboy-decision").is_some()))
}

fn leaked_key(origin: &str) -> Result<bool> {
    let url = format!("{origin}{LEAK_PATH}");
    let note = format!("aws_access_key_id = {}", stage::made_up_credential()?);
    let body = BASE64.encode(note.as_bytes());
    scene(
        "3. A cloud key, hidden in base64, on its way to the allowed host",
        &format!("POST {url}  {body}"),
    )?;
    let answer = client::send(Request {
        method: "POST",
        url: &url,
        header: None,
        body: &body,
    });
    tell(&answer)?;
    Ok(answer.is_ok_and(|answer| answer.header("carboy-decision").is_some()))
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is the bottle's side of the wall"
)]
fn direct_socket(to: SocketAddr) -> Result<bool> {
    scene(
        "4. A raw socket that ignores every proxy setting",
        &format!("connect {to}"),
    )?;
    let caught = match TcpStream::connect_timeout(&to, ANSWER_WAIT) {
        Err(error) => Some(error.to_string()),
        Ok(stream) => converse(stream),
    };
    match &caught {
        Some(why) => output::line(format_args!("   <- {why}"))?,
        None => output::line("   <- somebody answered")?,
    }
    thread::sleep(SCENE_PAUSE);
    output::line("")?;
    Ok(caught.is_some())
}

/// What stopped the conversation, or nothing if somebody answered.
fn converse(mut stream: TcpStream) -> Option<String> {
    let mut answer = Vec::new();
    let exchange = stream
        .set_read_timeout(Some(ANSWER_WAIT))
        .and_then(|()| stream.write_all(b"let me out\n"))
        .and_then(|()| stream.read_to_end(&mut answer));
    match exchange {
        Err(error) => Some(format!("no answer: {error}")),
        Ok(0) => Some("the connection was closed without an answer".to_owned()),
        Ok(_) => {
            let text = String::from_utf8_lossy(&answer);
            let refused = text.to_ascii_lowercase().contains("\r\ncarboy-decision:");
            refused.then(|| text.lines().next().unwrap_or_default().to_owned())
        }
    }
}

fn scene(title: &str, action: &str) -> Result<()> {
    output::line(title)?;
    output::line(format_args!("   -> {action}"))?;
    Ok(())
}

fn tell(answer: &Result<Answer>) -> Result<()> {
    match answer {
        Ok(answer) => output::line(format_args!("   <- {} {}", answer.status, shown(answer)))?,
        Err(error) => output::line(format_args!("   <- {error:#}"))?,
    }
    thread::sleep(SCENE_PAUSE);
    output::line("")?;
    Ok(())
}

/// A refusal's reason, or the answer itself.
fn shown(answer: &Answer) -> String {
    match answer.header("carboy-reason") {
        Some(reason) => format!("refused by carboy: {reason}"),
        None => format!("{:?}", answer.body.trim()),
    }
}
