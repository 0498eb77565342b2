//! Comments that allow a finding: `carboy:allow RULE: reason`, on its line or alone on the one above.

/// What begins such a comment.
const MARKER: &[u8] = b"carboy:allow";

/// Whether a finding's lines allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Allowance {
    /// No comment names its rule.
    Absent,
    /// A comment names it, and gives a reason.
    Given,
    /// A comment names it, and gives none: it allows nothing.
    Unreasoned,
}

impl Allowance {
    /// What the line of a finding of `rule` says, before and after it, and the line above.
    pub(crate) fn of(rule: &str, [before, after, above]: [&[u8]; 3]) -> Self {
        let above = match find(above) {
            Some(at) if is_comment_only(&above[..at]) => above,
            _ => &[],
        };
        let parts = [before, after, above].map(|part| in_part(rule, part));
        match () {
            () if parts.contains(&Self::Given) => Self::Given,
            () if parts.contains(&Self::Unreasoned) => Self::Unreasoned,
            () => Self::Absent,
        }
    }
}

/// Whether a part of a line may matter to findings below it.
pub(crate) fn is_marked(line: &[u8]) -> bool {
    find(line).is_some()
}

fn find(line: &[u8]) -> Option<usize> {
    memchr::memmem::find(line, MARKER)
}

fn is_comment_only(before: &[u8]) -> bool {
    !before.iter().any(|byte| byte.is_ascii_alphanumeric())
}

/// Reads each marker of a part. What is after a finding's own bytes is in a part of its own, so that no
/// secret is taken for a reason.
fn in_part(rule: &str, part: &[u8]) -> Allowance {
    let mut allowance = Allowance::Absent;
    for at in memchr::memmem::find_iter(part, MARKER) {
        let rest = part[at + MARKER.len()..].trim_ascii_start();
        let is_id = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        let id_len = rest.iter().take_while(|byte| is_id(byte)).count();
        if &rest[..id_len] != rule.as_bytes() {
            continue;
        }
        let reason = rest[id_len..].trim_ascii_start().strip_prefix(b":");
        let is_reason =
            |reason: &[u8]| reason.iter().any(u8::is_ascii_alphabetic) || !reason.is_ascii();
        match reason.is_some_and(is_reason) {
            true => return Allowance::Given,
            false => allowance = Allowance::Unreasoned,
        }
    }
    allowance
}

#[cfg(test)]
mod tests {
    use super::Allowance;

    fn check(before: &str, after: &str, above: &str, expected: Allowance) {
        let lines = [before, after, above].map(str::as_bytes);
        let allowance = Allowance::of("some-key", lines);
        assert_eq!(allowance, expected, "{before} | {after} | {above}");
    }

    #[test]
    fn a_comment_allows_by_rule_and_reason() {
        use Allowance::{Absent, Given, Unreasoned};
        for (before, after, above, expected) in [
            (
                "key = '",
                "KEY' # carboy:allow some-key: made up",
                "",
                Given,
            ),
            ("/* carboy:allow some-key: test */ '", "KEY'", "", Given),
            ("", "KEY", "# carboy:allow some-key: made up", Given),
            ("", "KEY", "    <!-- carboy:allow some-key: x -->", Given),
            ("", "KEY // carboy:allow some-key : why not", "", Given),
            ("", "KEY # carboy:allow some-key: 例", "", Given),
            ("", "KEY # carboy:allow some-key", "", Unreasoned),
            ("", "KEY # carboy:allow some-key:", "", Unreasoned),
            ("", "KEY # carboy:allow some-key: ...", "", Unreasoned),
            ("/* carboy:allow some-key: */ '", "KEY'", "", Unreasoned),
            ("", "KEY # carboy:allow other-key: reason", "", Absent),
            ("", "KEY # carboy:allow some-keys: reason", "", Absent),
            ("", "KEY # carboy:allow: reason", "", Absent),
            ("", "KEY", "x = 1 # carboy:allow some-key: made up", Absent),
            ("", "KEY", "", Absent),
        ] {
            check(before, after, above, expected);
        }
    }
}
