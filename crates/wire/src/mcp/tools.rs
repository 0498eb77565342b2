//! Tools as their server defines them, and whether they are what they were.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use carboy_engine::{Objection, folded_name};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::json::{Node, Value};
use super::message::{Flaw, Message, check_case};

/// Tools of one server. Large servers offer some two hundred.
pub const TOOLS_MAX: usize = 10_000;

/// One tool of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: Box<str>,
    /// All that its server says of it: title, description, schemas, annotations and whatever else.
    pub definition: serde_json::Value,
}

/// A page of a server's list of tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The tools, in the server's order.
    pub tools: Vec<Tool>,
    /// Where the next page is, if there is one.
    pub next: Option<Box<str>>,
}

/// The SHA-256 of a definition's canonical form (RFC 8785), or of bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// What a person has accepted of one server's tools. It is kept over sessions.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The definitions that were seen first, or accepted since, by name.
    pub tools: BTreeMap<String, serde_json::Value>,
    /// Definitions that the server offered instead, and that were refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<String, serde_json::Value>,
}

/// What another server offers.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// The server's name.
    pub server: Box<str>,
    /// Its tools' names.
    pub tools: Vec<String>,
}

/// The tools of one connection to a server, beside what is kept of it.
#[derive(Debug, Default)]
pub struct Catalogue {
    server: Box<str>,
    baseline: Baseline,
    /// What was offered in this session and not refused.
    listed: HashSet<Box<str>>,
    /// The same names as they look.
    looks: HashMap<String, Box<str>>,
    /// What other servers' names look like, where a letter is not ASCII on either side.
    neighbours: HashMap<String, (Box<str>, Box<str>)>,
}

impl Page {
    /// Reads the result of a request for tools.
    ///
    /// # Errors
    /// When it is no list of named tools.
    pub fn read(message: &Message<'_>) -> Result<Self, Flaw> {
        let result = message.node.member("result").ok_or(Flaw::Tools)?;
        check_case(result.members().ok_or(Flaw::Tools)?, &["tools"])?;
        let items = result.member("tools").and_then(Node::items);
        let items = items.filter(|items| items.len() <= TOOLS_MAX);
        let tools = items.ok_or(Flaw::Tools)?.iter().map(Tool::read);
        Ok(Self {
            tools: tools.collect::<Result<_, _>>()?,
            next: result
                .member("nextCursor")
                .and_then(Node::text)
                .map(Into::into),
        })
    }
}

impl Tool {
    fn read(node: &Node<'_>) -> Result<Self, Flaw> {
        check_case(node.members().ok_or(Flaw::Tools)?, &["name"])?;
        let name = node.member("name").and_then(Node::text);
        Ok(Self {
            name: name.ok_or(Flaw::Tools)?.into(),
            definition: value(node),
        })
    }
}

impl Fingerprint {
    /// The fingerprint of a definition.
    pub fn of(definition: &serde_json::Value) -> Self {
        let canonical = serde_json_canonicalizer::to_vec(definition);
        let canonical = canonical.expect("a value of strings and finite numbers has a form");
        Self::of_bytes(&canonical)
    }

    /// The fingerprint of bytes.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl Baseline {
    /// Takes the definitions of tools that were not known before. Returns whether there are any.
    pub fn pin(&mut self, tools: &[Tool]) -> bool {
        let before = self.tools.len();
        for tool in tools {
            let is_known = self.tools.contains_key(&*tool.name);
            if !is_known && self.tools.len() < TOOLS_MAX {
                let definition = tool.definition.clone();
                self.tools.insert(tool.name.to_string(), definition);
            }
        }
        self.tools.len() > before
    }

    /// Keeps the definitions that differ from what is known, so that a person can look at them.
    pub fn note_changes(&mut self, tools: &[Tool]) {
        for tool in tools.iter().filter(|tool| is_changed(&self.tools, tool)) {
            let definition = tool.definition.clone();
            self.changed.insert(tool.name.to_string(), definition);
        }
    }

    /// Takes what was refused for what is right.
    pub fn accept(&mut self) {
        self.tools.append(&mut self.changed);
    }
}

impl Catalogue {
    /// The catalogue of a server, with what is kept of it and of others.
    pub fn new(server: &str, baseline: Baseline, neighbours: &[Neighbour]) -> Self {
        let mut catalogue = Self {
            server: server.into(),
            baseline,
            ..Self::default()
        };
        for neighbour in neighbours {
            for tool in &neighbour.tools {
                let entry = (neighbour.server.clone(), tool.as_str().into());
                catalogue.neighbours.insert(folded_name(tool), entry);
            }
        }
        catalogue
    }

    /// What is kept of the server.
    pub fn baseline(&self) -> &Baseline {
        &self.baseline
    }

    /// Takes what is kept of the server anew: a person may have accepted a change since.
    pub fn refresh(&mut self, baseline: Baseline) {
        self.baseline = baseline;
    }

    /// What is wrong with a page of tools, if anything. Nothing is taken over yet.
    pub fn judge(&self, tools: &[Tool]) -> Option<Objection> {
        let mut looks: HashMap<String, &Tool> = HashMap::new();
        for tool in tools {
            if let Some(like) = self.lookalike(tool, &mut looks) {
                return Some(like);
            }
            if is_changed(&self.baseline.tools, tool) {
                return Some(self.changed(&tool.name));
            }
        }
        None
    }

    /// Takes a page over that was let pass: its tools may be called.
    pub fn adopt(&mut self, tools: &[Tool]) {
        let room = TOOLS_MAX.saturating_sub(self.listed.len());
        for tool in tools.iter().take(room) {
            self.listed.insert(tool.name.clone());
            self.looks
                .insert(folded_name(&tool.name), tool.name.clone());
        }
    }

    /// Takes it that a page was refused: what changed in it may no longer be called.
    pub fn disown(&mut self, tools: &[Tool]) {
        for tool in tools {
            if is_changed(&self.baseline.tools, tool) {
                self.listed.remove(&tool.name);
            }
        }
    }

    /// Whether a tool has been offered in this session.
    pub fn is_listed(&self, tool: &str) -> bool {
        self.listed.contains(tool)
    }

    /// What is wrong with a call of a tool, if anything.
    pub fn judge_call(&self, tool: &str) -> Option<Objection> {
        if self.is_listed(tool) {
            None
        } else if self.baseline.changed.contains_key(tool) {
            Some(self.changed(tool))
        } else {
            let tool = tool.into();
            Some(Objection::ToolUnlisted { tool })
        }
    }

    fn changed(&self, tool: &str) -> Objection {
        Objection::ToolChanged {
            tool: tool.into(),
            server: self.server.clone(),
        }
    }

    fn lookalike<'a>(
        &self,
        tool: &'a Tool,
        looks: &mut HashMap<String, &'a Tool>,
    ) -> Option<Objection> {
        let look = folded_name(&tool.name);
        let alike = |like: &str, server: Option<&Box<str>>| Objection::ToolLookalike {
            tool: tool.name.clone(),
            like: like.into(),
            server: server.cloned(),
        };
        if let Some(like) = self.looks.get(&look).filter(|like| **like != tool.name) {
            return Some(alike(like, None));
        }
        if let Some((server, like)) = self.neighbours.get(&look) {
            let has_other_letters = !like.is_ascii() || !tool.name.is_ascii();
            if *like != tool.name && has_other_letters {
                return Some(alike(like, Some(server)));
            }
        }
        let before = looks.insert(look, tool)?;
        (before != tool).then(|| alike(&before.name, None))
    }
}

fn is_changed(known: &BTreeMap<String, serde_json::Value>, tool: &Tool) -> bool {
    let known = known.get(&*tool.name);
    known.is_some_and(|known| Fingerprint::of(known) != Fingerprint::of(&tool.definition))
}

/// A value as another library knows it.
pub(super) fn value(node: &Node<'_>) -> serde_json::Value {
    match &node.value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(is_true) => (*is_true).into(),
        // What no double can hold is kept as it is written.
        Value::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| (*text).into()),
        Value::Text(text) => text.as_ref().into(),
        Value::List(items) => items.iter().map(value).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, node)| (name.to_string(), value(node)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Baseline, Catalogue, Neighbour, Page, Tool};
    use crate::mcp::message::{Flaw, Frame};
    use carboy_engine::Objection;

    fn page(tools: &str) -> Result<Page, Flaw> {
        let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{{\"tools\":{tools}}}}}");
        let mut frame = Frame::parse(text.as_bytes()).expect("JSON");
        Page::read(&frame.messages.remove(0).expect("a message"))
    }

    fn tools(tools: &str) -> Vec<Tool> {
        page(tools).expect("a page").tools
    }

    fn changed() -> Option<Objection> {
        Some(Objection::ToolChanged {
            tool: "a".into(),
            server: "notes".into(),
        })
    }

    fn pin(catalogue: &mut Catalogue, tools: &[Tool]) {
        let mut kept = catalogue.baseline().clone();
        assert!(kept.pin(tools));
        catalogue.refresh(kept);
        catalogue.adopt(tools);
    }

    #[test]
    fn all_of_a_definition_counts_and_its_spelling_does_not() {
        let first = tools(r#"[{"name":"a","description":"d","inputSchema":{"x":1,"y":"é"}}]"#);
        let mut catalogue = Catalogue::new("notes", Baseline::default(), &[]);
        assert_eq!(catalogue.judge(&first), None);
        pin(&mut catalogue, &first);
        let same = r#"[ {"inputSchema":{"y":"\u00e9","x":1.0},"name":"a", "description":"d"} ]"#;
        assert_eq!(catalogue.judge(&tools(same)), None);
        let mut kept = catalogue.baseline().clone();
        assert!(!kept.pin(&tools(same)));
        for other in [
            r#"[{"name":"a","description":"D","inputSchema":{"x":1,"y":"é"}}]"#,
            r#"[{"name":"a","description":"d","inputSchema":{"x":1,"y":"é","z":0}}]"#,
            r#"[{"name":"a","title":"t","description":"d","inputSchema":{"x":1,"y":"é"}}]"#,
            r#"[{"name":"a","description":"d","inputSchema":{"x":1,"y":"é"},"annotations":{"readOnlyHint":true}}]"#,
            r#"[{"name":"a","description":"d","inputSchema":{"x":1,"y":"é"},"outputSchema":{}}]"#,
            r#"[{"name":"a","description":"d","inputSchema":{"x":1,"y":"é"},"_meta":{"k":1}}]"#,
        ] {
            let changed = changed();
            assert_eq!(catalogue.judge(&tools(other)), changed, "{other}");
        }
    }

    #[test]
    fn a_change_is_refused_until_it_is_accepted() {
        let (old, new) = (
            tools(r#"[{"name":"a","description":"old"}]"#),
            tools(r#"[{"name":"a","description":"new"}]"#),
        );
        let changed = changed();
        let mut catalogue = Catalogue::new("notes", Baseline::default(), &[]);
        pin(&mut catalogue, &old);
        let mut kept = catalogue.baseline().clone();
        for _ in 0..3 {
            assert_eq!(catalogue.judge(&new), changed);
            kept.note_changes(&new);
            catalogue.refresh(kept.clone());
            catalogue.disown(&new);
            assert_eq!(catalogue.judge_call("a"), changed);
        }
        assert_eq!(
            Catalogue::new("notes", kept.clone(), &[]).judge(&new),
            changed
        );
        kept.accept();
        let mut next = Catalogue::new("notes", kept, &[]);
        assert_eq!(next.judge(&new), None);
        next.adopt(&new);
        assert_eq!(next.judge_call("a"), None);
        assert_eq!(next.judge(&old), changed);
    }

    #[test]
    fn what_was_never_listed_cannot_be_called() {
        let mut catalogue = Catalogue::new("notes", Baseline::default(), &[]);
        let unlisted = Some(Objection::ToolUnlisted { tool: "b".into() });
        catalogue.adopt(&tools(r#"[{"name":"a"}]"#));
        assert_eq!(catalogue.judge_call("a"), None);
        assert_eq!(catalogue.judge_call("b"), unlisted);
        // What was listed in another session must be listed again.
        let next = Catalogue::new("notes", catalogue.baseline().clone(), &[]);
        assert!(next.judge_call("a").is_some());
    }

    #[test]
    fn names_that_pass_for_others_are_seen() {
        let mut catalogue = Catalogue::new(
            "notes",
            Baseline::default(),
            &[Neighbour {
                server: "files".into(),
                tools: vec!["read_file".into(), "search".into()],
            }],
        );
        catalogue.adopt(&tools(r#"[{"name":"send"}]"#));
        type Alike<'a> = Option<(&'a str, Option<&'a str>)>;
        let cases: &[(&str, Alike<'_>)] = &[
            (r#"[{"name":"send"}]"#, None),
            (r#"[{"name":"search"},{"name":"Search2"}]"#, None),
            // Cyrillic e.
            ("[{\"name\":\"s\u{435}nd\"}]", Some(("send", None))),
            ("[{\"name\":\"se\u{200b}nd\"}]", Some(("send", None))),
            (r#"[{"name":"SEND"}]"#, Some(("send", None))),
            (
                r#"[{"name":"x"},{"name":"x","title":"y"}]"#,
                Some(("x", None)),
            ),
            (r#"[{"name":"x"},{"name":"x"}]"#, None),
            (
                "[{\"name\":\"r\u{435}ad_file\"}]",
                Some(("read_file", Some("files"))),
            ),
            (r#"[{"name":"Read_File"}]"#, None),
        ];
        for (list, expected) in cases {
            let found = catalogue
                .judge(&tools(list))
                .map(|objection| match objection {
                    Objection::ToolLookalike { like, server, .. } => (like, server),
                    other => panic!("{list}: {other:?}"),
                });
            let found = found
                .as_ref()
                .map(|(like, server)| (&**like, server.as_deref()));
            assert_eq!(found, *expected, "{list}");
        }
    }

    #[test]
    fn lists_without_names_are_refused() {
        for list in [r#"{}"#, r#"[1]"#, r#"[{}]"#, r#"[{"name":1}]"#] {
            assert_eq!(page(list), Err(Flaw::Tools), "{list}");
        }
        assert_eq!(page(r#"[{"name":"a","Name":"b"}]"#), Err(Flaw::Case));
    }
}
