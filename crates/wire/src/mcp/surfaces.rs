//! A message's strings, names and numbers, each under its path.

use std::fmt::Write as _;

use carboy_engine::{Surface, SurfaceKind};

use super::json::{Node, Value};
use super::message::{Kind, Message, TOOLS_LIST};

/// The longest part of a path that is shown as it is: longer ones are data, not names.
const PART_BYTES_MAX: usize = 32;

/// The digits of a part that is shown as it is. Credentials have more.
const PART_DIGITS_MAX: usize = 2;

/// Visits everything in a message that can hold content, and stops at the first error. `method` is that
/// of the request which a result answers.
///
/// A name comes before its value, so that what it holds is judged before the path that shows it. A name
/// that could be content stands as `*` in the path.
///
/// # Errors
/// The first error of `visit`.
pub fn surfaces<E>(
    message: &Message<'_>,
    method: Option<&str>,
    mut visit: impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk {
        path: String::new(),
        visit: &mut visit,
    };
    if let Some(call) = message.call() {
        walk.see(SurfaceKind::Tool, call.tool)?;
        if let Some(arguments) = call.arguments {
            walk.node(arguments, &|_| SurfaceKind::Argument)?;
            (walk.visit)(Surface {
                kind: SurfaceKind::Call,
                name: call.tool,
                bytes: arguments.raw.as_bytes(),
            })?;
        }
        return walk.envelope(message, &|path| match path {
            "/params/name" | "/params/arguments" => None,
            _ => Some(SurfaceKind::Message),
        });
    }
    let lists_tools = method == Some(TOOLS_LIST) && matches!(message.kind, Kind::Result { .. });
    walk.envelope(message, &|path| {
        let is_tool = lists_tools && path.starts_with("/result/tools");
        Some(match is_tool {
            true => SurfaceKind::Definition,
            false => SurfaceKind::Message,
        })
    })
}

/// Visits everything in a document that defines something, as [`surfaces`] does in a message.
pub(super) fn definition<E>(
    node: &Node<'_>,
    mut visit: impl FnMut(Surface<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut walk = Walk {
        path: String::new(),
        visit: &mut visit,
    };
    walk.node(node, &|_| SurfaceKind::Definition)
}

/// The kind of what stands at a path; none for what is judged elsewhere.
type KindOf<'a> = &'a dyn Fn(&str) -> Option<SurfaceKind>;

struct Walk<'a, E> {
    path: String,
    visit: &'a mut dyn FnMut(Surface<'_>) -> Result<(), E>,
}

impl<E> Walk<'_, E> {
    /// All of a message but the names and values that are the same in all of them.
    fn envelope(&mut self, message: &Message<'_>, kind_of: KindOf<'_>) -> Result<(), E> {
        for (name, node) in message.node.members().unwrap_or_default() {
            match (&**name, &message.kind) {
                ("jsonrpc", _) => continue,
                ("method", Kind::Request { method, .. } | Kind::Notification { method })
                    if method.known.is_some() =>
                {
                    continue;
                }
                ("id" | "method" | "params" | "result" | "error", _) => {}
                _ => self.see(SurfaceKind::Message, name)?,
            }
            self.within(name, |walk| walk.some(node, kind_of))?;
        }
        Ok(())
    }

    fn node(&mut self, node: &Node<'_>, kind_of: &dyn Fn(&str) -> SurfaceKind) -> Result<(), E> {
        self.some(node, &|path| Some(kind_of(path)))
    }

    fn some(&mut self, node: &Node<'_>, kind_of: KindOf<'_>) -> Result<(), E> {
        let Some(kind) = kind_of(&self.path) else {
            return Ok(());
        };
        match &node.value {
            Value::Null | Value::Bool(_) => Ok(()),
            Value::Number(text) => self.see(kind, text),
            Value::Text(text) => self.see(kind, text),
            Value::List(items) => items.iter().enumerate().try_for_each(|(index, item)| {
                let length = self.path.len();
                // Writing to a string cannot fail.
                let _ = write!(self.path, "/{index}");
                let seen = self.some(item, kind_of);
                self.path.truncate(length);
                seen
            }),
            Value::Object(members) => members.iter().try_for_each(|(name, node)| {
                self.see(kind, name)?;
                self.within(name, |walk| walk.some(node, kind_of))
            }),
        }
    }

    fn within(
        &mut self,
        name: &str,
        visit: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        let length = self.path.len();
        self.path.push('/');
        self.path.push_str(if is_shown(name) { name } else { "*" });
        let seen = visit(self);
        self.path.truncate(length);
        seen
    }

    fn see(&mut self, kind: SurfaceKind, text: &str) -> Result<(), E> {
        if text.is_empty() {
            return Ok(());
        }
        (self.visit)(Surface {
            kind,
            name: &self.path,
            bytes: text.as_bytes(),
        })
    }
}

/// Whether a name is surely no content: a short word.
fn is_shown(name: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    let digits = name.bytes().filter(u8::is_ascii_digit).count();
    !name.is_empty()
        && name.len() <= PART_BYTES_MAX
        && digits <= PART_DIGITS_MAX
        && name.bytes().all(is_plain)
}

/// A client's message with strings replaced, where `redact` gives others for them; `None` where it
/// gives none. Only values are replaced: names and ids say what is meant. All else stays as it is.
///
/// Ask it of a message after its tool's name was judged, since exemptions may name that.
pub fn redacted(
    message: &Message<'_>,
    mut redact: impl FnMut(Surface<'_>) -> Option<Vec<u8>>,
) -> Option<String> {
    let mut edits: Vec<(&str, String)> = Vec::new();
    let mut path = String::new();
    let is_call = message.call().is_some();
    let parts = message.node.members().unwrap_or_default().iter();
    for (name, node) in parts.filter(|(name, _)| matches!(&**name, "params" | "result" | "error")) {
        path.clear();
        path.push('/');
        path.push_str(name);
        let call = |path: &str| is_call && path == "/params/name";
        let mut visit = |path: &str, node: &Node<'_>| {
            let text = node.text().filter(|_| !call(path))?;
            let arguments = path.strip_prefix("/params/arguments").filter(|_| is_call);
            redact(Surface {
                kind: match arguments {
                    Some(_) => SurfaceKind::Argument,
                    None => SurfaceKind::Message,
                },
                name: arguments.unwrap_or(path),
                bytes: text.as_bytes(),
            })
        };
        replace(node, &mut path, &mut visit, &mut edits);
    }
    if edits.is_empty() {
        return None;
    }
    let whole = message.node.raw;
    let (mut out, mut taken) = (String::with_capacity(whole.len()), 0);
    for (raw, text) in edits {
        // Each value's text is a part of the whole's.
        let start = raw.as_ptr() as usize - whole.as_ptr() as usize;
        out.push_str(&whole[taken..start]);
        out.push_str(&text);
        taken = start + raw.len();
    }
    out.push_str(&whole[taken..]);
    Some(out)
}

/// Notes what is to stand in place of each string, in their order.
fn replace<'a>(
    node: &Node<'a>,
    path: &mut String,
    visit: &mut dyn FnMut(&str, &Node<'_>) -> Option<Vec<u8>>,
    edits: &mut Vec<(&'a str, String)>,
) {
    let length = path.len();
    match &node.value {
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
        Value::Text(_) => {
            if let Some(text) = visit(path, node) {
                let text = String::from_utf8_lossy(&text).into_owned();
                edits.push((node.raw, serde_json::Value::from(text).to_string()));
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                // Writing to a string cannot fail.
                let _ = write!(path, "/{index}");
                replace(item, path, visit, edits);
                path.truncate(length);
            }
        }
        Value::Object(members) => {
            for (name, node) in members {
                path.push('/');
                path.push_str(if is_shown(name) { name } else { "*" });
                replace(node, path, visit, edits);
                path.truncate(length);
            }
        }
    }
}
