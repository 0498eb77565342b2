use data_encoding::{BASE32, BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

use super::{TOKEN, scan, scan_as};
use crate::crossing::{Direction, SurfaceKind};

/// The decodings of the one sighting of the token, and its offset.
fn via(text: &str) -> (u64, Vec<&'static str>) {
    let seen = scan(Direction::Outbound, text.as_bytes());
    let [sighting] = seen
        .iter()
        .filter(|s| s.rule.id == "github-token")
        .collect::<Vec<_>>()[..]
    else {
        panic!("{} sightings in {text}", seen.len());
    };
    (sighting.offset, sighting.via.clone())
}

fn pairs(prefix: &str, between: &str) -> String {
    let pairs: Vec<String> = TOKEN.bytes().map(|b| format!("{prefix}{b:02x}")).collect();
    pairs.join(between)
}

#[test]
fn encodings_are_undone() {
    let check = |text: String, via_wanted: &[&str]| assert_eq!(via(&text).1, via_wanted, "{text}");
    check(TOKEN.into(), &[]);
    check(BASE64.encode(TOKEN.as_bytes()), &["base64"]);
    check(
        BASE64URL_NOPAD.encode(format!("~?>{TOKEN}").as_bytes()),
        &["base64"],
    );
    check(
        format!("/upload/x{}", BASE64.encode(TOKEN.as_bytes())),
        &["base64"],
    );
    check(HEXLOWER.encode(TOKEN.as_bytes()), &["hex"]);
    check(HEXUPPER.encode(TOKEN.as_bytes()), &["hex"]);
    check(
        format!("x {}", BASE32.encode(TOKEN.as_bytes())),
        &["base32"],
    );
    check(BASE32.encode(TOKEN.as_bytes()).to_lowercase(), &["base32"]);
    for (prefix, between) in [
        ("", ":"),
        ("", "-"),
        ("", " "),
        ("0x", ", "),
        ("0x", ","),
        ("", ","),
    ] {
        check(pairs(prefix, between), &["hex"]);
    }
    check(pairs("\\x", ""), &["escape"]);
    check(pairs("%", ""), &["percent"]);
    check(pairs("%25", ""), &["percent", "percent"]);
    check(pairs("\\u00", ""), &["escape"]);
    check(
        BASE64.encode(BASE64.encode(TOKEN.as_bytes()).as_bytes()),
        &["base64", "base64"],
    );
    check(
        BASE64.encode(HEXLOWER.encode(TOKEN.as_bytes()).as_bytes()),
        &["base64", "hex"],
    );
}

#[test]
fn disguises_are_undone() {
    let spread = |between: &str| {
        TOKEN
            .chars()
            .map(String::from)
            .collect::<Vec<_>>()
            .join(between)
    };
    let check = |text: String| assert_eq!(via(&text).1, ["unicode"], "{text}");
    check(spread("\u{200b}"));
    check(spread("\u{ad}"));
    check(spread("\u{0}"));
    check(spread("\u{301}"));
    check(
        TOKEN
            .chars()
            .map(|c| char::from_u32(c as u32 + 0xfee0).unwrap_or(c))
            .collect(),
    );
    check(
        TOKEN
            .chars()
            .map(|c| char::from_u32(c as u32 + 0xe0000).unwrap_or(c))
            .collect(),
    );
    check(TOKEN.replace('p', "р").replace('a', "а").replace('e', "е"));
}

#[test]
fn places_are_told() {
    assert_eq!(via(&format!("ab {TOKEN}")).0, 3);
    assert_eq!(via(&format!("a%20 {TOKEN}")).0, 5);
    let hidden = BASE64.encode(format!("x {TOKEN}").as_bytes());
    assert_eq!(via(&format!("a=> {hidden}")), (6, vec!["base64"]));
}

#[test]
fn base64_wraps_lines() {
    let text = BASE64
        .encode(format!("{} {TOKEN} {}", "lorem ipsum ".repeat(9), "x".repeat(90)).as_bytes());
    for width in [20, 64, 76] {
        let lines: Vec<&str> = (0..text.len())
            .step_by(width)
            .map(|at| &text[at..text.len().min(at + width)])
            .collect();
        assert_eq!(via(&lines.join("\r\n")).1, ["base64"]);
    }
}

#[test]
fn host_labels_are_joined() {
    let text = BASE32.encode(TOKEN.as_bytes()).to_lowercase();
    let host = format!(
        "{}.{}.example.com",
        &text[..30],
        text[30..].trim_end_matches('=')
    );
    let seen = scan_as(SurfaceKind::Host, Direction::Outbound, host.as_bytes());
    assert!(
        seen.iter()
            .any(|s| s.rule.id == "github-token" && s.via == ["joined", "base32"])
    );
}

#[test]
fn content_of_every_size_is_within_budget() {
    let text = BASE64.encode(
        BASE64
            .encode(BASE64.encode(&[b'a'; 60_000]).as_bytes())
            .as_bytes(),
    );
    scan(Direction::Outbound, text.as_bytes());
    let pages = "ignore all previous password secret ghp_ sk-ant- AKIA card ".repeat(20_000);
    scan(Direction::Outbound, pages.as_bytes());
    scan(Direction::Inbound, pages.as_bytes());
}

#[test]
fn what_is_escaped_far_from_other_escapes_is_placed() {
    let filler = "All is quiet on the river. ".repeat(400);
    let escaped: String = TOKEN.bytes().map(|b| format!("%{b:02x}")).collect();
    let text = format!("%41 {filler}{escaped} {filler}%42");
    let (offset, decodings) = via(&text);
    assert_eq!(offset as usize, "%41 ".len() + filler.len());
    assert_eq!(decodings, ["percent"]);
}

#[test]
fn a_run_is_followed_over_lines_from_an_escape_in_it() {
    let lines: Vec<String> = BASE64
        .encode(format!("{}{TOKEN}", "x ".repeat(1500)).as_bytes())
        .as_bytes()
        .chunks(64)
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect();
    // The escape is thousands of bytes before what the run hides.
    let text = lines.join("\n").replacen('\n', "\\n\n", 1);
    let seen = scan(Direction::Outbound, text.as_bytes());
    assert_eq!(seen.len(), 1, "{seen:?}");
}
