//! The blocks that a page's text is made of.

/// What a block is, as far as its neighbours go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// A paragraph or a heading.
    #[default]
    Text,
    /// An item of a list.
    Item,
    /// A row of a table.
    Row,
    /// Text whose white space counts; in Markdown between fences.
    Code { fenced: bool },
}

/// Blocks that are written, and the one at hand.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    written: Vec<Block>,
    /// Stands before the block at hand, if it has any text.
    prefix: String,
    line: String,
    /// White space that counts only between words.
    is_spaced: bool,
    kind: Kind,
    is_main: bool,
    is_around: bool,
    is_quoted: bool,
}

#[derive(Debug)]
struct Block {
    text: String,
    kind: Kind,
    is_main: bool,
    is_around: bool,
}

impl Blocks {
    /// Whether the block at hand is one of code.
    pub(super) fn is_code(&self) -> bool {
        matches!(self.kind, Kind::Code { .. })
    }

    /// Adds text to the block at hand.
    pub(super) fn push(&mut self, text: &str) {
        if let Kind::Code { .. } = self.kind {
            return self.line.push_str(text);
        }
        self.is_spaced |= text.starts_with(|first: char| first.is_whitespace());
        for word in text.split_whitespace() {
            self.space();
            self.line.push_str(word);
            self.is_spaced = true;
        }
        let ends_spaced = text.ends_with(|last: char| last.is_whitespace());
        self.is_spaced = ends_spaced || (self.is_spaced && text.trim().is_empty());
    }

    /// Adds a mark as it is.
    pub(super) fn mark(&mut self, mark: &str) {
        if !mark.starts_with(' ') {
            self.space();
        }
        self.is_spaced = false;
        self.line.push_str(mark);
    }

    pub(super) fn line_break(&mut self) {
        self.line.push('\n');
        self.is_spaced = false;
    }

    /// Begins a block.
    pub(super) fn open(&mut self, kind: Kind, prefix: &str) {
        self.flush();
        self.kind = kind;
        self.prefix = prefix.to_owned();
    }

    /// Ends the block at hand. An item whose text comes in a block of its own keeps its mark for it.
    pub(super) fn flush(&mut self) {
        self.is_spaced = false;
        let line = std::mem::take(&mut self.line);
        let text = match self.kind {
            Kind::Code { .. } => line.trim_matches('\n').trim_end(),
            Kind::Text | Kind::Item | Kind::Row => line.trim(),
        };
        if text.is_empty() {
            if self.kind != Kind::Item {
                self.reset();
            }
            return;
        }
        let text = match self.kind {
            Kind::Code { fenced: true } => format!("```\n{text}\n```"),
            Kind::Code { fenced: false } | Kind::Text | Kind::Item | Kind::Row => {
                format!("{}{text}", self.prefix)
            }
        };
        let text = match self.is_quoted {
            true => format!("> {}", text.replace('\n', "\n> ")),
            false => text,
        };
        self.written.push(Block {
            text,
            kind: self.kind,
            is_main: self.is_main,
            is_around: self.is_around,
        });
        self.reset();
    }

    /// Says whether what follows is in the main content, or around it.
    pub(super) fn place(&mut self, is_main: bool, is_around: bool) {
        self.is_main = is_main;
        self.is_around = is_around;
    }

    /// Says whether what follows is a quotation.
    pub(super) fn quote(&mut self, is_quoted: bool) {
        self.is_quoted = is_quoted;
    }

    /// Where the block at hand is.
    pub(super) fn position(&mut self) -> usize {
        self.space();
        self.line.len()
    }

    /// What the block at hand has since a position.
    pub(super) fn since(&self, start: usize) -> String {
        let text = self.line.get(start..).unwrap_or_default();
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Puts something in the place of that.
    pub(super) fn replace(&mut self, start: usize, with: &str) {
        self.line.truncate(start);
        self.line.push_str(with);
    }

    /// The main content, if that is so long; else all that is not around it, or all there is.
    pub(super) fn content(&self, main_bytes_min: usize) -> String {
        let size = |block: &&Block| block.text.len();
        let main = || self.written.iter().filter(|it| it.is_main && !it.is_around);
        let inner = || self.written.iter().filter(|it| !it.is_around);
        if main().map(|it| size(&it)).sum::<usize>() >= main_bytes_min {
            joined(main())
        } else if inner().next().is_some() {
            joined(inner())
        } else {
            joined(self.written.iter())
        }
    }

    fn space(&mut self) {
        let at_start = self.line.is_empty() || self.line.ends_with([' ', '\n']);
        if std::mem::take(&mut self.is_spaced) && !at_start {
            self.line.push(' ');
        }
    }

    fn reset(&mut self) {
        self.kind = Kind::Text;
        self.prefix.clear();
    }
}

/// Items and rows stand close to each other, other blocks apart.
fn joined<'a>(blocks: impl Iterator<Item = &'a Block>) -> String {
    let mut text = String::new();
    let mut last = None;
    for block in blocks {
        let is_close = last == Some(block.kind) && matches!(block.kind, Kind::Item | Kind::Row);
        match (last, is_close) {
            (None, _) => {}
            (Some(_), true) => text.push('\n'),
            (Some(_), false) => text.push_str("\n\n"),
        }
        text.push_str(&block.text);
        last = Some(block.kind);
    }
    text
}
