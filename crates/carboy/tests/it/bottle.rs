//! `carboy run`: what the command sees, how it ends, and what is told about it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Place, Who, bottles_work, everyone, expect_code, stderr, stdout};
use crate::world::World;

fn options(world: &World, place: &Place) -> Vec<String> {
    world.options(place)
}

fn strs(options: &[String]) -> Vec<&str> {
    options.iter().map(String::as_str).collect()
}

#[test]
fn the_commands_exit_code_is_carboys() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        for (script, code) in [("exit 0", 0), ("exit 7", 7), ("kill -TERM $$", 143)] {
            let output = place.run(&[], &["sh", "-c", script]);
            expect_code(&output, code);
            assert!(
                stderr(&output).contains(" refused; receipts in "),
                "{}",
                stderr(&output)
            );
        }
        expect_code(&place.run(&[], &["carboy-no-such-command"]), 127);
        fs::write(place.workspace().join("plain"), "").unwrap();
        expect_code(&place.run(&[], &["./plain"]), 126);
        let quiet = place.run(&["--quiet"], &["true"]);
        assert_eq!(stderr(&quiet), "");
    }
}

#[test]
fn a_pipe_that_closes_ends_the_writer() {
    if !bottles_work(Who::Me) {
        return;
    }
    let output = Place::new(Who::Me).run(&["--quiet"], &["sh", "-c", "yes | head -n 1"]);
    expect_code(&output, 0);
    assert_eq!(stdout(&output), "y\n");
    assert_eq!(stderr(&output), "");
}

#[test]
fn input_and_output_are_the_commands_own() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let file = place.write("input", "from outside\n");
        let mut command = place.carboy();
        command.args(["run", "--quiet", "--", "sh", "-c", "cat; echo err >&2"]);
        let output = command
            .stdin(fs::File::open(file).unwrap())
            .output()
            .unwrap();
        assert_eq!(
            (stdout(&output).as_str(), stderr(&output).as_str()),
            ("from outside\n", "err\n")
        );
    }
}

#[test]
fn only_named_variables_go_in_and_no_value_is_printed() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let run = |arguments: &[&str]| {
            let mut command = place.carboy();
            command.env("TOKEN_A", "value-a").env("TOKEN_B", "value-b");
            let output = command.arg("run").args(arguments).output().unwrap();
            expect_code(&output, 0);
            output
        };
        let inside = run(&["--env", "TOKEN_A", "--env", "TOKEN_C=value-c", "--", "env"]);
        let seen = stdout(&inside);
        assert!(seen.contains("TOKEN_A=value-a\n") && seen.contains("TOKEN_C=value-c\n"));
        assert!(!seen.contains("value-b"), "{seen}");
        for format in ["text", "json"] {
            let plan = run(&[
                "--dry-run",
                "--format",
                format,
                "--env",
                "TOKEN_A",
                "--env",
                "TOKEN_C=value-c",
                "--",
                "env",
            ]);
            assert!(stdout(&plan).contains("TOKEN_A"), "{}", stdout(&plan));
            assert!(!stdout(&plan).contains("value-"), "{}", stdout(&plan));
        }
    }
}

#[test]
fn a_dry_run_does_nothing() {
    let place = Place::new(Who::Me);
    let output = place.run(&["--dry-run", "--format", "json"], &["touch", "made"]);
    expect_code(&output, 0);
    let plan: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(plan.is_object(), "{plan}");
    assert!(!place.workspace().join("made").exists());
    assert!(!place.state().join("receipts").exists());
}

#[test]
fn the_closing_line_can_be_a_document() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let output = place.run(&["--format", "json"], &["sh", "-c", "exit 3"]);
        expect_code(&output, 3);
        let said = stderr(&output);
        let closing = said.lines().last().unwrap_or_default();
        let closing: Value = serde_json::from_str(closing).expect("a document");
        assert_eq!(
            (&closing["crossings"], &closing["refusals"]),
            (&0.into(), &0.into())
        );
        assert!(closing["receipts"].is_string(), "{closing}");
    }
}

#[test]
fn the_workspace_is_bound_overlaid_or_not_there() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        expect_code(&place.run(&[], &["sh", "-c", "echo bound > made"]), 0);
        assert_eq!(
            fs::read_to_string(place.workspace().join("made")).unwrap(),
            "bound\n"
        );

        let script = "cat made && echo overlaid > made";
        let output = place.run(&["--workspace", "overlay"], &["sh", "-c", script]);
        expect_code(&output, 0);
        assert_eq!(stdout(&output), "bound\n");
        assert_eq!(
            fs::read_to_string(place.workspace().join("made")).unwrap(),
            "bound\n"
        );
        assert!(
            stderr(&output).contains("changes are in"),
            "{}",
            stderr(&output)
        );

        let output = place.run(&["--workspace", "none"], &["sh", "-c", "cat made"]);
        assert!(!output.status.success(), "{}", stdout(&output));
    }
}

#[test]
fn the_home_directory_is_no_workspace_unless_named() {
    let place = Place::new(Who::Me);
    let mut command = place.carboy();
    command
        .current_dir(place.path("home"))
        .args(["run", "--dry-run", "--", "true"]);
    let output = command.output().unwrap();
    expect_code(&output, 2);
    assert!(
        stderr(&output).contains("--workspace-dir"),
        "{}",
        stderr(&output)
    );
    let home = place.path("home");
    let named = ["--dry-run", "--workspace-dir", home.to_str().unwrap()];
    expect_code(&place.run(&named, &["true"]), 0);
}

#[test]
fn a_policy_in_the_workspace_is_not_read_and_the_user_is_told() {
    if !bottles_work(Who::Me) {
        return;
    }
    let place = Place::new(Who::Me);
    fs::write(place.workspace().join("carboy.yaml"), "no policy at all").unwrap();
    let output = place.run(&[], &["true"]);
    expect_code(&output, 0);
    assert!(
        stderr(&output).contains("--policy carboy.yaml"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn refusals_are_told_once_with_the_remedy_and_the_receipt() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let world = World::over_tls(&place.path(""));
        let script = "for i in 1 2 3; do curl -s https://elsewhere.test/; done; true";
        let output = place.run(&strs(&options(&world, &place)), &["sh", "-c", script]);
        expect_code(&output, 0);
        let told = stderr(&output);
        let lines: Vec<_> = told
            .lines()
            .filter(|line| line.contains("elsewhere.test"))
            .collect();
        assert_eq!(lines.len(), 1, "{told}");
        assert!(lines[0].contains("host_not_allowed"), "{told}");
        assert!(lines[0].contains("egress"), "{told}");
        let receipts = fs::read_to_string(place.receipts()).unwrap();
        let id = lines[0].rsplit(['[', ']']).nth(1).unwrap();
        assert!(receipts.contains(id), "{id} is not in the receipts");
    }
}

#[test]
fn receipts_verify_and_tampering_is_found() {
    if !bottles_work(Who::Me) {
        return;
    }
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    let url = world.url("/hello");
    expect_code(
        &place.run(&strs(&options(&world, &place)), &["curl", "-fsS", &url]),
        0,
    );
    let file = place.receipts();
    let verify = |arguments: &[&str]| {
        let mut command = place.carboy();
        command
            .args(["receipts", "verify", "--format", "json"])
            .args(arguments);
        let output = command.output().unwrap();
        let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
        (output.status.code().unwrap(), report)
    };
    let (code, report) = verify(&[]);
    assert_eq!(
        (code, &report["valid"], &report["closed"]),
        (0, &true.into(), &true.into())
    );
    assert_eq!(report["key_pinned"], true);
    let key = stdout(&place.carboy().args(["receipts", "key"]).output().unwrap());
    assert_eq!(verify(&[file.to_str().unwrap(), "--key", key.trim()]).0, 0);
    assert_eq!(verify(&["--key", &"00".repeat(32)]).0, 1);

    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let edited = whole.replacen("allow", "block", 1);
    let gap = [&lines[..1], &lines[2..]].concat().join("\n") + "\n";
    let truncated = lines[..lines.len() - 2].join("\n") + "\n";
    let mut swapped = lines.clone();
    swapped.swap(1, 2);
    let swapped = swapped.join("\n") + "\n";
    for (what, text) in [
        ("edit", edited),
        ("gap", gap),
        ("truncation", truncated),
        ("swap", swapped),
    ] {
        let copy = place.write("tampered.jsonl", text);
        let (code, report) = verify(&[copy.to_str().unwrap()]);
        assert_eq!(
            (code, &report["valid"]),
            (1, &false.into()),
            "{what}: {report}"
        );
        assert!(report["line"].as_u64().unwrap() > 0, "{what}: {report}");
    }
}

#[test]
fn nothing_stays_behind_when_carboy_is_killed() {
    for who in everyone().into_iter().filter(|who| bottles_work(*who)) {
        let place = Place::new(who);
        let marker = format!("3600.{}", std::process::id());
        let script = format!("sleep {marker} & echo ready; wait");
        let mut command = place.carboy();
        command
            .args(["run", "--quiet", "--", "sh", "-c", &script])
            .stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        assert_eq!(line, "ready\n");
        within(
            Duration::from_secs(5),
            || is_running(&marker),
            "the command does not run",
        );
        // SIGKILL: carboy has no chance to tidy up.
        child.kill().unwrap();
        child.wait().unwrap();
        within(
            Duration::from_secs(5),
            || !is_running(&marker),
            "the command outlived carboy",
        );
    }
}

#[track_caller]
fn within(limit: Duration, holds: impl Fn() -> bool, otherwise: &str) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < limit, "{otherwise}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn is_running(marker: &str) -> bool {
    fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        words
            .split(|byte| *byte == 0)
            .any(|word| word == marker.as_bytes())
    })
}
