//! Passwords in URLs that guard nothing: words that everybody uses, and hosts of one's own machine or of
//! documentation.

use std::ops::Range;

use super::check::{self, Check};
use crate::finding::Severity;

/// Words that development machines and documentation use as passwords, alone or with a few digits or marks.
const WORDS: [&str; 42] = [
    "pass",
    "passw0rd",
    "password",
    "p4ssw0rd",
    "pwd",
    "passwd",
    "secret",
    "mysecret",
    "mypassword",
    "mypass",
    "mysecretpassword",
    "userpass",
    "dbpass",
    "dbpassword",
    "db_password",
    "test",
    "testing",
    "testpass",
    "testpassword",
    "user",
    "username",
    "admin",
    "root",
    "toor",
    "guest",
    "demo",
    "dev",
    "devpass",
    "local",
    "default",
    "postgres",
    "mysql",
    "mariadb",
    "mongo",
    "mongodb",
    "redis",
    "rabbitmq",
    "minio",
    "minioadmin",
    "foobar",
    "letmein",
    "qwerty",
];

/// Hosts of documentation (RFC 2606; RFC 6761), with all below them.
const EXAMPLES: [&str; 7] = [
    "example",
    "example.com",
    "example.net",
    "example.org",
    "test",
    "invalid",
    "localhost",
];

/// Hosts of one's own machine.
const OWN: [&str; 4] = ["host.docker.internal", "[::1]", "0.0.0.0", "::1"];

/// How bad a URL's password is: `url` is all of it, `password` its part.
pub(super) fn severity(
    severity: Severity,
    view: &[u8],
    url: &Range<usize>,
    password: &Range<usize>,
) -> Severity {
    let (user, host) = around(view, url, password);
    let secret = view[password.clone()].to_ascii_lowercase();
    let is_generated =
        check::outcome(&[Check::Setting], &view[password.clone()]) == check::Outcome::Pass;
    let is_word = is_weak(&secret) || secret == user.to_ascii_lowercase();
    match (is_word, is_nobodys(&host.to_ascii_lowercase())) {
        (true, _) => severity.min(Severity::Low),
        (false, true) if is_generated => severity.min(Severity::Medium),
        (false, true) => severity.min(Severity::Low),
        (false, false) => severity,
    }
}

/// The name before a password and the host after it, with its port.
fn around<'a>(view: &'a [u8], url: &Range<usize>, password: &Range<usize>) -> (&'a [u8], &'a [u8]) {
    let before = &view[url.start..password.start.saturating_sub(1).max(url.start)];
    let user = memchr::memmem::rfind(before, b"://").map_or(before, |at| &before[at + 3..]);
    let host = view.get(password.end + 1..url.end).unwrap_or_default();
    (user, host)
}

fn is_weak(password: &[u8]) -> bool {
    let is_added = |byte: &u8| byte.is_ascii_digit() || byte.is_ascii_punctuation();
    let added = password
        .iter()
        .rev()
        .take_while(|byte| is_added(byte))
        .count();
    let word = &password[..password.len() - added];
    let is_row = password
        .windows(2)
        .all(|pair| pair[0] == pair[1] || pair[0].wrapping_add(1) == pair[1]);
    is_row
        || WORDS
            .iter()
            .any(|own| own.as_bytes() == word || own.as_bytes() == password)
}

fn is_nobodys(host: &[u8]) -> bool {
    let is_port = |byte: &u8| byte.is_ascii_digit();
    let name = match host.iter().rposition(|byte| *byte == b':') {
        Some(at) if host[at + 1..].iter().all(is_port) && !host.ends_with(b"]") => &host[..at],
        Some(_) | None => host,
    };
    let is_below = |own: &str| {
        let rest = name.strip_suffix(own.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(b"."))
    };
    name.starts_with(b"127.")
        || OWN.iter().any(|own| own.as_bytes() == name)
        || EXAMPLES.iter().any(|own| is_below(own))
}

#[cfg(test)]
mod tests {
    use super::severity;
    use crate::finding::Severity;

    #[test]
    fn placeholders_and_nobodys_hosts_are_of_less_weight() {
        for (url, expect) in [
            (
                "postgres://app:t4Rx9pQ7wzk@db.internal:5432",
                Severity::High,
            ),
            ("https://bot:Zk8vXw2LmT5nRb7Y@git.corp.io", Severity::High),
            ("postgres://app:correcthorse@db.corp.io", Severity::High),
            ("postgres://user:password123@db.corp.io", Severity::Low),
            ("mysql://root:root1@db", Severity::Low),
            ("amqp://guest:guest@rabbit:5672", Severity::Low),
            ("redis://x:12345678@cache", Severity::Low),
            ("postgres://dbuser:dbuser@db", Severity::Low),
            ("postgres://app:correcthorse@localhost:5432", Severity::Low),
            (
                "postgres://app:t4Rx9pQ7wzk@localhost:5432",
                Severity::Medium,
            ),
            ("https://me:t4Rx9pQ7wzk@api.example.com", Severity::Medium),
            ("https://me:t4Rx9pQ7wzk@[::1]:8080", Severity::Medium),
            ("https://me:t4Rx9pQ7wzk@notexample.com", Severity::High),
            ("https://me:t4Rx9pQ7wzk@127.0.0.1:8080", Severity::Medium),
        ] {
            let start = url.rfind("//").expect("a scheme") + 2;
            let start = start + url[start..].find(':').expect("a name") + 1;
            let end = url.find('@').expect("a host");
            let own = severity(
                Severity::High,
                url.as_bytes(),
                &(0..url.len()),
                &(start..end),
            );
            assert_eq!(own, expect, "{url}");
        }
    }
}
