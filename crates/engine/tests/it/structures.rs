//! Secrets in bodies of every structure, spelt as the structure spells them: where a scan of the bytes
//! as they are does not show them. `docs/structures.md` lists what is seen and what is not.

use std::fmt::Write;

use carboy_engine::{Direction, Probe};

/// Made up; in two parts, so that no scanner takes this file for a leak.
const TOKEN: [&str; 2] = ["ghp_", "0123456789abcdefghijABCDEFGHIJ012345"];
const RULE: &str = "github-token";

/// A structure, how it holds the token, and the bytes.
type Case = (&'static str, &'static str, Vec<u8>);

fn token() -> String {
    TOKEN.concat()
}

/// The token in pieces of so many bytes.
fn pieces(size: usize) -> Vec<String> {
    let token = token();
    let bytes = token.as_bytes().chunks(size);
    bytes
        .map(|piece| String::from_utf8_lossy(piece).into_owned())
        .collect()
}

fn each(form: impl Fn(u8) -> String) -> String {
    token().bytes().map(form).collect()
}

/// Puts the token for `$`, and its two halves for `<` and `>`.
fn fill(text: &str) -> Vec<u8> {
    let halves = pieces(20);
    let text = text
        .replace('\u{1}', &halves[0])
        .replace('\u{2}', &halves[1]);
    text.replace('$', &token()).into_bytes()
}

fn text_cases() -> Vec<Case> {
    let base64 = data_encoding::BASE64.encode(format!("the key\nis {}\n", token()).as_bytes());
    let lines: Vec<_> = base64
        .as_bytes()
        .chunks(24)
        .map(String::from_utf8_lossy)
        .collect();
    let quoted = each(|b| format!("={b:02X}"));
    let soft: Vec<_> = quoted
        .as_bytes()
        .chunks(72)
        .map(String::from_utf8_lossy)
        .collect();
    let part = |headers: &str, body: &str| {
        fill(&format!(
            "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n{headers}\r\n{body}\r\n--b1--\r\n"
        ))
    };
    vec![
        ("JSON", "a value", fill(r#"{"a": "$"}"#)),
        ("JSON", "a name", fill(r#"{"$": 1}"#)),
        (
            "JSON",
            "one of two members of one name",
            fill(r#"{"a": "$", "a": "x"}"#),
        ),
        (
            "JSON",
            "escaped",
            fill(&format!(
                r#"{{"a": "{}"}}"#,
                each(|b| format!("\\u{b:04x}"))
            )),
        ),
        (
            "JSON",
            "escaped in a JSON text in a string",
            fill(&format!(
                r#"{{"a": "{{\"b\": \"{}\"}}"}}"#,
                each(|b| format!("\\\\u{b:04x}"))
            )),
        ),
        ("JSON", "in two items", fill("[\"\u{1}\", \"\u{2}\"]")),
        (
            "JSON",
            "in two members",
            fill("{\"a\": \"\u{1}\", \"b\": \"\u{2}\"}"),
        ),
        (
            "JSON",
            "in two members among others",
            fill("{\"id\": \"a7\", \"a\": \"\u{1}\", \"b\": \"\u{2}\", \"kind\": \"x\"}"),
        ),
        (
            "JSON",
            "a name and its value",
            fill("{\"\u{1}\": \"\u{2}\"}"),
        ),
        (
            "JSON",
            "in UTF-16",
            fill(r#"{"a": "$"}"#).iter().flat_map(|b| [*b, 0]).collect(),
        ),
        (
            "JSON",
            "numbers of its bytes",
            format!(
                "{{\"a\": [{}]}}",
                token()
                    .bytes()
                    .map(|b| b.to_string())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
            .into_bytes(),
        ),
        (
            "Lines of JSON",
            "in two lines",
            fill("{\"a\": \"\u{1}\"}\n{\"a\": \"\u{2}\"}\n"),
        ),
        ("Form", "a value", fill("a=1&b=$&c=2")),
        ("Form", "a name", fill("$=1")),
        (
            "Form",
            "percent-encoded",
            fill(&format!("a=1&b={}", each(|b| format!("%{b:02X}")))),
        ),
        ("Form", "in two values", fill("a=\u{1}&b=\u{2}")),
        ("Multipart", "a value", part("", "$")),
        (
            "Multipart",
            "a part's name",
            fill("--b1\r\nContent-Disposition: form-data; name=\"$\"\r\n\r\n1\r\n--b1--\r\n"),
        ),
        (
            "Multipart",
            "a file's name",
            fill(
                "--b1\r\nContent-Disposition: form-data; name=\"a\"; filename=\"$\"\r\n\r\n1\r\n--b1--\r\n",
            ),
        ),
        (
            "Multipart",
            "a file's name, extended",
            fill(&format!(
                "--b1\r\nContent-Disposition: form-data; name=\"a\"; filename*=UTF-8''{}\r\n\r\n1\r\n--b1--\r\n",
                each(|b| format!("%{b:02X}"))
            )),
        ),
        ("Multipart", "a part's header", part("X-Note: $\r\n", "1")),
        (
            "Multipart",
            "a part's header, folded",
            part("X-Note: \u{1}\r\n \u{2}\r\n", "1"),
        ),
        (
            "Multipart",
            "in base64 lines",
            part("Content-Transfer-Encoding: base64\r\n", &lines.join("\r\n")),
        ),
        (
            "Multipart",
            "quoted-printable",
            part(
                "Content-Transfer-Encoding: quoted-printable\r\n",
                &soft.join("=\r\n"),
            ),
        ),
        (
            "Multipart",
            "quoted-printable, broken by a soft line end",
            part(
                "Content-Transfer-Encoding: quoted-printable\r\n",
                "\u{1}=\r\n\u{2}",
            ),
        ),
        (
            "Multipart",
            "a part of a part",
            part(
                "Content-Type: multipart/mixed; boundary=b2\r\n",
                "--b2\r\n\r\n$\r\n--b2--",
            ),
        ),
        (
            "Multipart",
            "in two parts",
            fill(
                "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\u{1}\r\n--b1\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n\u{2}\r\n--b1--\r\n",
            ),
        ),
        ("XML", "a text", fill("<a><b>$</b></a>")),
        ("XML", "an attribute", fill("<a b=\"$\"/>")),
        (
            "XML",
            "decimal references",
            fill(&format!("<a>{}</a>", each(|b| format!("&#{b};")))),
        ),
        (
            "XML",
            "hexadecimal references",
            fill(&format!("<a>{}</a>", each(|b| format!("&#x{b:x};")))),
        ),
        ("XML", "CDATA", fill("<a><![CDATA[$]]></a>")),
        ("XML", "cut by CDATA", fill("<a>\u{1}<![CDATA[\u{2}]]></a>")),
        (
            "XML",
            "cut by a comment",
            fill("<a>\u{1}<!-- x -->\u{2}</a>"),
        ),
        (
            "XML",
            "cut by an instruction",
            fill("<a>\u{1}<?x y?>\u{2}</a>"),
        ),
        (
            "XML",
            "cut by tags",
            fill("<a><b>\u{1}</b><b>\u{2}</b></a>"),
        ),
        (
            "XML",
            "cut by tags into letters",
            fill(&format!(
                "<a>{}</a>",
                each(|b| format!("<b>{}</b>", char::from(b)))
            )),
        ),
        (
            "XML",
            "an entity of its own",
            fill("<!DOCTYPE a [<!ENTITY e \"\u{1}\">]><a>&e;\u{2}</a>"),
        ),
        ("YAML", "a value", fill("a: $\n")),
        (
            "YAML",
            "double-quoted escapes",
            fill(&format!("a: \"{}\"\n", each(|b| format!("\\x{b:02x}")))),
        ),
        (
            "YAML",
            "a double-quoted line that goes on",
            fill("a: \"\u{1}\\\n  \u{2}\"\n"),
        ),
        (
            "YAML",
            "binary",
            fill(&format!("a: !!binary |\n  {}\n", lines.join("\n  "))),
        ),
        ("YAML", "in two items", fill("- \u{1}\n- \u{2}\n")),
        ("CSV", "quoted", fill("a,\"$\",c\n")),
        ("CSV", "in two fields", fill("a,\u{1},\u{2},c\n")),
        (
            "GraphQL",
            "a string",
            fill(r#"{"query": "mutation { a(b: \"$\") { c } }"}"#),
        ),
        (
            "GraphQL",
            "a block string",
            fill(r#"{"query": "mutation { a(b: \"\"\"\n  $\n\"\"\") }"}"#),
        ),
        (
            "GraphQL",
            "escaped",
            fill(&format!(
                r#"mutation {{ a(b: "{}") }}"#,
                each(|b| format!("\\u{b:04x}"))
            )),
        ),
        (
            "GraphQL",
            "variables",
            fill(r#"{"query": "q", "variables": {"a": {"b": "$"}}}"#),
        ),
    ]
}

/// A length-delimited field (protobuf's encoding, section "Length-Delimited Records").
fn proto(field: u8, content: &[u8]) -> Vec<u8> {
    [&[field << 3 | 2, content.len() as u8][..], content].concat()
}

fn msgpack(texts: &[String]) -> Vec<u8> {
    let mut bytes = vec![0x90 | texts.len() as u8];
    for text in texts {
        bytes.extend([0xd9, text.len() as u8]);
        bytes.extend(text.bytes());
    }
    bytes
}

/// A string in chunks (RFC 8949, section 3.2.3); `major` is 0x40 for bytes, 0x60 for text.
fn cbor(major: u8, size: usize) -> Vec<u8> {
    let mut bytes = vec![0xa1, 0x61, b'a', major | 0x1f];
    for piece in pieces(size) {
        match piece.len() {
            length @ 0..24 => bytes.push(major | length as u8),
            length => bytes.extend([major | 24, length as u8]),
        }
        bytes.extend(piece.bytes());
    }
    bytes.push(0xff);
    bytes
}

fn binary_cases() -> Vec<Case> {
    let (whole, halves) = (token(), pieces(20));
    let two = |field: [u8; 2]| {
        let halves = [
            proto(field[0], halves[0].as_bytes()),
            proto(field[1], halves[1].as_bytes()),
        ];
        halves.concat()
    };
    let small = pieces(4)
        .iter()
        .flat_map(|piece| proto(1, piece.as_bytes()))
        .collect::<Vec<_>>();
    vec![
        ("Protobuf", "a string", proto(1, whole.as_bytes())),
        (
            "Protobuf",
            "a string in a message in a message",
            proto(1, &proto(2, &proto(3, whole.as_bytes()))),
        ),
        ("Protobuf", "in two fields", two([1, 2])),
        ("Protobuf", "in two items of one field", two([1, 1])),
        ("Protobuf", "in items of four bytes", small),
        (
            "MessagePack",
            "a string",
            msgpack(std::slice::from_ref(&whole)),
        ),
        (
            "MessagePack",
            "bytes",
            [&[0xc4, 40], whole.as_bytes()].concat(),
        ),
        ("MessagePack", "in two items", msgpack(&halves)),
        (
            "CBOR",
            "a string",
            [&[0xa1, 0x61, b'a', 0x78, 40], whole.as_bytes()].concat(),
        ),
        ("CBOR", "text in two chunks", cbor(0x60, 20)),
        ("CBOR", "text in chunks of four bytes", cbor(0x60, 4)),
        ("CBOR", "text in chunks of one byte", cbor(0x60, 1)),
        ("CBOR", "bytes in two chunks", cbor(0x40, 20)),
        (
            "Other binary",
            "between zeros",
            [&[0, 1, 2, 0], whole.as_bytes(), &[0, 0xff]].concat(),
        ),
        (
            "Other binary",
            "with its length before it",
            [&[0, 0, 0, 40], whole.as_bytes(), &[9, 0]].concat(),
        ),
        (
            "Other binary",
            "in UTF-16",
            whole.bytes().flat_map(|b| [b, 0]).collect(),
        ),
    ]
}

fn is_seen(probe: &Probe, bytes: &[u8]) -> bool {
    let seen = probe
        .scan(Direction::Outbound, bytes)
        .expect("the budget covers it");
    seen.iter().any(|(id, ..)| *id == RULE)
}

/// The page as it must be.
fn page() -> String {
    let mut page = String::from(PREFACE);
    let probe = Probe::default();
    for (structure, how, bytes) in text_cases().into_iter().chain(binary_cases()) {
        let seen = if is_seen(&probe, &bytes) {
            "seen"
        } else {
            "**not seen**"
        };
        writeln!(page, "| {structure} | {how} | {seen} |").expect("a string takes it");
    }
    page + AFTERWORD
}

const PREFACE: &str = "# Structures

A body is read as what it is, whatever it is declared to be. This table has a credential in every place that the structures give
it, spelt as they spell it, and says whether it is seen there on its way out. It is made by a test
(`CARBOY_DOCS=write cargo test -p carboy-engine structures`), which fails when it is no longer true. Spellings that belong to no
structure are in [encodings.md](encodings.md).

| structure | how it holds the credential | |
|---|---|---|
";

const AFTERWORD: &str = "
What is cut over several strings, fields, items, parts or chunks is put together in their order, values alone and with their names,
as long as each piece has at most 256 bytes and no blank, and all of it stands in the first 64 KiB of the body. Findings there are
refused, never redacted: no placeholder can stand in two places. Only credentials that are known by their form are looked for
so; [your own secrets](secrets.md) are known in pieces by their values, also over several requests.

*Not covered*: pieces in another order, pieces with others between them, a credential cut over the parts of an archive, and what the
table names as not seen.
";

#[test]
fn the_page_says_what_is_seen() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/structures.md");
    let page = page();
    if std::env::var("CARBOY_DOCS").as_deref() == Ok("write") {
        std::fs::write(path, &page).expect("the page is written");
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap_or_default(),
        page,
        "docs/structures.md is old: run CARBOY_DOCS=write cargo test -p carboy-engine structures"
    );
}

#[test]
fn strings_beside_each_other_are_no_credential_by_themselves() {
    let probe = Probe::default();
    for text in [
        r#"{"kind": "ghp_", "id": "a1", "name": "left-pad", "tags": ["x", "y", "z"]}"#,
        r#"["0123456789abcdef", "0123456789abcdef", "sha256", "AKIA"]"#,
        "<ul><li>ghp_</li><li>one</li><li>two</li></ul>",
        "a=1&b=2&token=&next=abc",
        "- one\n- two\n- three\n",
        "id,name,hash\n1,left-pad,4c0883a69102937d6231471b5dbb6204\n",
    ] {
        let seen = probe.scan(Direction::Outbound, text.as_bytes());
        assert_eq!(seen.expect("the budget covers it"), [], "{text}");
    }
}
