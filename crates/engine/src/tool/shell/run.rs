//! Walks a script's tokens and notes what runs.

use std::collections::HashMap;
use std::ops::Range;

use super::lex::{self, Arrow, Token};
use super::output;
use super::unwrap;
use super::{
    COMMANDS_MAX, Command, DEPTH_MAX, Pipe, ROUNDS_MAX, Redirect, SCRIPT_BYTES_MAX, STAGES_MAX,
    Script, UNKNOWN, WORK_BYTES_MAX, Way,
};

/// The commands that a script runs.
pub(crate) fn read(text: &str) -> Script {
    let mut shell = Shell::default();
    shell.script(text);
    shell.out
}

/// A shell that runs nothing.
#[derive(Debug, Default)]
pub(super) struct Shell {
    pub(super) out: Script,
    pub(super) variables: HashMap<String, String>,
    aliases: HashMap<String, String>,
    functions: HashMap<String, Vec<Token>>,
    /// Files that the script has written: what, if it is known, and by which commands.
    pub(super) files: HashMap<String, (Option<String>, Range<usize>)>,
    depth: usize,
    work: usize,
    pub(super) expanded: usize,
    rounds: usize,
}

/// The tokens of one script, and how far they are read.
struct Tokens {
    all: Vec<Token>,
    at: usize,
}

impl Tokens {
    fn peek(&self) -> Option<&Token> {
        self.all.get(self.at)
    }

    /// The next word, if nothing quotes it.
    fn bare(&self) -> Option<String> {
        match self.peek()? {
            Token::Word(word) => word.bare(),
            Token::Next
            | Token::Background
            | Token::Pipe
            | Token::Open
            | Token::Close
            | Token::Redirect(_)
            | Token::Here(_) => None,
        }
    }
}

impl Shell {
    /// Reads a script within the one that is read. Returns what it prints, where that is known.
    pub(super) fn script(&mut self, text: &str) -> Option<String> {
        self.script_fed(text, None)
    }

    pub(super) fn script_fed(&mut self, text: &str, input: Option<&str>) -> Option<String> {
        self.work += text.len();
        let is_over = text.len() > SCRIPT_BYTES_MAX || self.work > WORK_BYTES_MAX;
        if is_over || self.depth >= DEPTH_MAX {
            self.out.is_cut = true;
            return None;
        }
        self.depth += 1;
        let mut tokens = Tokens {
            all: lex::tokens(text),
            at: 0,
        };
        let mut printed = Some(String::new());
        while tokens.peek().is_some() && !self.is_full() {
            let more = self.list(&mut tokens, &[], input);
            join(&mut printed, more);
            // A closing bracket or keyword that nothing opened.
            tokens.at += 1;
        }
        self.depth -= 1;
        printed
    }

    fn is_full(&mut self) -> bool {
        let is_full = self.out.commands.len() >= COMMANDS_MAX || self.work > WORK_BYTES_MAX;
        self.out.is_cut |= is_full;
        is_full
    }

    /// Pipelines up to a closing bracket, or one of the keywords that close.
    fn list(
        &mut self,
        tokens: &mut Tokens,
        closers: &[&str],
        input: Option<&str>,
    ) -> Option<String> {
        let mut printed = Some(String::new());
        while let Some(token) = tokens.peek() {
            match token {
                Token::Close => break,
                Token::Next | Token::Background | Token::Pipe => {
                    tokens.at += 1;
                    continue;
                }
                Token::Word(_) | Token::Open | Token::Redirect(_) | Token::Here(_) => {}
            }
            if tokens.bare().is_some_and(|word| closers.contains(&&*word)) || self.is_full() {
                break;
            }
            let more = self.pipeline(tokens, input);
            join(&mut printed, more);
        }
        printed
    }

    fn pipeline(&mut self, tokens: &mut Tokens, input: Option<&str>) -> Option<String> {
        let start = self.out.commands.len();
        let mut fed = input.map(str::to_owned);
        for _ in 0..STAGES_MAX {
            let from = self.out.commands.len();
            let before = tokens.at;
            let pipe = self.out.pipes.len();
            if from > start {
                // Where it ends is known when the stage is read.
                let to = from..usize::MAX;
                self.out.pipes.push(Pipe {
                    from: start..from,
                    to,
                });
            }
            fed = self.stage(tokens, fed.as_deref());
            if from > start {
                self.out.pipes[pipe].to.end = self.out.commands.len();
            }
            match tokens.peek() {
                Some(Token::Pipe) => tokens.at += 1,
                Some(Token::Background) => {
                    for command in &mut self.out.commands[start..] {
                        command.is_background = true;
                    }
                    return fed;
                }
                Some(Token::Word(_) | Token::Open | Token::Redirect(_) | Token::Here(_))
                    if tokens.at == before =>
                {
                    tokens.at += 1;
                }
                _ => return fed,
            }
            if self.is_full() {
                return None;
            }
            while matches!(tokens.peek(), Some(Token::Next)) {
                tokens.at += 1;
            }
        }
        self.out.is_cut = true;
        None
    }

    /// One part of a pipeline: a group, a loop, or a simple command.
    fn stage(&mut self, tokens: &mut Tokens, input: Option<&str>) -> Option<String> {
        if self.depth >= DEPTH_MAX {
            self.out.is_cut = true;
            tokens.at = tokens.all.len();
            return None;
        }
        self.depth += 1;
        let printed = self.stage_within(tokens, input);
        self.depth -= 1;
        printed
    }

    fn stage_within(&mut self, tokens: &mut Tokens, input: Option<&str>) -> Option<String> {
        if matches!(tokens.peek(), Some(Token::Open)) {
            tokens.at += 1;
            let printed = self.list(tokens, &[], input);
            tokens.at += 1;
            return printed;
        }
        let word = tokens.bare().unwrap_or_default();
        match &*word {
            "{" => self.group(tokens, &["}"], input),
            "if" => self.group(tokens, &["fi"], input),
            "while" | "until" => self.group(tokens, &["done"], None),
            "for" | "select" => self.each(tokens, input),
            "case" => self.case(tokens, input),
            "then" | "else" | "elif" | "do" | "!" | "time" | "coproc" => {
                tokens.at += 1;
                self.stage(tokens, input)
            }
            "function" => {
                tokens.at += 2;
                self.stage(tokens, input)
            }
            _ => self.simple(tokens, input),
        }
    }

    fn group(
        &mut self,
        tokens: &mut Tokens,
        closers: &[&str],
        input: Option<&str>,
    ) -> Option<String> {
        tokens.at += 1;
        let start = self.out.commands.len();
        let printed = self.list(tokens, closers, input);
        tokens.at += 1;
        self.redirect_group(tokens, start);
        printed
    }

    /// What a whole group is redirected to holds for each of its commands.
    fn redirect_group(&mut self, tokens: &mut Tokens, start: usize) {
        while let Some(Token::Redirect(arrow)) = tokens.peek() {
            let arrow = *arrow;
            tokens.at += 1;
            let redirect = self.redirect(tokens, arrow);
            for command in &mut self.out.commands[start..] {
                command.redirects.extend(redirect.clone());
            }
        }
    }

    /// A loop over words that are known: each round is read, as many as there may be.
    fn each(&mut self, tokens: &mut Tokens, input: Option<&str>) -> Option<String> {
        tokens.at += 1;
        let name = tokens.bare().unwrap_or_default();
        tokens.at += 1;
        let mut values = Vec::new();
        if tokens.bare().as_deref() == Some("in") {
            tokens.at += 1;
            while let Some(Token::Word(word)) = tokens.peek() {
                let word = word.clone();
                tokens.at += 1;
                values.extend(self.fields(&word));
            }
        }
        while matches!(tokens.peek(), Some(Token::Next)) {
            tokens.at += 1;
        }
        let (body, mut printed) = (tokens.at, Some(String::new()));
        let rounds = values.len().min(ROUNDS_MAX.saturating_sub(self.rounds));
        self.rounds += rounds;
        let is_whole = rounds == values.len() && !values.is_empty();
        values.truncate(rounds);
        if !is_whole {
            values.push(UNKNOWN.to_string());
        }
        for value in values {
            tokens.at = body;
            self.variables.insert(name.clone(), value);
            let more = self.list(tokens, &["done"], input);
            join(&mut printed, more);
        }
        tokens.at += 1;
        printed
    }

    fn case(&mut self, tokens: &mut Tokens, input: Option<&str>) -> Option<String> {
        tokens.at += 1;
        while tokens.peek().is_some() && tokens.bare().as_deref() != Some("in") {
            tokens.at += 1;
        }
        tokens.at += 1;
        let mut printed = Some(String::new());
        while tokens.peek().is_some() && !self.is_full() {
            if tokens.bare().as_deref() == Some("esac") {
                break;
            }
            let start = tokens.at;
            let is_pattern =
                |token: &Token| matches!(token, Token::Word(_) | Token::Pipe | Token::Open);
            while tokens.peek().is_some_and(is_pattern) {
                tokens.at += 1;
            }
            match tokens.peek() {
                Some(Token::Close) => tokens.at += 1,
                Some(_) | None => tokens.at = start,
            }
            let before = tokens.at;
            let more = self.pipeline(tokens, input);
            join(&mut printed, more);
            tokens.at += usize::from(tokens.at == before || !is_end(tokens));
        }
        tokens.at += 1;
        printed
    }

    fn simple(&mut self, tokens: &mut Tokens, input: Option<&str>) -> Option<String> {
        let mut command = Command::default();
        let mut here = None;
        let from = self.out.commands.len();
        let mut assigned = Vec::new();
        while let Some(token) = tokens.peek().cloned() {
            match token {
                Token::Word(word) => {
                    tokens.at += 1;
                    let assignment = word.assignment().filter(|_| command.words.is_empty());
                    match assignment {
                        Some((name, value)) => assigned.push((name, self.joined(&value))),
                        None => command.words.extend(self.fields(&word)),
                    }
                }
                Token::Redirect(arrow) => {
                    tokens.at += 1;
                    let redirect = self.redirect(tokens, arrow);
                    command.redirects.extend(redirect);
                }
                Token::Here(word) => {
                    tokens.at += 1;
                    here = Some(self.joined(&word));
                }
                Token::Open if command.words.len() == 1 => {
                    tokens.at += 2;
                    return self.define(command.words.remove(0), tokens);
                }
                Token::Open => {
                    tokens.at += 1;
                }
                Token::Next | Token::Background | Token::Pipe | Token::Close => break,
            }
        }
        self.assign(assigned, &command);
        if command.words.is_empty() {
            let words = vec![":".to_owned()];
            if !command.redirects.is_empty() {
                self.out.commands.push(Command { words, ..command });
            }
            return Some(String::new());
        }
        let mut written: Vec<_> = written_by(&command).collect();
        written.extend(unwrap::saved(&command.words));
        let inner = from..self.out.commands.len();
        if !inner.is_empty() {
            let to = inner.end..inner.end + 1;
            self.out.pipes.push(Pipe { from: inner, to });
        }
        let at = self.out.commands.len();
        let printed = self.command(command, here.as_deref().or(input));
        for path in written {
            let by = at..self.out.commands.len();
            self.files.insert(path, (printed.clone(), by));
        }
        printed
    }

    /// A function's body is read where it is written, and again with what it is called with.
    fn define(&mut self, name: String, tokens: &mut Tokens) -> Option<String> {
        while matches!(tokens.peek(), Some(Token::Next)) {
            tokens.at += 1;
        }
        let start = tokens.at;
        self.stage(tokens, None);
        let end = tokens.at.min(tokens.all.len());
        let body = tokens.all.get(start..end).unwrap_or_default().to_vec();
        self.functions.insert(name, body);
        Some(String::new())
    }

    fn call_function(&mut self, words: &[String], input: Option<&str>) -> Option<String> {
        // A function that calls itself is read once.
        let body = self.functions.remove(&words[0])?;
        self.work += body.len();
        self.set_positional(&words[1..]);
        let mut tokens = Tokens {
            all: body.clone(),
            at: 0,
        };
        let printed = self.list(&mut tokens, &[], input);
        self.functions.insert(words[0].clone(), body);
        printed
    }

    /// `IFS=, cmd` holds for one command only, but who reads `IFS=,;cmd` need not care.
    fn assign(&mut self, assigned: Vec<(String, String)>, command: &Command) {
        for (name, value) in assigned {
            if command.words.is_empty() || name != "PATH" {
                self.variables.insert(name, value);
            }
        }
    }

    fn redirect(&mut self, tokens: &mut Tokens, arrow: Arrow) -> Option<Redirect> {
        let Some(Token::Word(word)) = tokens.peek().cloned() else {
            return None;
        };
        tokens.at += 1;
        let way = match arrow {
            Arrow::In => Way::In,
            Arrow::Out => Way::Out,
            Arrow::Copy => return None,
        };
        let path = self.joined(&word);
        Some(Redirect { way, path })
    }

    /// One command after expansion: noted, and what it runs in turn.
    pub(super) fn command(&mut self, mut command: Command, input: Option<&str>) -> Option<String> {
        if self.depth >= DEPTH_MAX || self.is_full() || command.words.is_empty() {
            self.out.is_cut |= !command.words.is_empty();
            return None;
        }
        if let Some(alias) = self.aliases.get(&command.words[0]) {
            let mut words: Vec<_> = alias.split_whitespace().map(str::to_owned).collect();
            words.extend(command.words.drain(1..));
            command.words = words;
        }
        let name = command.words.first_mut()?;
        name.retain(|c| c != UNKNOWN);
        if matches!(
            &**name,
            "alias" | "export" | "declare" | "local" | "readonly" | "typeset"
        ) {
            self.declare(&command.words);
        }
        if command.words[0] == "set" {
            self.set_positional(&command.words[1..]);
        }
        let words = command.words.clone();
        let at = self.out.commands.len();
        self.out.commands.push(command);
        if self.functions.contains_key(&words[0]) {
            self.depth += 1;
            let printed = self.call_function(&words, input);
            self.depth -= 1;
            return printed;
        }
        self.depth += 1;
        unwrap::inner(self, at, &words, input);
        self.depth -= 1;
        output::of(&words, input)
    }

    fn declare(&mut self, words: &[String]) {
        for word in &words[1..] {
            let Some((name, value)) = word.split_once('=') else {
                continue;
            };
            let map = match &*words[0] {
                "alias" => &mut self.aliases,
                _ => &mut self.variables,
            };
            map.insert(name.to_owned(), value.to_owned());
        }
    }

    fn set_positional(&mut self, words: &[String]) {
        let words: Vec<_> = words
            .iter()
            .skip_while(|word| *word == "--")
            .cloned()
            .collect();
        for all in ["@", "*"] {
            self.variables.insert(all.to_owned(), words.join(" "));
        }
        for (index, word) in words.into_iter().enumerate() {
            self.variables.insert((index + 1).to_string(), word);
        }
    }
}

/// The files that a command's output goes to.
fn written_by(command: &Command) -> impl Iterator<Item = String> {
    let out = command.redirects.iter().filter(|own| own.way == Way::Out);
    out.map(|own| own.path.clone())
}

fn is_end(tokens: &Tokens) -> bool {
    tokens.bare().as_deref() == Some("esac") || !matches!(tokens.peek(), Some(Token::Next))
}

/// What is printed after what: known only if both are.
fn join(printed: &mut Option<String>, more: Option<String>) {
    *printed = printed.take().zip(more).map(|(a, b)| a + &b);
}
