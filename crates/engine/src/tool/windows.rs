//! The basics of PowerShell and of the command prompt: commands, quotes, escapes and encoded scripts.

use super::shell::{self, Command, Pipe, Script, wide_base64};

/// The longest script that is read.
const SCRIPT_BYTES_MAX: usize = 256 << 10;
/// Scripts within scripts.
const DEPTH_MAX: usize = 8;
/// Commands that one script may come to.
const COMMANDS_MAX: usize = 1024;

/// `pwsh ARGUMENTS`: `-Command`, `-EncodedCommand`, or what it is fed.
pub(super) fn power_shell(words: &[String], input: Option<&str>) -> Script {
    let mut words_left = words.iter();
    while let Some(word) = words_left.next() {
        let flag = word.to_ascii_lowercase().replace('/', "-");
        let is = |long: &str, least: usize| flag.len() >= least && long.starts_with(&flag);
        if is("-encodedcommand", 2) || flag == "-ec" {
            let script = words_left.next().and_then(|text| wide_base64(text));
            return script.map_or_else(Script::default, |text| power_shell_script(&text));
        }
        if is("-command", 2) {
            let rest: Vec<_> = words_left.cloned().collect();
            return power_shell_script(&rest.join(" "));
        }
        let is_valued = is("-executionpolicy", 3)
            || is("-windowstyle", 2)
            || flag == "-ep"
            || is("-version", 2);
        if is_valued {
            words_left.next();
        } else if !flag.starts_with('-') {
            return power_shell_script(&words[words.len() - words_left.len() - 1..].join(" "));
        }
    }
    input.map_or_else(Script::default, power_shell_script)
}

/// A script of PowerShell.
pub(super) fn power_shell_script(text: &str) -> Script {
    script(text, '`', 0)
}

/// `cmd /c SCRIPT`.
pub(super) fn command_prompt(words: &[String]) -> Script {
    let is_run = |word: &String| word.eq_ignore_ascii_case("/c") || word.eq_ignore_ascii_case("/k");
    match words.iter().position(is_run) {
        Some(at) => command_prompt_script(&words[at + 1..].join(" ")),
        None => Script::default(),
    }
}

/// A script of the command prompt.
pub(super) fn command_prompt_script(text: &str) -> Script {
    script(text, '^', 0)
}

fn script(text: &str, escape: char, depth: usize) -> Script {
    let mut out = Script::default();
    if text.len() > SCRIPT_BYTES_MAX || depth > DEPTH_MAX {
        out.is_cut = true;
        return out;
    }
    let mut reader = Reader {
        out,
        words: Vec::new(),
        word: None,
        stage: 0,
        escape,
    };
    reader.read(text);
    let mut out = reader.out;
    for command in out.commands.clone() {
        let name = command.words[0].to_ascii_lowercase();
        let is_run = matches!(
            &*name,
            "iex" | "invoke-expression" | "&" | "start-process" | "invoke-command"
        );
        let rest = command.words[1..].join(" ");
        if is_run && !rest.is_empty() {
            out.extend(script(&rest, escape, depth + 1));
        } else if matches!(&*name, "bash" | "sh" | "wsl") {
            let words = super::code::quoted(&command.words);
            out.extend(shell::read(&words));
        } else if matches!(&*name, "powershell" | "pwsh" | "powershell.exe") {
            out.extend(power_shell(&command.words[1..], None));
        }
    }
    out
}

struct Reader {
    out: Script,
    words: Vec<String>,
    word: Option<String>,
    /// Where the pipeline that is read began.
    stage: usize,
    escape: char,
}

impl Reader {
    fn read(&mut self, text: &str) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                c if c == self.escape => self.word().extend(chars.next()),
                '"' | '\'' => {
                    let escape = self.escape;
                    let word = self.word();
                    while let Some(inner) = chars.next() {
                        match inner {
                            inner if inner == c => break,
                            inner if inner == escape && c == '"' => word.extend(chars.next()),
                            inner => word.push(inner),
                        }
                    }
                }
                '|' => {
                    self.end();
                    let from = self.stage..self.out.commands.len();
                    let to = from.end..from.end + 1;
                    self.out.pipes.push(Pipe { from, to });
                }
                ';' | '\n' | '{' | '}' => self.end_pipeline(),
                '&' if self.words.is_empty() && self.word.is_none() => {}
                '&' => self.end_pipeline(),
                '(' | ')' | ' ' | '\t' | '\r' | ',' => self.end_word(),
                c => self.word().push(c),
            }
        }
        self.end_pipeline();
    }

    fn word(&mut self) -> &mut String {
        self.word.get_or_insert_default()
    }

    fn end_word(&mut self) {
        self.words.extend(self.word.take());
    }

    fn end(&mut self) {
        self.end_word();
        let words = std::mem::take(&mut self.words);
        // `$x = COMMAND` runs the command.
        let is_set =
            |words: &[String]| words.len() > 2 && words[0].starts_with('$') && words[1] == "=";
        let words = if is_set(&words) {
            words[2..].to_vec()
        } else {
            words
        };
        if words.is_empty() {
            return;
        }
        if self.out.commands.len() >= COMMANDS_MAX {
            self.out.is_cut = true;
            return;
        }
        self.out.commands.push(Command {
            words,
            ..Command::default()
        });
    }

    fn end_pipeline(&mut self) {
        self.end();
        self.stage = self.out.commands.len();
    }
}
