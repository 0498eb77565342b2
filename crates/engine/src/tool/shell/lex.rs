//! From a script's text to words and operators.

use super::word::{Atom, Expansion, Parameter, Word};

/// One token of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    /// `;`, a newline, `&&`, `||`, `;;`.
    Next,
    /// `&`
    Background,
    /// `|`, `|&`
    Pipe,
    Open,
    Close,
    /// A redirection; its target is the next word.
    Redirect(Arrow),
    /// The whole of a here-document or here-string.
    Here(Word),
}

/// Where a redirection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrow {
    In,
    Out,
    /// To or from a descriptor that is open.
    Copy,
}

/// A here-document whose text has not come yet.
struct Due {
    token: usize,
    end: String,
    is_quoted: bool,
    strips_tabs: bool,
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    due: Vec<Due>,
    /// The next word names the end of a here-document.
    awaits_end: Option<bool>,
}

/// The tokens of a script. What is left open at its end is closed there.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let mut lexer = Lexer::new(text);
    while let Some(c) = lexer.peek() {
        lexer.token(c);
    }
    lexer.tokens
}

/// The parts of text that stands as if in double quotes: a here-document.
pub(super) fn quoted(text: &str) -> Word {
    let mut lexer = Lexer::new(text);
    let mut word = Word::default();
    lexer.double(&mut word, None);
    word
}

/// The parts of a word that stands alone, as a parameter's default does.
pub(super) fn word(text: &str) -> Word {
    let mut lexer = Lexer::new(text);
    let mut word = Word::default();
    while let Some(c) = lexer.peek() {
        lexer.atom(c, &mut word);
    }
    word
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            tokens: Vec::new(),
            due: Vec::new(),
            awaits_end: None,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Steps over a text if it is what comes.
    fn take(&mut self, text: &str) -> bool {
        let is_next = self.rest().starts_with(text);
        if is_next {
            self.at += text.len();
        }
        is_next
    }

    fn token(&mut self, c: char) {
        match c {
            '\n' => {
                self.at += 1;
                self.tokens.push(Token::Next);
                self.here_documents();
            }
            ' ' | '\t' | '\r' => self.at += 1,
            '#' => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
            ';' => {
                self.at += 1;
                while self.take(";") || self.take("&") {}
                self.tokens.push(Token::Next);
            }
            '(' | ')' => {
                self.at += 1;
                let is_open = c == '(';
                self.tokens
                    .push(if is_open { Token::Open } else { Token::Close });
            }
            '&' => self.ampersand(),
            '|' => {
                let token = if self.take("||") {
                    Token::Next
                } else {
                    Token::Pipe
                };
                if token == Token::Pipe {
                    self.at += 1;
                    self.take("&");
                }
                self.tokens.push(token);
            }
            '<' | '>' => self.arrow(),
            _ => self.word(),
        }
    }

    fn ampersand(&mut self) {
        let token = if self.take("&&") {
            Token::Next
        } else if self.take("&>>") || self.take("&>") {
            Token::Redirect(Arrow::Out)
        } else {
            self.at += 1;
            Token::Background
        };
        self.tokens.push(token);
    }

    fn arrow(&mut self) {
        if self.rest().starts_with("<(") || self.rest().starts_with(">(") {
            return self.word();
        }
        if self.take("<<<") {
            self.skip_blanks();
            let mut word = Word::default();
            self.word_into(&mut word);
            self.tokens.push(Token::Here(word));
        } else if self.take("<<") {
            self.awaits_end = Some(self.take("-"));
            self.skip_blanks();
            self.here_end();
        } else if self.take("<&") || self.take(">&") {
            let to = self.peek();
            let is_copy = to.is_some_and(|c| c.is_ascii_digit() || c == '-');
            let arrow = if is_copy { Arrow::Copy } else { Arrow::Out };
            self.tokens.push(Token::Redirect(arrow));
        } else if self.take(">>") || self.take(">|") || self.take("<>") || self.take(">") {
            self.tokens.push(Token::Redirect(Arrow::Out));
        } else {
            self.at += 1;
            self.tokens.push(Token::Redirect(Arrow::In));
        }
    }

    fn skip_blanks(&mut self) {
        while self.take(" ") || self.take("\t") {}
    }

    fn here_end(&mut self) {
        let strips_tabs = self.awaits_end.take().unwrap_or(false);
        let mut word = Word::default();
        self.word_into(&mut word);
        self.due.push(Due {
            token: self.tokens.len(),
            end: word.literal(),
            is_quoted: word.has_quotes(),
            strips_tabs,
        });
        self.tokens.push(Token::Here(Word::default()));
    }

    /// After a newline stand the documents that the line before announced.
    fn here_documents(&mut self) {
        for due in std::mem::take(&mut self.due) {
            let mut body = String::new();
            while self.at < self.text.len() {
                let line_len = self
                    .rest()
                    .find('\n')
                    .map_or(self.rest().len(), |at| at + 1);
                let line = &self.rest()[..line_len];
                self.at += line_len;
                let line = match due.strips_tabs {
                    true => line.trim_start_matches('\t'),
                    false => line,
                };
                if line.trim_end_matches(['\n', '\r']) == due.end {
                    break;
                }
                body.push_str(line);
            }
            let word = match due.is_quoted {
                true => Word::quoted(&body),
                false => quoted(&body),
            };
            self.tokens[due.token] = Token::Here(word);
        }
    }

    fn word(&mut self) {
        let mut word = Word::default();
        self.word_into(&mut word);
        let is_number = word.is_number();
        if is_number && matches!(self.peek(), Some('<' | '>')) && !self.rest().starts_with("<(") {
            return;
        }
        self.tokens.push(Token::Word(word));
    }

    fn word_into(&mut self, word: &mut Word) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' | ';' | '&' | '|' | ')' => return,
                '<' | '>' if self.rest()[1..].starts_with('(') => {
                    self.at += 2;
                    let script = self.until_close();
                    word.push(Atom::Expand(Expansion::Process(script), false));
                }
                '<' | '>' => return,
                // `name()` and, after a `=`, an array's words.
                '(' if word.is_empty() || !word.ends_with('=') => return,
                '(' => {
                    self.at += 1;
                    let words = self.until_close();
                    word.literal_text(&words, true);
                }
                c => self.atom(c, word),
            }
        }
    }

    fn atom(&mut self, c: char, word: &mut Word) {
        self.at += c.len_utf8();
        match c {
            '\\' => match self.next() {
                Some('\n') | None => {}
                Some(c) => word.push(Atom::Char(c, true)),
            },
            '\'' => {
                let end = self.rest().find('\'').unwrap_or(self.rest().len());
                word.literal_text(&self.rest()[..end], true);
                self.at = (self.at + end + 1).min(self.text.len());
            }
            '"' => self.double(word, Some('"')),
            '`' => {
                let script = self.backticks();
                word.push(Atom::Expand(Expansion::Script(script), false));
            }
            '$' => self.dollar(word, false),
            c => word.push(Atom::Char(c, false)),
        }
    }

    /// What stands in double quotes, up to `end`.
    fn double(&mut self, word: &mut Word, end: Option<char>) {
        word.mark_quoted();
        while let Some(c) = self.next() {
            match c {
                c if Some(c) == end => return,
                '\\' => match self.next() {
                    Some('\n') | None => {}
                    Some(c @ ('"' | '\\' | '$' | '`')) => word.push(Atom::Char(c, true)),
                    Some(c) => {
                        word.push(Atom::Char('\\', true));
                        word.push(Atom::Char(c, true));
                    }
                },
                '`' => {
                    let script = self.backticks();
                    word.push(Atom::Expand(Expansion::Script(script), true));
                }
                '$' => self.dollar(word, true),
                c => word.push(Atom::Char(c, true)),
            }
        }
    }

    fn backticks(&mut self) -> String {
        let mut script = String::new();
        while let Some(c) = self.next() {
            match c {
                '`' => break,
                '\\' => match self.next() {
                    Some(c @ ('`' | '\\' | '$')) => script.push(c),
                    Some(c) => script.extend(['\\', c]),
                    None => {}
                },
                c => script.push(c),
            }
        }
        script
    }

    /// What a `$` begins.
    fn dollar(&mut self, word: &mut Word, is_quoted: bool) {
        let expansion = if self.take("((") {
            self.until_close();
            self.take(")");
            Expansion::Number
        } else if self.take("(") {
            Expansion::Script(self.until_close())
        } else if self.take("{") {
            Expansion::Parameter(self.parameter())
        } else if !is_quoted && self.take("'") {
            return self.ansi(word);
        } else if !is_quoted && self.take("\"") {
            return self.double(word, Some('"'));
        } else {
            match self.name() {
                Some(name) => Expansion::Parameter(Parameter::plain(name)),
                None => return word.push(Atom::Char('$', is_quoted)),
            }
        };
        word.push(Atom::Expand(expansion, is_quoted));
    }

    fn name(&mut self) -> Option<String> {
        let first = self.peek()?;
        if "@*#?-$!0123456789".contains(first) {
            self.at += 1;
            return Some(first.to_string());
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let len = self
            .rest()
            .find(|c| !is_part(c))
            .unwrap_or(self.rest().len());
        let name = self.rest()[..len].to_owned();
        self.at += len;
        (!name.is_empty()).then_some(name)
    }

    fn parameter(&mut self) -> Parameter {
        let is_length = self.rest().starts_with('#') && !self.rest().starts_with("#}");
        let is_indirect = self.rest().starts_with('!');
        self.at += usize::from(is_length || is_indirect);
        let name = self.name().unwrap_or_default();
        let index = self.rest().starts_with('[');
        if index {
            self.at += self.rest().find(']').map_or(self.rest().len(), |at| at + 1);
        }
        Parameter {
            name,
            is_length,
            is_indirect,
            change: self.until('{', '}'),
        }
    }

    fn until_close(&mut self) -> String {
        self.until('(', ')')
    }

    /// Up to the bracket that closes one that was open, over quotes and pairs within.
    fn until(&mut self, open: char, close: char) -> String {
        let start = self.at;
        let mut depth = 1usize;
        while let Some(c) = self.next() {
            match c {
                '\\' => {
                    self.next();
                }
                '\'' if close == ')' => {
                    self.at += self
                        .rest()
                        .find('\'')
                        .map_or(self.rest().len(), |at| at + 1);
                }
                '"' => self.skip_double(),
                c if c == open => depth += 1,
                c if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return self.text[start..self.at - 1].to_owned();
                    }
                }
                _ => {}
            }
        }
        self.text[start..].to_owned()
    }

    fn skip_double(&mut self) {
        while let Some(c) = self.next() {
            match c {
                '"' => return,
                '\\' => {
                    self.next();
                }
                _ => {}
            }
        }
    }

    /// `$'...'`, with the escapes of C.
    fn ansi(&mut self, word: &mut Word) {
        word.mark_quoted();
        while let Some(c) = self.next() {
            match c {
                '\'' => return,
                '\\' => {
                    let c = self.ansi_escape();
                    word.extend(c.map(|c| Atom::Char(c, true)));
                }
                c => word.push(Atom::Char(c, true)),
            }
        }
    }

    fn ansi_escape(&mut self) -> Option<char> {
        let c = self.next()?;
        Some(match c {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'a' | 'b' | 'e' | 'E' | 'f' | 'v' => ' ',
            'x' => return self.digits(16, 2),
            'u' => return self.digits(16, 4),
            'U' => return self.digits(16, 8),
            '0'..='7' => {
                self.at -= 1;
                return self.digits(8, 3);
            }
            c => c,
        })
    }

    fn digits(&mut self, radix: u32, count_max: usize) -> Option<char> {
        let digits = self.rest().chars().take(count_max);
        let len = digits.take_while(|c| c.is_digit(radix)).count();
        let value = u32::from_str_radix(&self.rest()[..len], radix).ok();
        self.at += len;
        value.and_then(char::from_u32)
    }
}
