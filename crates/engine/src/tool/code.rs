//! What a script in a programming language calls, as far as its text shows: each call whose arguments
//! are written out becomes a command of that name, and what it gives to a shell is read as a shell would.

use super::shell::{self, Command, Script};

/// The longest script that is read.
const CODE_BYTES_MAX: usize = 256 << 10;
/// Calls noted of one script.
const CALLS_MAX: usize = 1024;
/// Calls that are open at once.
const DEPTH_MAX: usize = 32;

/// Functions that give a string to a shell, or run a list of words, by the last part of their name.
const RUNS: &[&str] = &[
    "system",
    "popen",
    "run",
    "call",
    "check_output",
    "check_call",
    "getoutput",
    "exec",
    "execsync",
    "spawn",
    "spawnsync",
    "execfile",
    "execfilesync",
    "shell_exec",
    "passthru",
    "proc_open",
    "execl",
    "execlp",
    "execv",
    "execvp",
    "execve",
    "create_subprocess_shell",
    "create_subprocess_exec",
    "qx",
    "doshellscript",
    "capture2",
    "shell",
];

#[derive(Debug)]
enum Token<'a> {
    Name(&'a str),
    Text(String),
    /// Between backticks, or after `do shell script`.
    Shell(String),
    Open,
    Close,
    Plus,
    Other,
}

/// The calls of a script.
pub(super) fn calls(text: &str) -> Script {
    let mut script = Script::default();
    if text.len() > CODE_BYTES_MAX {
        script.is_cut = true;
        return script;
    }
    let mut reader = Reader {
        script,
        open: Vec::new(),
    };
    let mut before = Token::Other;
    let tokens = Tokens { text };
    for token in tokens {
        reader.token(&before, &token);
        before = token;
    }
    run(&mut reader.script);
    reader.script
}

struct Reader {
    script: Script,
    /// The calls whose brackets are open; none for brackets that belong to no call.
    open: Vec<Option<usize>>,
}

impl Reader {
    fn token(&mut self, before: &Token<'_>, token: &Token<'_>) {
        match token {
            Token::Open => {
                let call = match before {
                    Token::Name(name) => self.note(name),
                    Token::Text(_)
                    | Token::Shell(_)
                    | Token::Open
                    | Token::Close
                    | Token::Plus
                    | Token::Other => None,
                };
                self.open.push(call);
                if self.open.len() > DEPTH_MAX {
                    self.open.remove(0);
                }
            }
            Token::Close => {
                self.open.pop();
            }
            Token::Text(text) => self.text(before, text),
            Token::Shell(text) => self.script.extend(shell::read(text)),
            Token::Name(_) | Token::Plus | Token::Other => {}
        }
    }

    /// `"a" + "b"` is one text.
    fn text(&mut self, before: &Token<'_>, text: &str) {
        let is_more = matches!(before, Token::Plus);
        for call in self.open.iter().flatten() {
            add(&mut self.script.commands[*call], text, is_more);
        }
        // `system` and its like need no brackets in Ruby, Perl and AppleScript.
        if let (Token::Name(name), true) = (before, self.open.is_empty())
            && let Some(call) = self.note(name)
        {
            add(&mut self.script.commands[call], text, false);
        }
    }

    fn note(&mut self, name: &str) -> Option<usize> {
        if self.script.commands.len() >= CALLS_MAX {
            self.script.is_cut = true;
            return None;
        }
        let last = name.rsplit(['.', ':']).next().unwrap_or(name);
        self.script.commands.push(Command {
            words: vec![format!("{last}()")],
            ..Command::default()
        });
        Some(self.script.commands.len() - 1)
    }
}

fn add(call: &mut Command, text: &str, is_more: bool) {
    match call.words.last_mut() {
        Some(last) if is_more => last.push_str(text),
        Some(_) | None => call.words.push(text.to_owned()),
    }
}

/// A file that is opened to be written to.
fn mark_written(call: &mut Command) {
    let is_mode = |word: &String| word.len() <= 3 && word.contains(['w', 'a', 'x', '+']);
    let is_open = matches!(&*call.words[0], "open()" | "fopen()" | "openSync()");
    if is_open && call.words.iter().skip(2).any(is_mode) {
        call.words.truncate(2);
        "write_open()".clone_into(&mut call.words[0]);
    }
}

/// What the calls give to a shell.
fn run(script: &mut Script) {
    script.commands.iter_mut().for_each(mark_written);
    let calls = script.commands.clone();
    for call in calls {
        let name = call.words[0].trim_end_matches("()").to_ascii_lowercase();
        if !RUNS.contains(&&*name) {
            continue;
        }
        match &call.words[1..] {
            [] => {}
            [one] => script.extend(shell::read(one)),
            [first, ..] if first.contains(' ') => script.extend(shell::read(first)),
            words => script.extend(shell::read(&quoted(words))),
        }
    }
}

/// Words as a shell would have to be given them.
pub(super) fn quoted(words: &[String]) -> String {
    let one = |word: &String| format!("'{}'", word.replace('\'', r"'\''"));
    words.iter().map(one).collect::<Vec<_>>().join(" ")
}

struct Tokens<'a> {
    text: &'a str,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.text = self.text.trim_start();
        let c = self.text.chars().next()?;
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | ':' | '$' | '@');
        if is_part(c) {
            let len = self.text.find(|c| !is_part(c)).unwrap_or(self.text.len());
            let (name, rest) = self.text.split_at(len);
            self.text = rest;
            return Some(Token::Name(name));
        }
        self.text = &self.text[c.len_utf8()..];
        Some(match c {
            '"' | '\'' => Token::Text(self.string(c)),
            '`' => Token::Shell(self.string(c)),
            '(' | '[' => Token::Open,
            ')' | ']' => Token::Close,
            '+' => Token::Plus,
            _ => Token::Other,
        })
    }
}

impl Tokens<'_> {
    fn string(&mut self, end: char) -> String {
        let mut text = String::new();
        let mut chars = self.text.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                c if c == end => {
                    self.text = &self.text[at + c.len_utf8()..];
                    return text;
                }
                '\\' => match chars.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'x')) => {
                        let digits: String = chars.by_ref().take(2).map(|(_, c)| c).collect();
                        let value = u32::from_str_radix(&digits, 16).ok();
                        text.extend(value.and_then(char::from_u32));
                    }
                    Some((_, c)) => text.push(c),
                    None => {}
                },
                c => text.push(c),
            }
        }
        self.text = "";
        text
    }
}
