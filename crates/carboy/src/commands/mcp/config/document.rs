//! A configuration file: the servers in it, and where in its text they stand.
//!
//! Edits are cut into the text, so that comments, order and layout stay as they are.

use std::ops::Range;
use std::path::Path;

use super::remote;
use anyhow::{Context, Result, bail};
use jsonc_parser::ast;
use jsonc_parser::common::Ranged as _;
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use serde_json::Value;
use toml_edit::{Document as TomlDocument, Item, TableLike, Value as TomlValue};

/// Maps within maps that are looked into. Servers stand at most four deep.
const DEPTH_MAX: usize = 8;

/// Keys under which servers stand by their names.
const HOLDERS: [&str; 6] = [
    "extensions",
    "mcpServers",
    "mcp_servers",
    "context_servers",
    "servers",
    "mcp",
];

/// What a file is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// With or without comments.
    Json,
    Toml,
    Yaml,
}

/// A value and where it stands; nowhere in a form whose text is not edited.
#[derive(Debug)]
struct Node {
    data: Data,
    range: Range<usize>,
    /// Where the name that it has stands.
    name_at: usize,
}

/// A part of the text, and what it becomes.
pub(super) type Edit = (Range<usize>, String);

/// Where the parts of a server's entry stand, their names included.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) url: Option<Range<usize>>,
    pub(super) command: Option<Range<usize>>,
    pub(super) arguments: Option<Range<usize>>,
    pub(super) headers: Option<Pairs>,
    pub(super) variables: Option<Pairs>,
    /// What kind of server it is said to be, and where that alone stands.
    pub(super) kind: Option<(String, Range<usize>)>,
    /// Whether the client signs in to it by itself.
    pub(super) signs_in: bool,
}

/// A map of texts, and where each stands.
#[derive(Debug)]
pub(super) struct Pairs {
    /// Nowhere where it does not stand in one place.
    pub(super) whole: Range<usize>,
    pub(super) values: Vec<(String, Range<usize>)>,
}

#[derive(Debug)]
enum Data {
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
    Other,
}

/// A server that a file names.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) name: String,
    /// The program and its arguments; none for a remote one.
    pub(super) command: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) url: Option<String>,
    pub(super) entry: Entry,
    spot: Option<Spot>,
}

/// Where a server's command stands.
#[derive(Debug)]
enum Spot {
    /// A program, and a list of arguments: where it stands, and each of its items.
    Apart {
        program: Range<usize>,
        arguments: Option<(Range<usize>, Vec<Range<usize>>)>,
    },
    /// One list of all words.
    Whole { items: Vec<Range<usize>> },
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) text: String,
    form: Form,
    pub(super) servers: Vec<Server>,
}

impl Document {
    /// Reads a file's text; its name says what it is written in.
    ///
    /// # Errors
    /// When it is not well-formed, or holds nothing that could be a server's place.
    pub(super) fn parse(path: &Path, text: String) -> Result<Self> {
        let extension = path
            .extension()
            .and_then(|own| own.to_str())
            .unwrap_or_default();
        let form = match extension {
            "toml" => Form::Toml,
            "yaml" | "yml" => Form::Yaml,
            _ => Form::Json,
        };
        let root = match form {
            Form::Json => json(&text),
            Form::Toml => toml(&text),
            Form::Yaml => yaml(&text),
        };
        let root = root.with_context(|| format!("cannot read {}", path.display()))?;
        let mut servers = Vec::new();
        find(&root, 0, &mut servers);
        Ok(Self {
            text,
            form,
            servers,
        })
    }

    /// The text with some servers led through others: `lead` gives the words that go before a local
    /// server's own, or that a remote one is reached by, or none to leave it.
    ///
    /// # Errors
    /// When files of this form are not edited.
    pub(super) fn led(&self, lead: impl Fn(&Server) -> Option<Vec<String>>) -> Result<String> {
        let mut edits = Vec::new();
        for server in &self.servers {
            let Some(words) = lead(server) else {
                continue;
            };
            self.check_form()?;
            match &server.spot {
                Some(spot) => edits.extend(self.lead_edits(spot, server, &words)),
                None => edits.extend(remote::lead_edits(self, server, &words)),
            }
        }
        Ok(self.edited(edits))
    }

    /// The text with the words before some servers' own commands taken away: `skip` gives how many, or none
    /// to leave it. What reaches remote servers becomes what `was` says of them.
    ///
    /// # Errors
    /// As [`Self::led`].
    pub(super) fn freed(
        &self,
        was: Option<&Self>,
        skip: impl Fn(&Server) -> Option<usize>,
    ) -> Result<String> {
        let mut edits = Vec::new();
        for server in &self.servers {
            if let Some(url) = remote::url_of(&server.command) {
                self.check_form()?;
                let was = was.and_then(|was| Some((was, was.remote(&server.name, url)?)));
                edits.extend(remote::free_edits(self, server, was));
            }
            if let (Some(spot), Some(count)) = (&server.spot, skip(server)) {
                self.check_form()?;
                edits.extend(self.free_edits(spot, server, count));
            }
        }
        Ok(self.edited(edits))
    }

    fn check_form(&self) -> Result<()> {
        match self.form {
            Form::Json | Form::Toml => Ok(()),
            Form::Yaml => bail!(
                "YAML files are not edited: put `carboy mcp wrap --` before the command yourself"
            ),
        }
    }

    fn remote(&self, name: &str, url: &str) -> Option<&Server> {
        let is_it = |own: &&Server| own.name == name && own.url.as_deref() == Some(url);
        self.servers.iter().find(is_it)
    }

    /// A named value.
    pub(super) fn member(&self, name: &str, value: &str) -> String {
        match self.form {
            Form::Json | Form::Yaml => format!("{}: {value}", quoted(name)),
            Form::Toml => format!("{name} = {value}"),
        }
    }

    /// A map of values that stand in the text.
    pub(super) fn map(&self, values: impl Iterator<Item = (String, Range<usize>)>) -> String {
        let separator = match self.form {
            Form::Json | Form::Yaml => ":",
            Form::Toml => " =",
        };
        let members = values.map(|(name, value)| {
            let value = &self.text[value];
            format!("{}{separator} {value}", quoted(&name))
        });
        format!("{{{}}}", members.collect::<Vec<_>>().join(", "))
    }

    /// What stands between two members, the first of which begins at a place.
    pub(super) fn between(&self, start: usize) -> &'static str {
        let before = self.text[..start].trim_end_matches([' ', '\t']);
        let is_line = before.is_empty() || before.ends_with('\n');
        match self.form {
            Form::Toml if is_line => "\n",
            Form::Toml | Form::Json | Form::Yaml => ", ",
        }
    }

    /// What headers are called.
    pub(super) fn headers_name(&self) -> &'static str {
        match self.form {
            Form::Json | Form::Yaml => "headers",
            Form::Toml => "http_headers",
        }
    }

    fn lead_edits(&self, spot: &Spot, server: &Server, words: &[String]) -> Vec<Edit> {
        let (carboy, rest) = words.split_first().expect("a lead has a program");
        match spot {
            Spot::Whole { items } => {
                let at = items[0].start;
                let before: String = words.iter().map(|word| quoted(word) + ", ").collect();
                vec![(at..at, before)]
            }
            Spot::Apart { program, arguments } => {
                let mut list: Vec<_> = rest.iter().map(|word| quoted(word)).collect();
                list.push(quoted(&server.command[0]));
                let list = list.join(", ");
                let second = match arguments {
                    Some((range, items)) => match items.first() {
                        // Right before the first, so that what stands before that stays.
                        Some(first) => (first.start..first.start, list + ", "),
                        None => (range.start + 1..range.start + 1, list),
                    },
                    None => {
                        let key = self.key_of_arguments();
                        (program.end..program.end, format!("{key}[{list}]"))
                    }
                };
                vec![(program.clone(), quoted(carboy)), second]
            }
        }
    }

    fn free_edits(&self, spot: &Spot, server: &Server, count: usize) -> Vec<Edit> {
        match spot {
            Spot::Whole { items } => vec![(items[0].start..items[count].start, String::new())],
            Spot::Apart { program, arguments } => {
                let Some((range, items)) = arguments else {
                    return Vec::new();
                };
                // The program is one word of the lead, and the server's own program comes after it.
                let gone = match items.get(count) {
                    Some(next) => items[0].start..next.start,
                    None if self.text[program.end..range.start] == *self.key_of_arguments() => {
                        program.end..range.end
                    }
                    None => items[0].start..items[items.len() - 1].end,
                };
                vec![
                    (program.clone(), quoted(&server.command[count])),
                    (gone, String::new()),
                ]
            }
        }
    }

    /// What stands between a program and a list of arguments that it had none of.
    fn key_of_arguments(&self) -> &'static str {
        match self.form {
            Form::Json | Form::Yaml => ", \"args\": ",
            Form::Toml => "\nargs = ",
        }
    }

    fn edited(&self, mut edits: Vec<Edit>) -> String {
        edits.sort_by_key(|(range, _)| range.start);
        let mut text = self.text.clone();
        for (range, new) in edits.into_iter().rev() {
            text.replace_range(range, &new);
        }
        text
    }
}

/// As a string of JSON, and of TOML.
pub(super) fn quoted(word: &str) -> String {
    Value::from(word).to_string()
}

impl Node {
    fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            Data::List(_) | Data::Map(_) | Data::Other => None,
        }
    }

    fn members(&self) -> &[(String, Node)] {
        match &self.data {
            Data::Map(members) => members,
            Data::Text(_) | Data::List(_) | Data::Other => &[],
        }
    }

    /// The first member of one of these names.
    fn member(&self, names: &[&str]) -> Option<&Node> {
        let own = self
            .members()
            .iter()
            .find(|(name, _)| names.contains(&&**name));
        own.map(|(_, node)| node)
    }

    /// From its name to its end.
    fn whole(&self) -> Range<usize> {
        self.name_at..self.range.end
    }

    fn pairs(&self, names: &[&str]) -> Vec<(String, String)> {
        let members = self.member(names).map(Node::members).unwrap_or_default();
        let texts = members
            .iter()
            .filter_map(|(name, node)| Some((name.clone(), node.text()?.to_owned())));
        texts.collect()
    }
}

/// Servers stand in a map of their own, wherever that is: for each project, or under another key.
fn find(node: &Node, depth: usize, servers: &mut Vec<Server>) {
    if depth > DEPTH_MAX {
        return;
    }
    for (name, member) in node.members() {
        let is_holder = HOLDERS.contains(&&**name);
        if is_holder {
            servers.extend(held(member));
        }
        // These two may hold something else than servers, or hold them deeper.
        let holds_servers = is_holder && !matches!(&**name, "mcp" | "extensions");
        if !holds_servers {
            find(member, depth + 1, servers);
        }
    }
}

/// The servers of a map by their names, or of a list whose items tell their names.
fn held(holder: &Node) -> Vec<Server> {
    let named = |entry: &Node| {
        let name = entry.member(&["name"]).and_then(Node::text)?;
        server(name, entry)
    };
    match &holder.data {
        Data::Map(members) => {
            let own = members.iter();
            own.filter_map(|(name, entry)| server(name, entry))
                .collect()
        }
        Data::List(items) => items.iter().filter_map(named).collect(),
        Data::Text(_) | Data::Other => Vec::new(),
    }
}

/// What is meant by names that clients call differently.
const URLS: [&str; 4] = ["url", "serverUrl", "httpUrl", "uri"];
const COMMANDS: [&str; 2] = ["command", "cmd"];
const ARGUMENTS: [&str; 2] = ["args", "arguments"];
const VARIABLES: [&str; 3] = ["env", "environment", "envs"];
const HEADERS: [&str; 2] = ["headers", "http_headers"];

fn entry(node: &Node) -> Entry {
    let whole = |names: &[&str]| node.member(names).map(Node::whole);
    let pairs = |names: &[&str]| {
        let own = node.member(names)?;
        let members = own.members().iter();
        let values = members
            .filter(|(_, value)| value.text().is_some())
            .map(|(name, value)| (name.clone(), value.range.clone()));
        let values: Vec<_> = values.collect();
        let is_whole = values.len() == own.members().len() && !own.range.is_empty();
        Some(Pairs {
            whole: if is_whole { own.whole() } else { 0..0 },
            values,
        })
    };
    let kind = node
        .member(&["type"])
        .and_then(|own| Some((own.text()?.to_owned(), own.range.clone())));
    Entry {
        url: whole(&URLS),
        command: whole(&COMMANDS),
        arguments: whole(&ARGUMENTS),
        headers: pairs(&HEADERS),
        variables: pairs(&VARIABLES),
        kind,
        signs_in: node.member(&remote::SIGN_INS).is_some(),
    }
}

fn server(name: &str, entry: &Node) -> Option<Server> {
    let url = entry.member(&URLS).and_then(Node::text);
    let mut server = Server {
        name: name.to_owned(),
        variables: entry.pairs(&VARIABLES),
        headers: entry.pairs(&HEADERS),
        entry: self::entry(entry),
        url: url.map(str::to_owned),
        ..Server::default()
    };
    if let Some(command) = entry.member(&COMMANDS) {
        match &command.data {
            Data::Text(program) => apart(program, command, entry, &mut server),
            Data::Map(_) => {
                // Zed's older form: the command is a map itself.
                let path = command.member(&["path"])?;
                apart(path.text()?, path, command, &mut server);
                server.variables.extend(command.pairs(&["env"]));
            }
            Data::List(items) => {
                server.command = items
                    .iter()
                    .filter_map(|own| own.text().map(str::to_owned))
                    .collect();
                let items: Vec<_> = items.iter().map(|own| own.range.clone()).collect();
                server.spot = (server.command.len() == items.len() && !items.is_empty())
                    .then_some(Spot::Whole { items });
            }
            Data::Other => {}
        }
    }
    let is_server = !server.command.is_empty() || server.url.is_some();
    is_server.then_some(server)
}

fn apart(program: &str, at: &Node, entry: &Node, server: &mut Server) {
    server.command = vec![program.to_owned()];
    let mut arguments = None;
    if let Some(list) = entry.member(&ARGUMENTS) {
        let Data::List(items) = &list.data else {
            return;
        };
        server
            .command
            .extend(items.iter().filter_map(|own| own.text().map(str::to_owned)));
        let items: Vec<_> = items.iter().map(|own| own.range.clone()).collect();
        if server.command.len() != items.len() + 1 {
            return;
        }
        arguments = Some((list.range.clone(), items));
    }
    let program = at.range.clone();
    server.spot = Some(Spot::Apart { program, arguments });
}

fn json(text: &str) -> Result<Node> {
    let parsed = parse_to_ast(text, &CollectOptions::default(), &ParseOptions::default())?;
    let empty = Node {
        data: Data::Other,
        range: 0..0,
        name_at: 0,
    };
    Ok(parsed.value.as_ref().map_or(empty, of_json))
}

fn of_json(value: &ast::Value<'_>) -> Node {
    let data = match value {
        ast::Value::StringLit(own) => Data::Text(own.value.to_string()),
        ast::Value::Array(own) => Data::List(own.elements.iter().map(of_json).collect()),
        ast::Value::Object(own) => {
            let members = own.properties.iter();
            Data::Map(
                members
                    .map(|own| {
                        let mut node = of_json(&own.value);
                        node.name_at = own.range.start;
                        (own.name.as_str().to_owned(), node)
                    })
                    .collect(),
            )
        }
        ast::Value::NumberLit(_) | ast::Value::BooleanLit(_) | ast::Value::NullKeyword(_) => {
            Data::Other
        }
    };
    Node {
        data,
        range: value.start()..value.end(),
        name_at: value.start(),
    }
}

fn toml(text: &str) -> Result<Node> {
    let document = TomlDocument::parse(text)?;
    Ok(of_table(document.as_table(), 0..0))
}

fn of_table(table: &dyn TableLike, range: Range<usize>) -> Node {
    let members = table.iter().map(|(name, item)| {
        let mut node = of_item(item);
        let key = table.get_key_value(name).and_then(|(key, _)| key.span());
        node.name_at = key.map_or(node.range.start, |key| key.start);
        (name.to_owned(), node)
    });
    Node {
        data: Data::Map(members.collect()),
        name_at: range.start,
        range,
    }
}

fn of_item(item: &Item) -> Node {
    let range = item.span().unwrap_or_default();
    if let Some(table) = item.as_table_like() {
        // One with a head of its own may stand in several places.
        let range = if item.is_inline_table() { range } else { 0..0 };
        return of_table(table, range);
    }
    match item {
        Item::Value(value) => of_toml(value),
        Item::None | Item::Table(_) | Item::ArrayOfTables(_) => Node {
            data: Data::Other,
            name_at: range.start,
            range,
        },
    }
}

fn of_toml(value: &TomlValue) -> Node {
    let range = value.span().unwrap_or_default();
    if let Some(table) = value.as_inline_table() {
        return of_table(table, range);
    }
    let data = match (value.as_str(), value.as_array()) {
        (Some(text), _) => Data::Text(text.to_owned()),
        (None, Some(items)) => Data::List(items.iter().map(of_toml).collect()),
        (None, None) => Data::Other,
    };
    Node {
        data,
        name_at: range.start,
        range,
    }
}

fn yaml(text: &str) -> Result<Node> {
    let value: Value = serde_saphyr::from_str(text)?;
    Ok(of_value(&value))
}

fn of_value(value: &Value) -> Node {
    let data = match value {
        Value::String(text) => Data::Text(text.clone()),
        Value::Array(items) => Data::List(items.iter().map(of_value).collect()),
        Value::Object(members) => Data::Map(
            members
                .iter()
                .map(|(name, own)| (name.clone(), of_value(own)))
                .collect(),
        ),
        Value::Null | Value::Bool(_) | Value::Number(_) => Data::Other,
    };
    Node {
        data,
        range: 0..0,
        name_at: 0,
    }
}
