//! A web page as its reader has it: title, main content and links, without what is around them and
//! what is not shown.
//!
//! The tokens are those of the HTML standard (`html5gum`); the tree is not built. What is open is
//! counted by name, which is enough for text and holds for pages that close nothing.

#[cfg(test)]
mod tests;

mod blocks;
mod charset;

use html5gum::emitters::default::DefaultEmitter;
use html5gum::{HtmlString, StartTag, Token, Tokenizer};
use serde::Serialize;
use url::Url;

use blocks::{Blocks, Kind};
pub use charset::decoded;

/// The links of one page that are told: more do not help who reads it.
pub const LINKS_MAX: usize = 512;

/// How deep lists are indented; what is nested deeper stays at that depth.
const LISTS_MAX: usize = 8;

/// From this much text on, what a page marks as its main content is taken for it.
const MAIN_BYTES_MIN: usize = 140;

/// How the content is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As plain text.
    Text,
    /// As Markdown, links and headings with it. What looks like Markdown in the text stays so.
    Markdown,
}

/// A page, read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Readable {
    /// The title, where it has one.
    pub title: Option<String>,
    /// The main content.
    pub content: String,
    /// Its links, in order, each once; at most [`LINKS_MAX`].
    pub links: Vec<Link>,
}

/// A link of a page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// What it is called.
    pub text: String,
    /// Where it leads, absolute.
    pub url: String,
}

/// Whether a content is HTML, by its type or else by its beginning.
pub fn is_html(content_type: Option<&str>, content: &str) -> bool {
    let kind = content_type.map(|text| text.split(';').next().unwrap_or_default().trim());
    match kind {
        Some(kind) if !kind.is_empty() => {
            kind.eq_ignore_ascii_case("text/html")
                || kind.eq_ignore_ascii_case("application/xhtml+xml")
        }
        Some(_) | None => {
            let start = content.trim_start().get(..14).unwrap_or_default();
            start.eq_ignore_ascii_case("<!doctype html")
                || start.to_ascii_lowercase().starts_with("<html")
        }
    }
}

/// Reads a page that came from `base`.
pub fn read(html: &str, base: &str, style: Style) -> Readable {
    let mut emitter = DefaultEmitter::default();
    // Without it, the content of scripts would be read as tags.
    emitter.naively_switch_states(true);
    let mut reader = Reader::new(Url::parse(base).ok(), style);
    for token in Tokenizer::new_with_emitter(html, emitter).flatten() {
        reader.take(&token);
    }
    reader.finish()
}

/// What is not shown, or is no text.
const SKIPPED: [&[u8]; 14] = [
    b"script",
    b"style",
    b"template",
    b"noscript",
    b"svg",
    b"math",
    b"iframe",
    b"object",
    b"audio",
    b"video",
    b"canvas",
    b"select",
    b"textarea",
    b"dialog",
];

/// What has no end tag.
const VOID: [&[u8]; 13] = [
    b"area", b"base", b"br", b"col", b"embed", b"hr", b"img", b"input", b"link", b"meta",
    b"source", b"track", b"wbr",
];

struct Reader {
    base: Option<Url>,
    style: Style,
    blocks: Blocks,
    title: Option<String>,
    in_title: bool,
    /// The element whose content is skipped, and how many of its name are open.
    skipped: Option<(HtmlString, usize)>,
    /// One for each open list: how many items it has had, if they are numbered.
    lists: Vec<Option<usize>>,
    main: usize,
    around: usize,
    quotes: usize,
    /// The cells that the current row has had, and the rows that the table has.
    cells: usize,
    rows: usize,
    link: Option<(usize, String)>,
    links: Vec<Link>,
}

impl Reader {
    fn new(base: Option<Url>, style: Style) -> Self {
        Self {
            base,
            style,
            blocks: Blocks::default(),
            title: None,
            in_title: false,
            skipped: None,
            lists: Vec::new(),
            main: 0,
            around: 0,
            quotes: 0,
            cells: 0,
            rows: 0,
            link: None,
            links: Vec::new(),
        }
    }

    fn take(&mut self, token: &Token) {
        match token {
            Token::StartTag(tag) => self.start(tag),
            Token::EndTag(tag) => self.end(&tag.name),
            Token::String(text) => self.text(&text.value),
            Token::Comment(_) | Token::Doctype(_) | Token::Error(_) => {}
        }
    }

    fn finish(mut self) -> Readable {
        self.break_block();
        Readable {
            title: self
                .title
                .map(|title| collapse(&title))
                .filter(|it| !it.is_empty()),
            content: self.blocks.content(MAIN_BYTES_MIN),
            links: self.links,
        }
    }

    fn text(&mut self, bytes: &[u8]) {
        if self.skipped.is_some() {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        if self.in_title {
            return self.title.get_or_insert_default().push_str(&text);
        }
        self.blocks.push(&text);
    }

    fn start(&mut self, tag: &StartTag<()>) {
        let name: &[u8] = &tag.name;
        if let Some((skipped, open)) = &mut self.skipped {
            if !is_ended_by(skipped, name) {
                *open += usize::from(*skipped == tag.name && !tag.self_closing);
                return;
            }
            self.skipped = None;
        }
        if !VOID.contains(&name) && (SKIPPED.contains(&name) || is_hidden(tag)) {
            if !tag.self_closing {
                self.skipped = Some((tag.name.clone(), 1));
            }
            return;
        }
        self.count(name, 1);
        match name {
            b"title" => self.in_title = self.title.is_none(),
            b"base" => self.rebase(tag),
            b"br" => self.blocks.line_break(),
            b"hr" => self.rule(),
            b"img" => self.image(tag),
            b"a" => self.open_link(tag),
            b"code" => self.mark_code(),
            b"td" | b"th" => self.cell(),
            _ if is_block(name) => self.open_block(name),
            _ => {}
        }
    }

    fn end(&mut self, name: &HtmlString) {
        if let Some((skipped, open)) = &mut self.skipped {
            if skipped == name {
                *open -= 1;
                if *open == 0 {
                    self.skipped = None;
                }
            }
            return;
        }
        match name.as_slice() {
            b"title" => self.in_title = false,
            b"a" => self.close_link(),
            b"code" => self.mark_code(),
            b"ul" | b"ol" => {
                self.break_block();
                self.lists.pop();
            }
            b"tr" => self.close_row(),
            block if is_block(block) => self.break_block(),
            _ => {}
        }
        self.count(name, -1);
    }

    /// Keeps count of the elements that say what their content is.
    fn count(&mut self, name: &[u8], by: isize) {
        let open = match name {
            b"main" | b"article" => &mut self.main,
            b"nav" | b"aside" => &mut self.around,
            // Those of an article are its own.
            b"header" | b"footer" if self.main == 0 => &mut self.around,
            b"blockquote" => &mut self.quotes,
            _ => return,
        };
        self.link = None;
        self.blocks.flush();
        *open = open.saturating_add_signed(by);
        self.blocks.place(self.main > 0, self.around > 0);
        let quoted = self.quotes > 0 && self.style == Style::Markdown;
        self.blocks.quote(quoted);
    }

    fn open_block(&mut self, name: &[u8]) {
        self.break_block();
        let is_markdown = self.style == Style::Markdown;
        match name {
            b"h1" | b"h2" | b"h3" | b"h4" | b"h5" | b"h6" if is_markdown => {
                let level = usize::from(name[1] - b'0');
                self.blocks
                    .open(Kind::Text, &format!("{} ", "#".repeat(level)));
            }
            b"pre" => self.blocks.open(
                Kind::Code {
                    fenced: is_markdown,
                },
                "",
            ),
            b"ul" => self.lists.push(None),
            b"ol" => self.lists.push(Some(0)),
            b"li" => self.item(),
            b"table" => self.rows = 0,
            b"tr" => {
                self.cells = 0;
                self.blocks.open(Kind::Row, "");
            }
            _ => {}
        }
    }

    fn break_block(&mut self) {
        self.close_link();
        self.blocks.flush();
    }

    fn item(&mut self) {
        let depth = self.lists.len().clamp(1, LISTS_MAX) - 1;
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                *number += 1;
                format!("{number}. ")
            }
            Some(None) | None => "- ".to_owned(),
        };
        let prefix = format!("{}{mark}", "  ".repeat(depth));
        self.blocks.open(Kind::Item, &prefix);
    }

    /// Code in a block of code needs no mark.
    fn mark_code(&mut self) {
        if self.style == Style::Markdown && !self.blocks.is_code() {
            self.blocks.mark("`");
        }
    }

    fn cell(&mut self) {
        self.close_link();
        if self.cells > 0 || self.style == Style::Markdown {
            self.blocks.mark(if self.cells == 0 { "| " } else { " | " });
        }
        self.cells += 1;
    }

    fn close_row(&mut self) {
        self.close_link();
        if self.style == Style::Markdown && self.cells > 0 {
            self.blocks.mark(" |");
            self.blocks.flush();
            self.rows += 1;
            if self.rows == 1 {
                self.blocks.open(Kind::Row, "");
                self.blocks
                    .mark(&format!("|{}", " --- |".repeat(self.cells)));
            }
        }
        self.blocks.flush();
        self.cells = 0;
    }

    fn rule(&mut self) {
        self.break_block();
        if self.style == Style::Markdown {
            self.blocks.mark("---");
            self.blocks.flush();
        }
    }

    fn image(&mut self, tag: &StartTag<()>) {
        let Some(alt) = attribute(tag, b"alt").filter(|alt| !alt.is_empty()) else {
            return;
        };
        let source = attribute(tag, b"src").and_then(|src| self.absolute(&src));
        match (self.style, source) {
            (Style::Markdown, Some(source)) => self.blocks.push(&format!("![{alt}]({source})")),
            (Style::Markdown | Style::Text, _) => self.blocks.push(&format!("[{alt}]")),
        }
    }

    fn open_link(&mut self, tag: &StartTag<()>) {
        self.close_link();
        let url = attribute(tag, b"href").and_then(|href| self.absolute(&href));
        self.link = url.map(|url| (self.blocks.position(), url));
    }

    fn close_link(&mut self) {
        let Some((start, url)) = self.link.take() else {
            return;
        };
        let text = self.blocks.since(start);
        if text.is_empty() {
            return;
        }
        if self.style == Style::Markdown {
            self.blocks.replace(start, &format!("[{text}]({url})"));
        }
        let link = Link { text, url };
        if self.links.len() < LINKS_MAX && !self.links.contains(&link) {
            self.links.push(link);
        }
    }

    /// A reference as an absolute URL, if it leads anywhere.
    fn absolute(&self, reference: &str) -> Option<String> {
        let reference = reference.trim();
        if reference.is_empty() || reference.starts_with('#') {
            return None;
        }
        let url = match &self.base {
            Some(base) => base.join(reference).ok()?,
            None => Url::parse(reference).ok()?,
        };
        matches!(url.scheme(), "http" | "https" | "mailto").then(|| url.into())
    }

    fn rebase(&mut self, tag: &StartTag<()>) {
        let href = attribute(tag, b"href").and_then(|href| self.absolute(&href));
        if let Some(url) = href.and_then(|href| Url::parse(&href).ok()) {
            self.base = Some(url);
        }
    }
}

/// Elements that begin a block of their own.
fn is_block(name: &[u8]) -> bool {
    const BLOCKS: [&[u8]; 33] = [
        b"address",
        b"article",
        b"aside",
        b"blockquote",
        b"body",
        b"dd",
        b"details",
        b"div",
        b"dl",
        b"dt",
        b"fieldset",
        b"figcaption",
        b"figure",
        b"footer",
        b"form",
        b"h1",
        b"h2",
        b"h3",
        b"h4",
        b"h5",
        b"h6",
        b"header",
        b"li",
        b"main",
        b"nav",
        b"ol",
        b"p",
        b"pre",
        b"section",
        b"summary",
        b"table",
        b"tr",
        b"ul",
    ];
    BLOCKS.contains(&name)
}

/// Whether an element whose end tag may be left out ends where another begins (HTML standard, section
/// 13.1.2.4).
fn is_ended_by(open: &[u8], next: &[u8]) -> bool {
    match open {
        b"p" => is_block(next),
        b"li" | b"dt" | b"dd" | b"tr" | b"td" | b"th" => open == next,
        _ => false,
    }
}

/// Whether an element says that it is not shown.
fn is_hidden(tag: &StartTag<()>) -> bool {
    let style = attribute(tag, b"style").unwrap_or_default();
    let style: String = style
        .split_whitespace()
        .collect::<String>()
        .to_ascii_lowercase();
    tag.attributes.contains_key(b"hidden".as_slice())
        || attribute(tag, b"aria-hidden").is_some_and(|value| value == "true")
        || style.contains("display:none")
        || style.contains("visibility:hidden")
}

fn attribute(tag: &StartTag<()>, name: &[u8]) -> Option<String> {
    let value = tag.attributes.get(name)?;
    Some(collapse(&String::from_utf8_lossy(&value.value)))
}

/// Text with each run of white space as one space, and none at its ends.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
