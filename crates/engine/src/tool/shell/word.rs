//! Words before expansion, and braces.

use super::BRACES_MAX;

/// A word as written.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Word {
    atoms: Vec<Atom>,
    /// Whether some of it stood in quotes, even if nothing: `""` is a word.
    is_quoted: bool,
}

/// One part of a word. The flag says whether it stands in quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Atom {
    Char(char, bool),
    Expand(Expansion, bool),
}

/// What is put in place of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Expansion {
    Parameter(Parameter),
    /// The output of a script: `$(...)`.
    Script(String),
    /// A file that holds the output of a script: `<(...)`.
    Process(String),
    /// Of arithmetic.
    Number,
}

/// `$name` or `${name...}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    pub(super) name: String,
    pub(super) is_length: bool,
    pub(super) is_indirect: bool,
    /// What stands after the name: `:-default`, `:0:1`, `#prefix`.
    pub(super) change: String,
}

impl Parameter {
    pub(super) fn plain(name: String) -> Self {
        Self {
            name,
            is_length: false,
            is_indirect: false,
            change: String::new(),
        }
    }
}

impl Word {
    pub(super) fn quoted(text: &str) -> Self {
        let mut word = Self::default();
        word.literal_text(text, true);
        word
    }

    pub(super) fn push(&mut self, atom: Atom) {
        self.atoms.push(atom);
    }

    pub(super) fn extend(&mut self, atoms: impl IntoIterator<Item = Atom>) {
        self.atoms.extend(atoms);
    }

    pub(super) fn literal_text(&mut self, text: &str, is_quoted: bool) {
        self.is_quoted |= is_quoted;
        self.extend(text.chars().map(|c| Atom::Char(c, is_quoted)));
    }

    pub(super) fn mark_quoted(&mut self) {
        self.is_quoted = true;
    }

    pub(super) fn has_quotes(&self) -> bool {
        self.is_quoted
            || self
                .atoms
                .iter()
                .any(|atom| matches!(atom, Atom::Char(_, true)))
    }

    pub(super) fn atoms(&self) -> &[Atom] {
        &self.atoms
    }

    pub(super) fn is_empty(&self) -> bool {
        self.atoms.is_empty()
    }

    pub(super) fn ends_with(&self, end: char) -> bool {
        matches!(self.atoms.last(), Some(Atom::Char(c, false)) if *c == end)
    }

    pub(super) fn is_number(&self) -> bool {
        let is_digit = |atom: &Atom| matches!(atom, Atom::Char(c, false) if c.is_ascii_digit());
        !self.is_quoted && !self.atoms.is_empty() && self.atoms.iter().all(is_digit)
    }

    /// Its characters; what would be expanded is left out.
    pub(super) fn literal(&self) -> String {
        let chars = self.atoms.iter().filter_map(|atom| match atom {
            Atom::Char(c, _) => Some(*c),
            Atom::Expand(..) => None,
        });
        chars.collect()
    }

    /// The text of a word that nothing quotes or expands: a keyword is such.
    pub(super) fn bare(&self) -> Option<String> {
        let bare = |atom: &Atom| match atom {
            Atom::Char(c, false) => Some(*c),
            Atom::Char(_, true) | Atom::Expand(..) => None,
        };
        match self.is_quoted {
            true => None,
            false => self.atoms.iter().map(bare).collect(),
        }
    }

    /// A variable's name and where its value begins, if the word is `name=value` or `name+=value`.
    pub(super) fn assignment(&self) -> Option<(String, Word)> {
        let mut name = String::new();
        for (index, atom) in self.atoms.iter().enumerate() {
            match atom {
                Atom::Char('=', false) if !name.is_empty() => {
                    let value = Word {
                        atoms: self.atoms[index + 1..].to_vec(),
                        is_quoted: true,
                    };
                    return Some((name.trim_end_matches('+').to_owned(), value));
                }
                Atom::Char('+', false) => name.push('+'),
                Atom::Char(c, false) if is_name_part(*c, name.is_empty()) => name.push(*c),
                Atom::Char(..) | Atom::Expand(..) => return None,
            }
        }
        None
    }

    /// The words that its braces make, itself if it has none.
    pub(super) fn braces(&self) -> Vec<Word> {
        let mut done = Vec::new();
        let mut open = vec![self.clone()];
        while let Some(word) = open.pop() {
            match word.first_braces() {
                Some(words) if done.len() + open.len() + words.len() <= BRACES_MAX => {
                    open.extend(words.into_iter().rev());
                }
                Some(_) | None => done.push(word),
            }
        }
        done
    }

    /// The alternatives of the first brace expression.
    fn first_braces(&self) -> Option<Vec<Word>> {
        let mut start = 0;
        loop {
            let open = start + self.atoms[start..].iter().position(|atom| is(atom, '{'))?;
            let is_parameter = open > 0 && is(&self.atoms[open - 1], '$');
            if let Some((close, parts)) = self.parts(open).filter(|_| !is_parameter) {
                let around = |part: Vec<Atom>| {
                    let mut atoms = self.atoms[..open].to_vec();
                    atoms.extend(part);
                    atoms.extend_from_slice(&self.atoms[close + 1..]);
                    Word {
                        atoms,
                        is_quoted: self.is_quoted,
                    }
                };
                return Some(parts.into_iter().map(around).collect());
            }
            start = open + 1;
        }
    }

    /// Where the brace at `open` closes, and what its commas or dots part.
    fn parts(&self, open: usize) -> Option<(usize, Vec<Vec<Atom>>)> {
        let mut depth = 0usize;
        let mut parts = vec![Vec::new()];
        for (index, atom) in self.atoms.iter().enumerate().skip(open + 1) {
            match atom {
                Atom::Char('{', false) => depth += 1,
                Atom::Char('}', false) if depth == 0 => {
                    let parts = match parts.len() {
                        1 => range(&parts[0])?,
                        _ => parts,
                    };
                    return Some((index, parts));
                }
                Atom::Char('}', false) => depth -= 1,
                Atom::Char(',', false) if depth == 0 => {
                    parts.push(Vec::new());
                    continue;
                }
                Atom::Char(..) | Atom::Expand(..) => {}
            }
            parts.last_mut()?.push(atom.clone());
        }
        None
    }
}

fn is(atom: &Atom, wanted: char) -> bool {
    matches!(atom, Atom::Char(c, false) if *c == wanted)
}

fn is_name_part(c: char, is_first: bool) -> bool {
    c == '_' || c.is_ascii_alphabetic() || (!is_first && c.is_ascii_digit())
}

/// `{a..e}` and `{1..9}`.
fn range(part: &[Atom]) -> Option<Vec<Vec<Atom>>> {
    let text: String = part
        .iter()
        .map(|atom| match atom {
            Atom::Char(c, false) => Some(*c),
            Atom::Char(_, true) | Atom::Expand(..) => None,
        })
        .collect::<Option<_>>()?;
    let (from, to) = text.split_once("..")?;
    let spell = |text: String| text.chars().map(|c| Atom::Char(c, false)).collect();
    if let (Ok(from), Ok(to)) = (from.parse::<i32>(), to.parse::<i32>()) {
        let numbers = (from.min(to)..=from.max(to)).take(BRACES_MAX);
        return Some(numbers.map(|number| spell(number.to_string())).collect());
    }
    let one = |text: &str| {
        let mut chars = text.chars();
        chars
            .next()
            .filter(|c| c.is_ascii() && chars.next().is_none())
    };
    let (from, to) = (one(from)?, one(to)?);
    let letters = from.min(to)..=from.max(to);
    Some(letters.map(|letter| spell(letter.to_string())).collect())
}
