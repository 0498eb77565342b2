//! Placeholders that come back, with what they stand for put in their place.

use std::fmt;

use memchr::memmem;

use super::place::{Place, apply};
use super::{DECODED_BYTES_MAX, Form, Inspection};
use crate::crossing::{Direction, Surface, SurfaceKind};
use crate::host::Host;
use crate::scan::decode;
use crate::session::Session;

/// Placeholders put back in one piece of content. The rest of more stay as they are.
const PLACES_MAX: usize = 1024;

/// The longest id of a rule, and its number.
const KEY_BYTES_MAX: usize = 64;

/// The longest of the ways to write a placeholder, with its key.
const PLACEHOLDER_BYTES_MAX: usize = 96;

/// How a value is spelt, so that what it is put into stays what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Escape {
    None,
    Json,
    Entity,
    Percent,
}

/// A way to write a placeholder.
struct Written {
    open: &'static str,
    between: &'static str,
    close: &'static str,
    /// Set where the way tells what it stands in.
    escape: Option<Escape>,
}

const WAYS: [Written; 4] = [
    Written {
        open: "<carboy:",
        between: ":",
        close: ">",
        escape: None,
    },
    // Some writers of JSON escape what HTML would read.
    Written {
        open: "\\u003ccarboy:",
        between: ":",
        close: "\\u003e",
        escape: Some(Escape::Json),
    },
    Written {
        open: "&lt;carboy:",
        between: ":",
        close: "&gt;",
        escape: Some(Escape::Entity),
    },
    Written {
        open: "%3Ccarboy%3A",
        between: "%3A",
        close: "%3E",
        escape: Some(Escape::Percent),
    },
];

/// Puts values back in content as it goes on. However it is cut, what it gives is the same.
pub struct Restorer {
    host: Host,
    /// None until the content's first byte tells.
    form: Option<Form>,
    /// The beginning of what may be a placeholder.
    held: Vec<u8>,
}

impl Restorer {
    /// Takes the next bytes, and returns what may go on of all that came.
    pub fn feed(&mut self, bytes: &[u8], session: &Session) -> Vec<u8> {
        self.held.extend_from_slice(bytes);
        let rest = self.held.split_off(settled(&self.held));
        let content = std::mem::replace(&mut self.held, rest);
        self.restored(content, session)
    }

    /// Says that no more comes, and returns what is left.
    pub fn end(&mut self, session: &Session) -> Vec<u8> {
        let content = std::mem::take(&mut self.held);
        self.restored(content, session)
    }

    fn restored(&mut self, content: Vec<u8>, session: &Session) -> Vec<u8> {
        let Some(first) = content.trim_ascii_start().first() else {
            return content;
        };
        let form = *self.form.get_or_insert(match first {
            b'{' | b'[' | b'"' => Form::Json,
            b'<' => Form::Markup,
            _ => Form::Text,
        });
        let places = places(&content, form, &self.host, session);
        match places.is_empty() {
            true => content,
            false => apply(&content, places),
        }
    }
}

impl fmt::Debug for Restorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Restorer({})", self.host)
    }
}

/// Where content ends of which surely no placeholder goes on.
fn settled(content: &[u8]) -> usize {
    let from = content.len().saturating_sub(PLACEHOLDER_BYTES_MAX);
    let may_go_on = |at: &usize| {
        let rest = &content[*at..];
        WAYS.iter().any(|way| {
            let open = way.open.as_bytes();
            let is_closed = || memmem::find(rest, way.close.as_bytes()).is_some();
            open.starts_with(rest) || (rest.starts_with(open) && !is_closed())
        })
    };
    (from..content.len())
        .find(may_go_on)
        .unwrap_or(content.len())
}

impl Inspection {
    /// What puts values back in a body as it goes on, where the policy wants so and the body is in no
    /// content coding. What it is fed was judged and released already.
    pub fn restorer(&self) -> Option<Restorer> {
        let may_be = self.restores() && !self.is_stopped() && self.encoding.is_empty();
        may_be.then(|| Restorer {
            host: self.target.host.clone(),
            form: self.events.map(|_| Form::Events),
            held: Vec::new(),
        })
    }

    /// Whether the policy wants placeholders that come back replaced by what they stand for, so that
    /// there is reason to call [`Inspection::restore`].
    pub fn restores(&self) -> bool {
        let is_inbound = self.kind.direction() == Direction::Inbound;
        is_inbound && self.engine.policy.restores() && !self.is_audit()
    }

    /// A body's content as the client is to have it: with each placeholder replaced that the same
    /// session sent to the same host in place of a value. `None` where there is none.
    ///
    /// It is asked of what was pushed already: what is put back comes from the client's own side, and
    /// is not judged again. A body in a content coding comes back without it.
    pub fn restore(&self, next: Surface<'_>, session: &Session) -> Option<Vec<u8>> {
        if !self.restores() || self.is_stopped() || next.kind != SurfaceKind::Body {
            return None;
        }
        let decoded = match self.encoding.is_empty() {
            true => None,
            false => Some(decode(&self.encoding, next.bytes, DECODED_BYTES_MAX)?),
        };
        let content = decoded.as_deref().unwrap_or(next.bytes);
        let form = self.form(Surface {
            bytes: content,
            ..next
        });
        let places = places(content, form, &self.target.host, session);
        (!places.is_empty()).then(|| apply(content, places))
    }
}

/// The placeholders in content that stand for what the session sent to a host.
fn places(content: &[u8], form: Form, host: &Host, session: &Session) -> Vec<Place> {
    let host = host.to_string();
    let found = memmem::find_iter(content, "carboy");
    let places = found.filter_map(|at| place(content, at, form, &host, session));
    places.take(PLACES_MAX).collect()
}

/// The placeholder around `at`, and what it stands for.
fn place(content: &[u8], at: usize, form: Form, host: &str, session: &Session) -> Option<Place> {
    WAYS.iter().find_map(|way| {
        let lead = way.open.find("carboy")?;
        let start = at.checked_sub(lead)?;
        let rest = content[start..].strip_prefix(way.open.as_bytes())?;
        let end = memmem::find(&rest[..rest.len().min(KEY_BYTES_MAX)], way.close.as_bytes())?;
        let (rule, number) = std::str::from_utf8(&rest[..end])
            .ok()?
            .rsplit_once(way.between)?;
        let value = session.original(&format!("{rule}:{number}"), host)?;
        let value = std::str::from_utf8(&value).ok()?;
        let end = start + way.open.len() + end + way.close.len();
        let escape = way.escape.unwrap_or(match form {
            Form::Json | Form::Events => Escape::Json,
            Form::Markup => Escape::Entity,
            Form::Text => Escape::None,
        });
        Some((start..end, escaped(value, escape)))
    })
}

fn escaped(value: &str, escape: Escape) -> String {
    match escape {
        Escape::None => value.to_owned(),
        Escape::Json => {
            let quoted = serde_json::Value::from(value).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        }
        Escape::Entity => value
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;"),
        Escape::Percent => value.bytes().fold(String::new(), |mut out, byte| {
            match byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                true => out.push(char::from(byte)),
                false => out.push_str(&format!("%{byte:02X}")),
            }
            out
        }),
    }
}
