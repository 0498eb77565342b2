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
fn views() {
    over_seeds("views", invariants::views);
}

#[test]
fn policy_file() {
    over_seeds("policy_file", invariants::policy_file);
}
