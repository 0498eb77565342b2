//! `carboy policy`: validate, print, describe.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use carboy_engine::Policy;
use serde_json::json;

use crate::cli::PolicyCommand;
use crate::outcome::Outcome;
use crate::output::{self, Format, Paint};
use crate::policies;

/// Runs a `policy` command.
pub(crate) fn run(command: &PolicyCommand) -> Result<Outcome> {
    match command {
        PolicyCommand::Check { policy, format } => check(policy.as_deref(), *format),
        PolicyCommand::Show { policy, format } => show(policy.as_deref(), *format),
        PolicyCommand::Schema => {
            output::json(&Policy::json_schema())?;
            Ok(Outcome::Clean)
        }
    }
}

fn check(choice: Option<&str>, format: Format) -> Result<Outcome> {
    let chosen = policies::choose(choice)?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let warnings: Vec<String> = chosen
        .policy
        .warnings(now)
        .iter()
        .map(ToString::to_string)
        .collect();
    match format {
        Format::Json => output::json(&json!({
            "source": chosen.source.to_string(),
            "valid": true,
            "mode": chosen.policy.mode().as_str(),
            "digest": chosen.policy.digest().to_string(),
            "warnings": warnings,
        }))?,
        Format::Text => {
            let paint = Paint::on(&std::io::stdout());
            let (mode, digest) = (chosen.policy.mode().as_str(), chosen.policy.digest());
            let valid = paint.green("valid");
            output::line(format_args!(
                "{valid} {}: mode {mode}, digest {digest}",
                chosen.source
            ))?;
            for warning in warnings {
                output::line(format_args!("{} {warning}", paint.yellow("warning")))?;
            }
        }
    }
    Ok(Outcome::Clean)
}

fn show(choice: Option<&str>, format: Format) -> Result<Outcome> {
    let chosen = policies::choose(choice)?;
    match format {
        Format::Text => output::print(chosen.policy.to_yaml())?,
        Format::Json => {
            let file: serde_json::Value = serde_saphyr::from_str(&chosen.policy.to_yaml())?;
            output::json(&file)?;
        }
    }
    Ok(Outcome::Clean)
}
