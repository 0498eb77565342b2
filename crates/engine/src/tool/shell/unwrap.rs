//! What a command runs in turn: the command after a prefix, the script of an interpreter.

use super::super::{code, glob, windows};
use super::output;
use super::run::Shell;
use super::{Command, Pipe, UNKNOWN};

/// A command that runs the one after it.
struct Prefix {
    name: &'static str,
    /// Flags whose value is the next word.
    valued: &'static [&'static str],
    /// Words of its own before the command.
    skips: usize,
}

const fn prefix(name: &'static str, valued: &'static [&'static str], skips: usize) -> Prefix {
    Prefix {
        name,
        valued,
        skips,
    }
}

const PREFIXES: &[Prefix] = &[
    prefix("env", &["-u", "--unset", "-C", "--chdir"], 0),
    prefix(
        "sudo",
        &[
            "-u", "-g", "-h", "-p", "-C", "-T", "-r", "-t", "-D", "-R", "-U", "--user", "--group",
        ],
        0,
    ),
    prefix("doas", &["-u", "-C"], 0),
    prefix("nohup", &[], 0),
    prefix("setsid", &[], 0),
    prefix("daemonize", &["-o", "-e", "-c", "-p"], 0),
    prefix("nice", &["-n"], 0),
    prefix("ionice", &["-c", "-n", "-p"], 0),
    prefix("chrt", &["-p"], 1),
    prefix("taskset", &[], 1),
    prefix("time", &["-f", "-o"], 0),
    prefix("timeout", &["-k", "-s", "--signal", "--kill-after"], 1),
    prefix("gtimeout", &["-k", "-s"], 1),
    prefix("stdbuf", &["-i", "-o", "-e"], 0),
    prefix("unbuffer", &[], 0),
    prefix("chroot", &[], 1),
    prefix("unshare", &["-S", "-G", "-R", "-w"], 0),
    prefix("nsenter", &["-t", "-S", "-G"], 0),
    prefix("strace", &["-e", "-o", "-p", "-s"], 0),
    prefix("ltrace", &["-e", "-o", "-p"], 0),
    prefix("parallel", &["-j", "--jobs"], 0),
    prefix("watch", &["-n", "--interval"], 0),
    prefix("exec", &["-a"], 0),
    prefix("command", &[], 0),
    prefix("builtin", &[], 0),
    prefix("busybox", &[], 0),
    prefix("toybox", &[], 0),
    prefix("flock", &["-w", "-E"], 1),
    prefix("caffeinate", &["-t", "-w"], 0),
    prefix("start", &[], 0),
    prefix("fakeroot", &[], 0),
    prefix("firejail", &[], 0),
    prefix("systemd-run", &["-u", "-p", "--unit"], 0),
    prefix("catchsegv", &[], 0),
    prefix("rlwrap", &[], 0),
    prefix("xvfb-run", &["-s", "-n"], 0),
    prefix("dbus-run-session", &[], 0),
];

const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "csh", "tcsh",
];

/// Interpreters, and the flags whose value is their script.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["-c"]),
    ("pypy", &["-c"]),
    ("node", &["-e", "--eval", "-p", "--print", "-pe"]),
    ("nodejs", &["-e", "--eval", "-p"]),
    ("deno", &["eval"]),
    ("bun", &["-e", "--eval"]),
    (
        "perl",
        &["-e", "-E", "-ne", "-pe", "-le", "-lne", "-MSocket -e"],
    ),
    ("ruby", &["-e", "-ne", "-rsocket"]),
    ("php", &["-r"]),
    ("lua", &["-e"]),
    ("osascript", &["-e"]),
    ("tclsh", &["-c"]),
    ("expect", &["-c"]),
];

/// A command's name without its path and version: `/usr/bin/python3.12` is `python`.
pub(in super::super) fn base_name(word: &str) -> String {
    let name = word.rsplit(['/', '\\']).next().unwrap_or(word);
    let name = name.to_ascii_lowercase();
    let name = name.strip_suffix(".exe").unwrap_or(&name);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    match INTERPRETERS.iter().any(|(own, _)| *own == bare) {
        true => bare.to_owned(),
        false => name.to_owned(),
    }
}

/// Notes what the command at `at` runs.
pub(super) fn inner(shell: &mut Shell, at: usize, words: &[String], input: Option<&str>) {
    let (name, rest) = (known_name(&words[0]), &words[1..]);
    run_written(shell, at, &words[0]);
    match &*name {
        "eval" => read(shell, at, &rest.join(" ")),
        "trap" => read(shell, at, rest.first().map_or("", |own| own)),
        "xargs" => {
            let mut inner =
                after_prefix(rest, &["-I", "-n", "-P", "-d", "-L", "-s", "-a", "-E"], 0);
            match input {
                Some(text) => inner.extend(text.split_whitespace().map(str::to_owned)),
                None => inner.extend(fed_paths(shell, at)),
            }
            run(shell, at, inner, input);
        }
        "find" | "fd" | "fdfind" => found(shell, at, rest),
        "git" => configured(shell, at, rest),
        "source" | "." => run_written(shell, at, rest.first().map_or("", |own| own)),
        "su" | "runuser" | "script" => {
            if let Some(script) = flag_value(rest, &["-c", "--command", "-qc", "-lc"]) {
                read(shell, at, script);
            }
        }
        "ssh" => {
            let remote = after_prefix(
                rest,
                &["-i", "-p", "-l", "-o", "-F", "-L", "-R", "-D", "-J"],
                1,
            );
            read(shell, at, &remote.join(" "));
        }
        "tmux" | "screen" => {
            let last = rest.last().filter(|word| word.contains(' '));
            read(shell, at, last.map_or("", |own| own));
        }
        "pwsh" | "powershell" => shell.out.extend(windows::power_shell(rest, input)),
        "cmd" => shell.out.extend(windows::command_prompt(rest)),
        "awk" | "gawk" | "mawk" => {
            shell.out.extend(code::calls(
                rest.iter()
                    .find(|own| !own.starts_with('-'))
                    .map_or("", |own| own),
            ));
        }
        name if SHELLS.contains(&name) => shell_script(shell, at, rest, input),
        name => match INTERPRETERS.iter().find(|(own, _)| *own == name) {
            Some((_, flags)) => interpreted(shell, at, rest, flags, input),
            None => prefixed(shell, at, name, rest, input),
        },
    }
}

fn read(shell: &mut Shell, at: usize, script: &str) {
    if script.is_empty() {
        return;
    }
    let start = shell.out.commands.len();
    shell.script(script);
    feed_as(shell, at, start);
}

/// What feeds a command feeds what it runs.
fn feed_as(shell: &mut Shell, at: usize, start: usize) {
    let to = start..shell.out.commands.len();
    let is_new = |pipe: &&Pipe| pipe.to.contains(&at) && !pipe.to.contains(&start);
    let fed = shell.out.pipes.iter().filter(is_new);
    let fed: Vec<_> = fed
        .map(|pipe| Pipe {
            from: pipe.from.clone(),
            to: to.clone(),
        })
        .collect();
    shell.out.pipes.extend(fed);
}

fn run(shell: &mut Shell, at: usize, words: Vec<String>, input: Option<&str>) {
    if words.is_empty() {
        return;
    }
    let start = shell.out.commands.len();
    let redirects = shell.out.commands[at].redirects.clone();
    let command = Command {
        words,
        redirects,
        ..Command::default()
    };
    shell.command(command, input);
    feed_as(shell, at, start);
}

fn prefixed(shell: &mut Shell, at: usize, name: &str, rest: &[String], input: Option<&str>) {
    let Some(prefix) = PREFIXES.iter().find(|own| own.name == name) else {
        return;
    };
    if name == "command"
        && rest
            .first()
            .is_some_and(|flag| matches!(&**flag, "-v" | "-V"))
    {
        return;
    }
    if let Some(script) = flag_value(rest, &["-S", "--split-string"]).filter(|_| name == "env") {
        return read(shell, at, script);
    }
    let words = after_prefix(rest, prefix.valued, prefix.skips);
    match &words[..] {
        // `watch 'a | b'` gives its one word to a shell.
        [script] if script.contains(' ') => read(shell, at, script),
        _ => run(shell, at, words, input),
    }
}

/// The words from the command on: after flags, assignments and as many words as the prefix takes.
fn after_prefix(rest: &[String], valued: &[&str], mut skips: usize) -> Vec<String> {
    let mut words = rest.iter();
    let mut left = words.as_slice();
    while let Some(word) = words.next() {
        let is_assignment = word.split_once('=').is_some_and(|(name, _)| is_name(name));
        if valued.contains(&&**word) {
            words.next();
        } else if !word.starts_with('-') && !is_assignment {
            if skips == 0 {
                break;
            }
            skips -= 1;
        }
        left = words.as_slice();
    }
    left.to_vec()
}

fn is_name(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}

fn flag_value<'a>(rest: &'a [String], flags: &[&str]) -> Option<&'a str> {
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        if flags.contains(&&**word) {
            return words.next().map(|own| &**own);
        }
        let valued = flags
            .iter()
            .find_map(|flag| word.strip_prefix(flag)?.strip_prefix('='));
        if valued.is_some() {
            return valued;
        }
    }
    None
}

/// `sh -c SCRIPT`, or what it is fed.
fn shell_script(shell: &mut Shell, at: usize, rest: &[String], input: Option<&str>) {
    let mut words = rest.iter();
    while let Some(word) = words.next() {
        let is_short = word.starts_with('-') && !word.starts_with("--");
        if is_short && word.contains('c') || word == "--command" {
            return read(shell, at, words.next().map_or("", |own| own));
        }
        match &**word {
            "-o" | "-O" | "+o" | "--rcfile" | "--init-file" => {
                words.next();
            }
            word if word.starts_with(['-', '+']) => {}
            word => return run_written(shell, at, word),
        }
    }
    if let Some(script) = input {
        read(shell, at, script);
    }
}

fn interpreted(shell: &mut Shell, at: usize, rest: &[String], flags: &[&str], input: Option<&str>) {
    let start = shell.out.commands.len();
    let is_joined = |word: &&String| {
        word.len() > 2
            && flags
                .iter()
                .any(|flag| flag.len() == 2 && word.starts_with(flag))
    };
    let script = match flag_value(rest, flags) {
        Some(script) => Some(script),
        None => rest.iter().find(is_joined).map(|word| &word[2..]),
    };
    let is_fed = rest.iter().all(|word| word.starts_with('-'));
    if let Some(file) = rest.first() {
        run_written(shell, at, file);
    }
    if let Some(script) = script.or(input.filter(|_| is_fed)) {
        shell.out.extend(code::calls(script));
    }
    feed_as(shell, at, start);
}

/// `find ROOT... -exec COMMAND {} ;`: run on the root itself if nothing narrows it.
fn found(shell: &mut Shell, at: usize, rest: &[String]) {
    let root = rest.iter().find(|word| !word.starts_with('-'));
    let root = root.map_or(".", |own| own);
    let hit = hit_of(root, rest);
    let is_exec = |word: &String| {
        matches!(
            &**word,
            "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X"
        )
    };
    let mut rest = rest;
    while let Some(begin) = rest.iter().position(is_exec) {
        rest = &rest[begin + 1..];
        let end = rest
            .iter()
            .position(|word| word == ";" || word == "+")
            .unwrap_or(rest.len());
        let words = rest[..end].iter().map(|word| word.replace("{}", &hit));
        run(shell, at, words.collect(), None);
        rest = &rest[end..];
    }
}

/// What `find` finds: its root itself if nothing narrows it.
fn hit_of(root: &str, rest: &[String]) -> String {
    const NARROWING: [&str; 10] = [
        "-path", "-ipath", "-regex", "-iregex", "-mtime", "-mmin", "-size", "-newer", "-empty",
        "-atime",
    ];
    let below = root.trim_end_matches('/');
    if let Some(name) = flag_value(rest, &["-name", "-iname"]) {
        return format!("{below}/{name}");
    }
    match rest.iter().any(|word| NARROWING.contains(&&**word)) {
        true => format!("{below}/{UNKNOWN}"),
        false => root.to_owned(),
    }
}

/// The words that `xargs` is fed, as far as what feeds it says.
fn fed_paths(shell: &Shell, at: usize) -> Vec<String> {
    let mut paths = vec![UNKNOWN.to_string()];
    for command in shell.out.feeding(at) {
        let rest = &command.words[1..];
        let operands = rest.iter().filter(|word| !word.starts_with('-'));
        match &*base_name(&command.words[0]) {
            "find" => paths.extend(operands.take(1).map(|root| hit_of(root, rest))),
            "ls" | "echo" | "printf" | "realpath" | "readlink" => paths.extend(operands.cloned()),
            _ => {}
        }
    }
    paths
}

/// `git -c NAME=VALUE`, where the value is a command.
fn configured(shell: &mut Shell, at: usize, rest: &[String]) {
    const RUN: [&str; 7] = [
        "pager",
        "editor",
        "sshcommand",
        "external",
        "fsmonitor",
        "askpass",
        "command",
    ];
    for pair in rest.windows(2).filter(|pair| pair[0] == "-c") {
        let Some((name, value)) = pair[1].split_once('=') else {
            continue;
        };
        let name = name.to_ascii_lowercase();
        if let Some(script) = value.strip_prefix('!') {
            read(shell, at, script);
        } else if RUN.iter().any(|own| name.ends_with(own)) {
            read(shell, at, value);
        }
    }
}

/// A file that the same script wrote is run.
fn run_written(shell: &mut Shell, at: usize, path: &str) {
    let Some((text, from)) = shell.files.remove(path) else {
        return;
    };
    shell.out.commands[at].is_written = true;
    shell.out.pipes.push(Pipe {
        from: from.clone(),
        to: at..at + 1,
    });
    if let Some(text) = &text {
        read(shell, at, text);
    }
    shell.files.insert(path.to_owned(), (text, from));
}

/// Where a download is saved.
pub(super) fn saved(words: &[String]) -> Option<String> {
    let flags: &[&str] = match &*base_name(&words[0]) {
        "curl" | "aria2c" => &["-o", "--output", "-fsSLo", "-sSLo", "-sLo", "-Lo", "-so"],
        "wget" => &["-O", "--output-document", "-qO"],
        _ => return None,
    };
    flag_value(&words[1..], flags).map(str::to_owned)
}

/// The name of a command, even if it is written as a glob: `ba?h`.
fn known_name(word: &str) -> String {
    let name = base_name(word);
    if !name.contains(['*', '?', '[']) {
        return name;
    }
    let prefixes = PREFIXES.iter().map(|own| own.name);
    let interpreters = INTERPRETERS.iter().map(|(own, _)| *own);
    let mut known = SHELLS.iter().copied().chain(prefixes).chain(interpreters);
    let meant = known.find(|own| glob::covers_glob(own, &name));
    meant.map_or(name.clone(), str::to_owned)
}

/// Scripts in base64, as `-EncodedCommand` takes them: UTF-16, little-endian.
pub(in super::super) fn wide_base64(text: &str) -> Option<String> {
    let bytes = output::base64(text)?;
    let units: Vec<_> = bytes
        .chunks_exact(2)
        .map(|two| u16::from_le_bytes([two[0], two[1]]))
        .collect();
    String::from_utf16(&units).ok()
}
