//! `docs/rules.md` says what the rule files say. `CARBOY_DOCS=write` writes it.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde::Deserialize;

#[derive(Deserialize)]
struct File {
    rules: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    id: String,
    title: String,
    class: String,
    severity: String,
    #[serde(default)]
    origin: String,
    #[serde(default)]
    home: Vec<String>,
    #[serde(default)]
    home_in: Vec<String>,
    #[serde(default)]
    validate: Vec<String>,
    #[serde(default)]
    provenance: String,
}

const HEAD: &str = "\
# Rules

What Carboy knows by sight, from `rules/*.yaml`. A credential may go to its home hosts, over TLS, in the
places named after them (a header where none is named), and nowhere else. *Anywhere* is for what is known by
its surroundings alone: it is recorded in a header and refused elsewhere. A floor rule holds whatever the
policy says. Checks marked with a star lower the severity where they fail; the others drop the match.

";

const LOWERING: [&str; 10] = [
    "pem",
    "macaroon",
    "aws-key-id",
    "base58check",
    "bech32",
    "github-crc",
    "gitlab-crc",
    "grafana-crc",
    "clamped",
    "jwt",
];

fn rules() -> Vec<(String, Vec<Row>)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("the rules are there")
        .map(|entry| entry.expect("a listed file").path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .filter(|path| path.file_stem().is_some_and(|stem| stem != "published"))
        .collect();
    files.sort();
    let read = |path: &Path| {
        let text = fs::read_to_string(path).expect("a listed file");
        let file: File = serde_saphyr::from_str(&text).expect("the build script read it");
        let name = path.file_stem().expect("it has an extension");
        (name.to_string_lossy().into_owned(), file.rules)
    };
    files.iter().map(|path| read(path)).collect()
}

fn table() -> String {
    let files = rules();
    let all = || files.iter().flat_map(|(_, rows)| rows);
    let count = |class: &str| all().filter(|row| row.class == class).count();
    let mut out = HEAD.to_owned();
    let classes = ["secret", "personal", "injection"];
    let counts = classes.map(|class| format!("{} {class}", count(class)));
    writeln!(out, "In all: {}.", counts.join(", ")).expect("a String takes all");
    for (name, rows) in &files {
        if rows.iter().all(|row| row.class == "injection") {
            continue;
        }
        writeln!(out, "\n## {name}\n\n| rule | what | severity | home | checks | described in |\n|---|---|---|---|---|---|")
            .expect("a String takes all");
        for row in rows {
            writeln!(out, "{}", line(row)).expect("a String takes all");
        }
    }
    out
}

fn line(row: &Row) -> String {
    let home = match row.home.as_slice() {
        [] => "none".to_owned(),
        [any] if any == "*" => "*anywhere*".to_owned(),
        hosts => hosts
            .iter()
            .map(|host| format!("`{host}`"))
            .collect::<Vec<_>>()
            .join(" "),
    };
    let places = match row.home_in.as_slice() {
        [] => String::new(),
        kinds => format!(" ({})", kinds.join(", ")),
    };
    let star = |check: &String| {
        let mark = if LOWERING.contains(&check.as_str()) {
            "\\*"
        } else {
            ""
        };
        format!("{check}{mark}")
    };
    let checks: Vec<String> = row.validate.iter().map(star).collect();
    let floor = if row.origin == "floor" { ", floor" } else { "" };
    format!(
        "| `{}` | {} | {}{floor} | {home}{places} | {} | {} |",
        row.id,
        row.title,
        row.severity,
        checks.join(", "),
        row.provenance.replace('|', "\\|")
    )
}

#[test]
fn the_table_of_rules_is_true() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/rules.md");
    let table = table();
    if std::env::var("CARBOY_DOCS").as_deref() == Ok("write") {
        fs::write(&path, &table).expect("docs are writable");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == table,
        "docs/rules.md is old: run CARBOY_DOCS=write cargo test -p carboy-engine docs"
    );
}
