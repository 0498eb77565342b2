//! Paths, however they are spelt, in one form.

use super::shell::UNKNOWN;

/// What stands for the home of whoever runs a command, at the beginning of a path.
const HOMES: [&str; 7] = [
    "${home}",
    "$home",
    "%userprofile%",
    "$env:userprofile",
    "${env:userprofile}",
    "$env:home",
    "%homepath%",
];

/// Directories below which each user has one.
const HOME_PARENTS: [&str; 4] = ["/home/", "/users/", "/var/home/", "c:/users/"];

/// A path in lower case, with slashes, without `.`, `..` and doubled slashes, and with `~` for a home.
///
/// What is not known stays at the beginning, where a whole path may hide behind it; elsewhere it is left
/// out, as if it were nothing.
pub(crate) fn normal(text: &str, within: Option<&str>) -> String {
    let mut path = text.trim().replace('\\', "/").to_ascii_lowercase();
    if let Some(rest) = path.strip_prefix("file://") {
        path = rest.to_owned();
    }
    let is_unknown = path.starts_with(UNKNOWN);
    path.retain(|c| c != UNKNOWN);
    path = with_home(&path);
    if is_unknown {
        path.insert(0, UNKNOWN);
    } else if let Some(within) = within.filter(|_| is_relative(&path)) {
        path = format!("{within}/{path}");
    }
    unrooted(&home_of(&resolved(&path)))
}

/// Whether it depends on where the command runs.
fn is_relative(path: &str) -> bool {
    let has_drive = path.as_bytes().get(1) == Some(&b':');
    !path.starts_with(['/', '~', UNKNOWN]) && !has_drive
}

fn with_home(path: &str) -> String {
    for (name, place) in [
        ("%appdata%", "~/appdata/roaming"),
        ("$env:appdata", "~/appdata/roaming"),
        ("%localappdata%", "~/appdata/local"),
        ("$env:localappdata", "~/appdata/local"),
    ] {
        if let Some(rest) = path.strip_prefix(name) {
            return format!("{place}{rest}");
        }
    }
    let rest = HOMES.iter().find_map(|home| path.strip_prefix(home));
    rest.map_or_else(|| path.to_owned(), |rest| format!("~{rest}"))
}

/// Without `.`, `..` and empty parts. A slash at the end goes too: it says that a directory is meant.
fn resolved(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"~") => parts = vec!["", "home"],
                None if is_rooted => {}
                None | Some(&"..") => parts.push(part),
                Some(_) => {
                    parts.pop();
                }
            },
            part => parts.push(part),
        }
    }
    let is_above_home = parts.first() == Some(&"");
    let joined = parts.join("/");
    if is_above_home {
        return if joined.is_empty() {
            "/".to_owned()
        } else {
            joined
        };
    }
    match (is_rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

fn home_of(path: &str) -> String {
    if path == "/root" || path.starts_with("/root/") {
        return path.replacen("/root", "~", 1);
    }
    for parent in HOME_PARENTS {
        if let Some(rest) = path.strip_prefix(parent) {
            let below = rest.find('/').map_or("", |at| &rest[at..]);
            return format!("~{below}");
        }
    }
    // `~name` is a home too.
    if path.starts_with('~') {
        let below = path.find('/').map_or("", |at| &path[at..]);
        return format!("~{below}");
    }
    path.to_owned()
}

/// `/proc/self/root` is `/`.
fn unrooted(path: &str) -> String {
    let mut parts = path.splitn(5, '/');
    let is_root = (parts.next(), parts.next()) == (Some(""), Some("proc"));
    let (process, what) = (parts.next(), parts.next());
    match (is_root && process.is_some(), what) {
        (true, Some("root")) => format!("/{}", parts.next().unwrap_or_default()),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::normal;

    #[test]
    fn spellings_of_one_path() {
        for (text, expected) in [
            ("/home/ada/.ssh/id_rsa", "~/.ssh/id_rsa"),
            ("/Users/ada/.ssh//./id_rsa", "~/.ssh/id_rsa"),
            ("/root/.ssh/x/../id_rsa", "~/.ssh/id_rsa"),
            ("$HOME/.ssh/id_rsa", "~/.ssh/id_rsa"),
            ("%USERPROFILE%\\.ssh\\id_rsa", "~/.ssh/id_rsa"),
            ("C:\\Users\\ada\\.ssh\\id_rsa", "~/.ssh/id_rsa"),
            ("file:///etc/shadow", "/etc/shadow"),
            ("/proc/self/root/etc/shadow", "/etc/shadow"),
            ("/../../etc/shadow", "/etc/shadow"),
            ("/", "/"),
            ("//", "/"),
            ("~/", "~"),
            ("~/..", "/home"),
            ("~/../..", "/"),
            ("./build/", "build"),
            ("../x", "../x"),
            (".", "."),
            ("\u{FFFC}/", "\u{FFFC}"),
            ("/etc/sh\u{FFFC}adow", "/etc/shadow"),
        ] {
            assert_eq!(normal(text, None), expected, "{text}");
        }
        assert_eq!(normal("*", Some("/")), "/*");
        assert_eq!(normal("x", Some("~/src")), "~/src/x");
        assert_eq!(normal("/x", Some("~/src")), "/x");
    }
}
