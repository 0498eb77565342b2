//! Every fuzz seed through its target's invariant, on the stable toolchain.

#[allow(unreachable_pub)]
#[path = "../../../../fuzz/src/lib.rs"]
mod invariants;

use std::fs;
use std::path::Path;

/// Runs `invariant` over each seed of `target`; a panic in it names no file, so this does.
fn over_seeds(target: &str, invariant: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/seeds")
        .join(target);
    let mut count = 0;
    for entry in fs::read_dir(&seeds).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.file_name().unwrap_or_default().display());
        invariant(&fs::read(&path).unwrap());
        count += 1;
    }
    assert!(count >= 10, "{target} has {count} seeds");
}

#[test]
fn url_target() {
    over_seeds("url_target", invariants::url_target);
}

#[test]
fn http_head() {
    over_seeds("http_head", invariants::http_head);
}

#[test]
fn client_hello() {
    over_seeds("client_hello", invariants::client_hello);
}

#[test]
fn dns_message() {
    over_seeds("dns_message", invariants::dns_message);
}

#[test]
fn mcp_message() {
    over_seeds("mcp_message", invariants::mcp_message);
}

#[test]
fn ws_frames() {
    over_seeds("ws_frames", invariants::ws_frames);
}

#[test]
fn views() {
    over_seeds("views", invariants::views);
}

#[test]
fn policy_file() {
    over_seeds("policy_file", invariants::policy_file);
}

#[test]
fn alphabets() {
    over_seeds("alphabets", invariants::alphabets);
}

#[test]
fn base85() {
    over_seeds("base85", invariants::base85);
}

#[test]
fn numbers() {
    over_seeds("numbers", invariants::numbers);
}

#[test]
fn compressed() {
    over_seeds("compressed", invariants::compressed);
}

#[test]
fn escapes() {
    over_seeds("escapes", invariants::escapes);
}

#[test]
fn mail() {
    over_seeds("mail", invariants::mail);
}

#[test]
fn wide() {
    over_seeds("wide", invariants::wide);
}

#[test]
fn hidden() {
    over_seeds("hidden", invariants::hidden);
}

#[test]
fn spellings() {
    over_seeds("spellings", invariants::spellings);
}

#[test]
fn radix() {
    over_seeds("radix", invariants::radix);
}

#[test]
fn literals() {
    over_seeds("literals", invariants::literals);
}

#[test]
fn socks() {
    over_seeds("socks", invariants::socks);
}

#[test]
fn shell() {
    over_seeds("shell", invariants::shell);
}
