//! What an attribute or a style says, read as it comes, however long it is.

use memchr::memmem;

/// What is kept of a value at a time, and of that beside what comes next: longer than any word that is
/// looked for, in escapes.
const WINDOW_BYTES: usize = 4096;
const OVERLAP_BYTES: usize = 512;

/// The longest name or number of a reference, without leading zeros.
const REFERENCE_BYTES_MAX: usize = 8;

/// A value in lower case, its references to characters undone, without blanks and controls: as a URL is
/// read (WHATWG URL, section 4.4).
#[derive(Debug, Default)]
pub(super) struct Value {
    plain: Vec<u8>,
    /// A reference that has not ended, without its `&`.
    reference: Option<Vec<u8>>,
    /// Whether what is kept does not begin where the value does.
    is_rest: bool,
    /// What was seen in what is no longer kept.
    runs: bool,
    fetches: bool,
    leads_out: bool,
}

impl Value {
    /// Takes a byte in which references may be.
    pub(super) fn push(&mut self, byte: u8) {
        let Some(reference) = &mut self.reference else {
            match byte {
                b'&' => self.reference = Some(Vec::new()),
                byte => self.push_bare(byte),
            }
            return;
        };
        match byte {
            b';' => {
                let reference = self.reference.take().unwrap_or_default();
                match character(&reference) {
                    Some(byte) => self.push_bare(byte),
                    None => self.push_reference(&reference, Some(b';')),
                }
            }
            // Of a number, leading zeros say nothing.
            b'0' if matches!(&reference[..], b"#" | b"#x" | b"#X") => {}
            byte if reference.len() < REFERENCE_BYTES_MAX && !byte.is_ascii_whitespace() => {
                reference.push(byte);
            }
            byte => {
                let reference = self.reference.take().unwrap_or_default();
                self.push_reference(&reference, None);
                self.push(byte);
            }
        }
    }

    /// Takes what looked like a reference for what it is.
    fn push_reference(&mut self, reference: &[u8], end: Option<u8>) {
        self.push_bare(b'&');
        for byte in reference.iter().copied().chain(end) {
            self.push_bare(byte);
        }
    }

    /// Takes a byte as it is.
    pub(super) fn push_bare(&mut self, byte: u8) {
        if byte > b' ' {
            self.plain.push(byte.to_ascii_lowercase());
        } else if ends_in_escape(&self.plain) {
            // A blank ends the number of an escape in a style.
            self.plain.push(b' ');
        }
        if self.plain.len() >= WINDOW_BYTES {
            self.look();
            self.plain.drain(..WINDOW_BYTES - OVERLAP_BYTES);
            self.is_rest = true;
        }
    }

    /// Whether all of it is one of these.
    pub(super) fn is(&self, words: &[&[u8]]) -> bool {
        !self.is_rest && words.contains(&self.plain.as_slice())
    }

    /// Whether it begins with this.
    pub(super) fn begins(&self, word: &[u8]) -> bool {
        !self.is_rest && self.plain.starts_with(word)
    }

    /// Whether it is a program. In a list (`values` of an animation) it may be any.
    pub(super) fn runs(&mut self) -> bool {
        self.look();
        self.runs
    }

    /// Whether a style fetches something from elsewhere (CSS Values 4, section 4.5).
    pub(super) fn fetches(&mut self) -> bool {
        self.look();
        self.fetches
    }

    /// Whether a reference leads out of the drawing.
    pub(super) fn leads_out(&mut self) -> bool {
        self.look();
        self.leads_out
    }

    fn look(&mut self) {
        const SCHEMES: [&[u8]; 4] = [
            b"javascript:",
            b"vbscript:",
            b"data:text/html",
            b"data:image/svg",
        ];
        let begins = |own: &[u8], words: &[&[u8]]| words.iter().any(|word| own.starts_with(word));
        // In a list each stands by itself; a data URL has a `;` of its own.
        let mut items = self.plain.split(|byte| *byte == b';');
        if self.is_rest {
            items.next();
        } else {
            self.leads_out |= begins(&self.plain, &OUTSIDE);
        }
        self.runs |= self.plain.contains(&b':') && items.any(|own| begins(own, &SCHEMES));
        self.fetches |= is_external_style(&unescaped(&self.plain));
    }
}

/// How a URL begins that leads elsewhere (a browser takes `\` for `/`).
const OUTSIDE: [&[u8]; 8] = [
    b"http:", b"https:", b"//", b"/\\", b"\\\\", b"\\/", b"ftp:", b"file:",
];

/// The ASCII character that a reference stands for.
fn character(reference: &[u8]) -> Option<u8> {
    let own = std::str::from_utf8(reference).ok()?;
    let code = match own.strip_prefix('#') {
        Some(number) => match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        },
        None => match own.to_ascii_lowercase().as_str() {
            "colon" => u32::from(b':'),
            "tab" | "newline" => u32::from(b' '),
            "sol" => u32::from(b'/'),
            "lpar" => u32::from(b'('),
            "commat" => u32::from(b'@'),
            "bsol" => u32::from(b'\\'),
            "quot" => u32::from(b'"'),
            "apos" => u32::from(b'\''),
            _ => return None,
        },
    };
    u8::try_from(code).ok()
}

/// The most digits of an escape in a style (CSS Syntax 3, section 4.3.7).
const ESCAPE_DIGITS_MAX: usize = 6;

fn ends_in_escape(style: &[u8]) -> bool {
    let digits = style.iter().rev().take(ESCAPE_DIGITS_MAX + 1);
    let digits = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
    let before = style.len().checked_sub(digits + 1);
    (1..=ESCAPE_DIGITS_MAX).contains(&digits) && before.is_some_and(|at| style[at] == b'\\')
}

/// A style with its escapes undone, those of other than ASCII left out.
fn unescaped(style: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(style.len());
    let mut rest = style;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        plain.extend_from_slice(&rest[..at]);
        rest = &rest[at + 1..];
        let digits = rest.iter().take(ESCAPE_DIGITS_MAX);
        let digits = digits.take_while(|byte| byte.is_ascii_hexdigit()).count();
        if digits == 0 {
            // Any other character stands for itself.
            continue;
        }
        let number = std::str::from_utf8(&rest[..digits]).unwrap_or_default();
        let code = u8::from_str_radix(number.trim_start_matches('0'), 16);
        plain.extend(code.ok().map(|byte| byte.to_ascii_lowercase()));
        rest = &rest[digits..];
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
    }
    plain.extend_from_slice(rest);
    plain
}

fn is_external_style(style: &[u8]) -> bool {
    if memmem::find(style, b"@import").is_some() {
        return true;
    }
    let leads_out = |own: &[u8]| {
        let own = own.strip_prefix(b"\"").unwrap_or(own);
        let own = own.strip_prefix(b"'").unwrap_or(own);
        OUTSIDE.iter().any(|word| own.starts_with(word))
    };
    // `src()` and `url()` take one, `image-set()` a list of them.
    let words: [&[u8]; 3] = [b"url(", b"src(", b"image("];
    let mut calls = words.iter().flat_map(|call| {
        let places = memmem::find_iter(style, call);
        places.map(|at| &style[at + call.len()..])
    });
    let mut sets = memmem::find_iter(style, b"image-set(").flat_map(|at| {
        let set = &style[at + 10..];
        let set = set.split(|byte| *byte == b')').next().unwrap_or_default();
        set.split(|byte| b"(,".contains(byte))
    });
    calls.any(leads_out) || sets.any(leads_out)
}
