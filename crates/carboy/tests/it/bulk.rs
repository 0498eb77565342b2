//! Much at once, and much in a row.

use std::env;
use std::fs;
use std::process::Stdio;

use crate::support::{Place, Who, bottles_work, expect_code, stderr, stdout};
use crate::world::World;

/// The gate's memory must not grow beyond this, whatever passes.
const RESIDENT_KIB_MAX: u64 = 64 * 1024;

/// How much passes in each direction: little enough for an unoptimised build, unless
/// `CARBOY_TEST_BULK_MIB` says otherwise.
fn bulk_bytes() -> u64 {
    let mib = env::var("CARBOY_TEST_BULK_MIB")
        .ok()
        .and_then(|text| text.parse().ok());
    mib.unwrap_or(if cfg!(debug_assertions) { 48 } else { 1024 }) << 20
}

/// The limits per site do not matter here.
const UNLIMITED: &str = "  limits:\n    site: {requests_per_minute: off, upload_per_minute: off, \
                         download_per_minute: off}\n    session: {requests_per_minute: off, \
                         upload_per_minute: off, download_per_minute: off}\n";

/// Runs a script and gives the gate's peak memory, in KiB, as seen while it ran.
fn peak_of(place: &Place, world: &World, script: &str) -> (u64, String) {
    let mut command = place.carboy();
    command
        .arg("run")
        .args(world.options_with(place, UNLIMITED))
        .args(["--", "sh", "-c"]);
    command.arg(format!("{script}; echo; echo done; read end"));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    loop {
        match lines.next() {
            Some(Ok(line)) if line == "done" => break,
            Some(Ok(line)) => said.push_str(&line),
            _ => panic!("{said}: {}", stderr(&child.wait_with_output().unwrap())),
        }
    }
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    let peak = peak.trim().trim_end_matches(" kB").parse().unwrap();
    drop(child.stdin.take());
    child.wait().unwrap();
    (peak, said)
}

#[test]
fn a_large_download_needs_little_memory() {
    if !bottles_work(Who::Me) {
        return;
    }
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    let bytes = bulk_bytes();
    let url = world.url(&format!("/bytes/{bytes}"));
    let (peak, said) = peak_of(&place, &world, &format!("curl -fsS {url} | wc -c"));
    assert_eq!(said.trim(), bytes.to_string());
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
}

#[test]
fn a_large_upload_needs_little_memory() {
    if !bottles_work(Who::Me) {
        return;
    }
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    let bytes = bulk_bytes();
    let script = format!(
        "yes 'the quick brown fox jumps over the lazy dog' | head -c {bytes} \
         | curl -fsS -T - {}",
        world.url("/sink")
    );
    let (peak, said) = peak_of(&place, &world, &script);
    assert_eq!(said.trim(), bytes.to_string());
    assert_eq!(world.received(), bytes);
    assert!(peak < RESIDENT_KIB_MAX, "{peak} KiB");
}

#[test]
fn two_hundred_connections_at_once_all_pass() {
    if !bottles_work(Who::Me) {
        return;
    }
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    // One process: two hundred would each spend a while on reading the certificates.
    let script = format!(
        "curl -fsS --parallel --parallel-immediate --parallel-max 200 '{}?n=[1-200]' -o 'out-#1' && \
         cat out-* | grep -o 'hello from outside' | wc -l",
        world.url("/hello")
    );
    let mut command = place.carboy();
    command
        .arg("run")
        .args(world.options_with(&place, UNLIMITED))
        .args(["--", "sh", "-c", &script]);
    let output = command.output().unwrap();
    expect_code(&output, 0);
    assert_eq!(stdout(&output).trim(), "200", "{}", stderr(&output));
}
