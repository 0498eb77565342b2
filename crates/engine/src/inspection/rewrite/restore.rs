//! Placeholders that come back, with what they stand for put in their place.

use memchr::memmem;

use super::place::{Place, apply};
use super::{DECODED_BYTES_MAX, Form, Inspection};
use crate::crossing::{Direction, Surface, SurfaceKind};
use crate::scan::decode;
use crate::session::Session;

/// Placeholders put back in one piece of content. The rest of more stay as they are.
const PLACES_MAX: usize = 1024;

/// The longest id of a rule, and its number.
const KEY_BYTES_MAX: usize = 64;

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

impl Inspection {
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
        let host = self.target.host.to_string();
        let found = memmem::find_iter(content, "carboy");
        let places = found.filter_map(|at| place(content, at, form, &host, session));
        let places: Vec<_> = places.take(PLACES_MAX).collect();
        (!places.is_empty()).then(|| apply(content, places))
    }
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
