//! Patterns over names and paths.

/// The longest text that is matched; more is cut off. File systems take 4096 bytes, people far less.
const TEXT_CHARS_MAX: usize = 512;

/// Whether a pattern covers a text. `*` stands for any characters but `/`, `**` for any at all, `?` for
/// one; letters match in either case.
pub(crate) fn covers(pattern: &str, text: &str) -> bool {
    meets(pattern, text, false)
}

/// Whether some text that the second glob stands for is covered by the first.
///
/// A part of a path that is `*` alone says nothing of what it reaches, so it meets no more than a `*`.
pub(crate) fn covers_glob(pattern: &str, glob: &str) -> bool {
    meets(pattern, glob, glob.contains(['*', '?', '[']))
}

/// One step of a pattern or of a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Char(char),
    /// `?`
    One,
    /// `*`
    Part,
    /// `**`
    Any,
}

fn steps(text: &str, is_glob: bool) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut chars = text.chars().take(TEXT_CHARS_MAX).peekable();
    while let Some(c) = chars.next() {
        steps.push(match c {
            '*' if is_glob && chars.next_if_eq(&'*').is_some() => Step::Any,
            '*' if is_glob => Step::Part,
            '?' if is_glob => Step::One,
            '[' if is_glob => {
                while chars.next_if(|c| *c != ']').is_some() {}
                chars.next();
                Step::One
            }
            c => Step::Char(c.to_ascii_lowercase()),
        });
    }
    steps
}

/// A row of a table a step of the pattern: what of the text may have been covered so far.
fn meets(pattern: &str, text: &str, is_glob: bool) -> bool {
    let begins_alike = alike(pattern.chars(), text.chars(), is_glob);
    if !begins_alike || !(is_glob || alike(pattern.chars().rev(), text.chars().rev(), false)) {
        return false;
    }
    let (pattern, text) = (steps(pattern, true), steps(text, is_glob));
    let mut row = vec![false; text.len() + 1];
    row[0] = true;
    skip_stars(&mut row, &text);
    for step in pattern {
        let mut next = vec![false; text.len() + 1];
        for at in 0..row.len() {
            if !row[at] {
                continue;
            }
            match step {
                Step::Part | Step::Any => next[at] = true,
                Step::Char(_) | Step::One => {}
            }
            // A star of the text may stand for what the pattern wants, and stay.
            if let Some(Step::Part | Step::Any) = text.get(at)
                && !is_alone(&text, at)
                && !matches!(step, Step::Char('/'))
            {
                next[at] = true;
            }
        }
        for at in 0..text.len() {
            let from = row[at] || (next[at] && matches!(step, Step::Part | Step::Any));
            if from && eats(step, text[at]) {
                next[at + 1] = true;
            }
        }
        skip_stars(&mut next, &text);
        row = next;
    }
    row[text.len()]
}

/// Whether the two are alike up to the first star or question mark: most differ before it.
fn alike(
    pattern: impl Iterator<Item = char>,
    mut text: impl Iterator<Item = char>,
    is_glob: bool,
) -> bool {
    let is_wild = |c: char| matches!(c, '*' | '?');
    for own in pattern {
        let c = text.next();
        // From its end, a bracket is a wild character too.
        if is_wild(own) || own == ']' || own == '[' {
            return true;
        }
        if is_glob && c.is_some_and(|c| is_wild(c) || c == '[') {
            return true;
        }
        if !c.is_some_and(|c| c.eq_ignore_ascii_case(&own)) {
            return false;
        }
    }
    text.next().is_none()
}

/// A star of the text may stand for nothing.
fn skip_stars(row: &mut [bool], text: &[Step]) {
    for at in 0..text.len() {
        if row[at] && matches!(text[at], Step::Part | Step::Any) && !is_alone(text, at) {
            row[at + 1] = true;
        }
    }
}

/// Whether a star is all of its part of a path.
fn is_alone(text: &[Step], at: usize) -> bool {
    let is_edge = |step: Option<&Step>| matches!(step, None | Some(Step::Char('/')));
    is_edge(at.checked_sub(1).and_then(|before| text.get(before))) && is_edge(text.get(at + 1))
}

/// Whether a step of the pattern covers one of the text.
fn eats(step: Step, text: Step) -> bool {
    match (step, text) {
        (Step::Any, _) => true,
        (Step::Part, Step::Char(c)) => c != '/',
        // One character is surely none where a star is written.
        (Step::One, Step::Char(c)) => c != '/' && c != '*',
        (Step::Part, Step::Part | Step::Any | Step::One) | (Step::One, Step::One) => true,
        (Step::Char(own), Step::Char(c)) => own == c,
        (Step::Char(own), Step::One) => own != '/',
        (Step::One | Step::Char(_), Step::Part | Step::Any) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{covers, covers_glob};

    #[test]
    fn patterns_cover() {
        for (pattern, text, expected) in [
            ("*", "abc", true),
            ("*", "a/c", false),
            ("**", "a/c", true),
            ("/*", "/etc", true),
            ("/*", "/etc/x", false),
            ("**/.env", ".env", false),
            ("**.env", ".env", true),
            ("**/.env", "a/b/.env", true),
            ("~/.ssh/id_*", "~/.ssh/ID_rsa", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("delete_*", "delete_file", true),
            ("delete_*", "undelete_file", false),
        ] {
            assert_eq!(covers(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn patterns_cover_globs() {
        for (pattern, glob, expected) in [
            ("/etc/shadow", "/etc/sh?dow", true),
            ("/etc/shadow", "/e*/sh*", true),
            ("/etc/shadow", "/???/sh[ab]dow", true),
            ("/etc/shadow", "/etc/*", false),
            ("/etc/shadow", "/etc/*release", false),
            ("/etc/shadow", "/etc/*.conf", false),
            ("/*", "/*", true),
            ("~/.ssh/**", "~/.ssh/*", true),
            ("rm", "r?", true),
            ("~/.aws/credentials", "~/.aws/cred*", true),
            ("~/.aws/credentials", "~/.a*/c*s", true),
            ("**/id_rsa", "/x/id_*", true),
        ] {
            assert_eq!(covers_glob(pattern, glob), expected, "{pattern} {glob}");
        }
    }
}
