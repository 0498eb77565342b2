//! The commands that need neither a bottle nor a network.

use std::fs;

use serde_json::Value;

use crate::support::{Place, Who, expect_code, stderr, stdout};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn help_version_and_completions_are_printed() {
    let place = Place::new(Who::Me);
    for (arguments, part) in [
        (&["--help"][..], "selftest"),
        (&["run", "--help"], "--best-effort"),
        (&["version"], "carboy "),
        (&["--version"], "carboy "),
        (&["completions", "bash"], "_carboy"),
        (&["man"], ".TH carboy"),
    ] {
        let output = place.carboy().args(arguments).output().unwrap();
        expect_code(&output, 0);
        assert!(
            stdout(&output).contains(part),
            "{arguments:?}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn hidden_commands_are_not_in_the_help() {
    let output = Place::new(Who::Me).carboy().arg("--help").output().unwrap();
    assert!(!stdout(&output).contains("__"), "{}", stdout(&output));
}

#[test]
fn manual_pages_are_written_one_a_command() {
    let place = Place::new(Who::Me);
    let dir = place.path("man");
    let output = place.carboy().arg("man").arg(&dir).output().unwrap();
    expect_code(&output, 0);
    for page in ["carboy.1", "carboy-run.1", "carboy-policy-check.1"] {
        assert!(dir.join(page).is_file(), "{page}");
    }
}

#[test]
fn usage_errors_exit_with_2() {
    let place = Place::new(Who::Me);
    for arguments in [
        &["frobnicate"][..],
        &["run"],
        &["run", "--workspace", "upside-down", "--", "true"],
        &["run", "--env", "1=2", "--", "true"],
        &["run", "--env", "CARBOY_TEST_UNSET", "--", "true"],
        &["run", "--policy", "no-such-file", "--", "true"],
        &["run", "--workspace-dir", "no-such-dir", "--", "true"],
        &["check"],
        &["check", "--text", "a", "--file", "b"],
        &["check", "--file", "no-such-file"],
        &["receipts", "verify", "no-such-file"],
        &["receipts", "verify"],
        &["receipts", "key"],
        &["proxy", "--listen", "nowhere"],
        &["proxy", "--listen", "127.0.0.1:0", "--ca", "kept"],
        &[
            "proxy",
            "--listen",
            "127.0.0.1:0",
            "--hosts",
            "no-such-file",
        ],
        &[
            "proxy",
            "--listen",
            "127.0.0.1:0",
            "--upstream-ca",
            "no-such-file",
        ],
        &["ca", "show"],
        &["ca", "export"],
    ] {
        let output = place.carboy().args(arguments).output().unwrap();
        expect_code(&output, 2);
        assert!(!stderr(&output).is_empty(), "{arguments:?} says nothing");
        assert!(
            stdout(&output).is_empty(),
            "{arguments:?}: {}",
            stdout(&output)
        );
    }
}

#[test]
fn a_bad_policy_is_told_with_its_place_and_a_suggestion() {
    let place = Place::new(Who::Me);
    for (text, place_told, suggestion) in [
        ("version: 1\nmod: strict\n", ":2:", "did you mean `mode`?"),
        (
            "version: 1\nmode: stric\n",
            ":2:7:",
            "did you mean `strict`?",
        ),
        ("mode: strict\n", "version", "version: 1"),
        (
            "version: 1\negress:\n  allow: [\"exa mple\"]\n",
            ":3:",
            "exa mple",
        ),
    ] {
        let file = place.write("bad.yaml", text);
        let output = place
            .carboy()
            .args(["policy", "check"])
            .arg(&file)
            .output()
            .unwrap();
        expect_code(&output, 2);
        let told = stderr(&output);
        assert!(
            told.contains(place_told) && told.contains(suggestion),
            "{text:?}: {told}"
        );
    }
}

#[test]
fn a_policy_is_shown_whole_and_shows_itself_again() {
    let place = Place::new(Who::Me);
    for preset in ["strict", "balanced", "audit"] {
        let shown = place
            .carboy()
            .args(["policy", "show", preset])
            .output()
            .unwrap();
        expect_code(&shown, 0);
        let file = place.write("shown.yaml", &shown.stdout);
        let again = place
            .carboy()
            .args(["policy", "show"])
            .arg(&file)
            .output()
            .unwrap();
        assert_eq!(stdout(&shown), stdout(&again), "{preset}");
        let output = place
            .carboy()
            .args(["policy", "show", preset, "--format", "json"])
            .output();
        assert_eq!(json(&stdout(&output.unwrap()))["mode"], preset);
    }
}

#[test]
fn the_schema_is_a_json_schema() {
    let output = Place::new(Who::Me)
        .carboy()
        .args(["policy", "schema"])
        .output()
        .unwrap();
    expect_code(&output, 0);
    assert!(json(&stdout(&output))["properties"]["egress"].is_object());
}

#[test]
fn the_users_own_policy_is_read_and_the_workspaces_is_not() {
    let place = Place::new(Who::Me);
    fs::write(
        place.workspace().join("carboy.yaml"),
        "version: 1\nmode: audit\n",
    )
    .unwrap();
    let shown = |place: &Place| {
        let output = place
            .carboy()
            .args(["policy", "check", "--format", "json"])
            .output()
            .unwrap();
        json(&stdout(&output))["mode"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown(&place), "balanced");
    fs::create_dir_all(place.path("home/.config/carboy")).unwrap();
    place.write(
        "home/.config/carboy/carboy.yaml",
        "version: 1\nmode: strict\n",
    );
    assert_eq!(shown(&place), "strict");
}

#[test]
fn check_allows_what_is_clean() {
    let place = Place::new(Who::Me);
    let file = place.write("notes.txt", "nothing of note");
    for arguments in [
        &["check", "https://example.com/search?q=carboy"][..],
        &["check", "--text", "hello"],
        &["check", "--text", "hello", "--policy", "strict"],
        &["check", "--text", "hello", "--inbound"],
        &["check", "--file", file.to_str().unwrap()],
    ] {
        let output = place.carboy().args(arguments).output().unwrap();
        expect_code(&output, 0);
        assert_eq!(stdout(&output).trim(), "allowed", "{arguments:?}");
    }
}

/// As `carboy run` would, although nothing is resolved.
#[test]
fn check_refuses_an_address_that_is_not_public() {
    let place = Place::new(Who::Me);
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://0x7f.1:8080/",
        "http://[::ffff:10.0.0.1]/",
        "http://host.internal:5432/",
    ] {
        let arguments = ["check", url, "--format", "json"];
        let output = place.carboy().args(arguments).output().unwrap();
        expect_code(&output, 1);
        let verdict = json(&stdout(&output));
        assert_eq!(verdict["refusal"]["reason"], "address_refused", "{url}");
    }
}

#[test]
fn check_refuses_a_host_that_strict_does_not_list() {
    let place = Place::new(Who::Me);
    let mut command = place.carboy();
    command.args([
        "check",
        "https://example.com/",
        "--policy",
        "strict",
        "--format",
        "json",
    ]);
    let output = command.output().unwrap();
    expect_code(&output, 1);
    let verdict = json(&stdout(&output));
    assert_eq!(verdict["decision"], "block");
    assert_eq!(verdict["refusal"]["reason"], "host_not_allowed");
    assert!(
        verdict["refusal"]["remedy"]
            .as_str()
            .unwrap()
            .contains("example.com")
    );
}

#[test]
fn a_kept_authority_is_made_once_shown_and_exported() {
    let place = Place::new(Who::Me);
    expect_code(&place.carboy().args(["ca", "init"]).output().unwrap(), 0);
    expect_code(&place.carboy().args(["ca", "init"]).output().unwrap(), 2);
    let key = place.state().join("ca/ca-key.pem");
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&key).unwrap());
    assert_eq!(mode & 0o777, 0o600);
    let shown = place
        .carboy()
        .args(["ca", "show", "--format", "json"])
        .output()
        .unwrap();
    let before = json(&stdout(&shown))["sha256"].clone();
    let exported = place.carboy().args(["ca", "export"]).output().unwrap();
    assert!(stdout(&exported).starts_with("-----BEGIN CERTIFICATE-----"));
    assert!(!stdout(&exported).contains("PRIVATE"));
    expect_code(
        &place
            .carboy()
            .args(["ca", "init", "--force"])
            .output()
            .unwrap(),
        0,
    );
    let shown = place
        .carboy()
        .args(["ca", "show", "--format", "json"])
        .output()
        .unwrap();
    assert_ne!(json(&stdout(&shown))["sha256"], before);
}

#[test]
fn installing_the_authority_can_be_tried_without_doing_it() {
    let place = Place::new(Who::Me);
    expect_code(&place.carboy().args(["ca", "init"]).output().unwrap(), 0);
    let output = place
        .carboy()
        .args(["ca", "install", "--dry-run"])
        .output()
        .unwrap();
    expect_code(&output, 0);
    assert!(stdout(&output).contains("update-ca-certificates"));
}
