//! `carboy approvals`: calls that wait for a person, and the person's answers.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use carboy_proxy::{Leave, Waiting, answer_call, waiting_calls};

use super::mcp::visible;
use crate::cli::ApprovalsCommand;
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;
use crate::refusals::tool;

/// Does what the command line asks. Without a command, it lists.
pub(super) fn run(command: Option<&ApprovalsCommand>) -> Result<Outcome> {
    let state = paths::state_dir()?;
    match command {
        None => list(&state, Format::Text),
        Some(ApprovalsCommand::List { format }) => list(&state, *format),
        Some(ApprovalsCommand::Allow { id }) => answer(&state, id, Leave::Allow),
        Some(ApprovalsCommand::Deny { id }) => answer(&state, id, Leave::Deny),
    }
}

fn list(state: &Path, format: Format) -> Result<Outcome> {
    let waiting = waiting(state)?;
    match format {
        Format::Json => output::json(&waiting)?,
        Format::Text => output::print(described(&waiting)?)?,
    }
    Ok(Outcome::Clean)
}

fn described(waiting: &[Waiting]) -> Result<String> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.map_or(0, |own| own.as_secs());
    let mut text = String::new();
    for own in waiting {
        let left = own.until.saturating_sub(now);
        let called = tool(&own.server, &own.tool);
        writeln!(text, "{}: a call of {called}, for {left} s more", own.id)?;
        for (id, title) in &own.rules {
            writeln!(text, "  {id}: {}", visible(title))?;
        }
        match &own.arguments {
            Some(arguments) => writeln!(text, "  {}", visible(arguments))?,
            None => writeln!(text, "  (its arguments hold something secret or personal)")?,
        }
    }
    Ok(text)
}

fn answer(state: &Path, id: &str, leave: Leave) -> Result<Outcome> {
    let is_heard = answer_call(state, id, leave).context("cannot write the answer")?;
    if is_heard {
        return Ok(Outcome::Clean);
    }
    let others = waiting(state)?;
    let rest = match others.len() {
        0 => "nothing waits".to_owned(),
        _ => {
            let ids: Vec<_> = others.iter().map(|own| &*own.id).collect();
            format!("these do: {}", ids.join(", "))
        }
    };
    output::note(format_args!(
        "no call waits as {} for an answer; {rest}",
        visible(id)
    ));
    Ok(Outcome::Found)
}

fn waiting(state: &Path) -> Result<Vec<Waiting>> {
    waiting_calls(state).context("cannot read the calls that wait")
}
