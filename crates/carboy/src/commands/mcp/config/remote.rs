//! Entries of remote servers: led through `carboy mcp connect`, which the client starts, and back.

use std::ops::Range;

use url::Url;

use super::document::{Document, Edit, Entry, Server, quoted};
use super::secrets::Secrets;

/// What the names of variables that carry headers' values begin with.
const VARIABLE: &str = "CARBOY_HEADER_";

/// Names of members by which a client signs in itself.
pub(super) const SIGN_INS: [&str; 8] = [
    "auth",
    "authProviderType",
    "bearer_token_env_var",
    "env_http_headers",
    "headersHelper",
    "oauth",
    "oauth_resource",
    "scopes",
];

/// Why a remote server's entry is not rewritten, with a policy of its own or without.
pub(super) fn obstacle(
    server: &Server,
    secrets: &Secrets,
    has_policy: bool,
) -> Option<&'static str> {
    let Entry {
        headers,
        variables,
        signs_in,
        ..
    } = &server.entry;
    let url = server.url.as_deref().unwrap_or_default();
    let url_read = Url::parse(url).ok();
    let is_plain = |url: &Url| {
        let is_known = matches!(url.scheme(), "http" | "https" | "ws" | "wss");
        is_known && url.username().is_empty() && url.password().is_none()
    };
    if !url_read.as_ref().is_some_and(is_plain) {
        Some("its URL is none that could be connected to")
    } else if secrets.words(&[url.to_owned()])[0] {
        Some("its URL holds a secret, which a command line would show to every process")
    } else if !has_policy && url_read.as_ref().is_some_and(is_near) {
        Some("its address is private: name a policy that allows it (egress.private) with --policy")
    } else if *signs_in {
        Some("the client signs in by itself")
    } else if variables.is_some() {
        Some("it has variables, as a local server has")
    } else if headers.as_ref().is_some_and(|own| own.whole.is_empty()) {
        Some("its headers stand in a table of their own")
    } else {
        None
    }
}

/// Whether a URL leads to where a policy must allow it by itself.
fn is_near(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(addr)) => addr.is_loopback() || addr.is_private(),
        Some(url::Host::Ipv6(addr)) => addr.is_loopback() || addr.is_unique_local(),
        None => false,
    }
}

/// The words that reach a server, as the entry's headers want it.
pub(super) fn words(server: &Server, lead: &[&str]) -> Vec<String> {
    let mut words: Vec<String> = lead.iter().map(|word| (*word).to_owned()).collect();
    for (name, _) in &server.headers {
        words.push("--header-env".to_owned());
        words.push(format!("{name}={}", variable(name)));
    }
    words.extend(server.url.clone());
    words
}

/// The edits that make a remote server's entry a local one of these words.
pub(super) fn lead_edits(document: &Document, server: &Server, words: &[String]) -> Vec<Edit> {
    let entry = &server.entry;
    let Some(url) = &entry.url else {
        return Vec::new();
    };
    let is_whole = entry.kind.as_ref().is_some_and(|own| own.0 == "remote");
    let list = |words: &[String]| {
        let words: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        format!("[{}]", words.join(", "))
    };
    let command = match is_whole {
        true => document.member("command", &list(words)),
        false => {
            let program = document.member("command", &quoted(&words[0]));
            let arguments = document.member("args", &list(&words[1..]));
            format!("{program}{}{arguments}", document.between(url.start))
        }
    };
    let mut edits = vec![(url.clone(), command)];
    if let Some((_, kind)) = &entry.kind {
        let local = if is_whole { "local" } else { "stdio" };
        edits.push((kind.clone(), quoted(local)));
    }
    if let Some(headers) = &entry.headers {
        let values = headers.values.iter();
        let values = values.map(|(name, value)| (variable(name), value.clone()));
        let name = if is_whole { "environment" } else { "env" };
        let text = document.member(name, &document.map(values));
        edits.push((headers.whole.clone(), text));
    }
    edits
}

/// The edits that make an entry that was led so a remote server's again. `was` is the entry as it was.
pub(super) fn free_edits(
    document: &Document,
    server: &Server,
    was: Option<(&Document, &Server)>,
) -> Vec<Edit> {
    let (Some(url), Some(command)) = (url_of(&server.command), &server.entry.command) else {
        return Vec::new();
    };
    let text = |range: fn(&Entry) -> Option<&Range<usize>>| {
        let (document, server) = was?;
        Some(document.text[range(&server.entry)?.clone()].to_owned())
    };
    let end = server.entry.arguments.as_ref().unwrap_or(command).end;
    let is_whole = server.entry.arguments.is_none();
    let own_url = text(|entry| entry.url.as_ref());
    let own_url = own_url.unwrap_or_else(|| document.member("url", &quoted(url)));
    let mut edits = vec![(command.start..end, own_url)];
    if let Some((_, kind)) = &server.entry.kind {
        let remote = if is_whole { "remote" } else { "http" };
        let own = text(|entry| entry.kind.as_ref().map(|own| &own.1));
        edits.push((kind.clone(), own.unwrap_or_else(|| quoted(remote))));
    }
    if let Some(variables) = &server.entry.variables {
        let own = text(|entry| entry.headers.as_ref().map(|own| &own.whole));
        let own = own.or_else(|| {
            let named = header_variables(&server.command);
            let values = variables.values.iter().filter_map(|(variable, value)| {
                let (header, _) = named.iter().find(|(_, own)| own == variable)?;
                Some(((*header).to_owned(), value.clone()))
            });
            let headers = document.map(values);
            (!named.is_empty()).then(|| document.member(document.headers_name(), &headers))
        });
        edits.extend(own.map(|own| (variables.whole.clone(), own)));
    }
    edits
}

/// The URL that a command connects to, if it is `carboy mcp connect`.
pub(super) fn url_of(command: &[String]) -> Option<&str> {
    let [program, rest @ ..] = command else {
        return None;
    };
    let program = std::path::Path::new(program).file_stem()?.to_str()?;
    let is_own =
        program.starts_with("carboy") && rest.first()? == "mcp" && rest.get(1)? == "connect";
    is_own.then(|| rest.last().map(String::as_str)).flatten()
}

fn header_variables(command: &[String]) -> Vec<(&str, &str)> {
    let given = command.windows(2).filter(|pair| pair[0] == "--header-env");
    given.filter_map(|pair| pair[1].split_once('=')).collect()
}

fn variable(header: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    VARIABLE.chars().chain(header.chars().map(plain)).collect()
}
