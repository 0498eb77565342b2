//! Calls that wait for a person's leave.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use carboy_proxy::limits::APPROVALS_MAX;
use carboy_proxy::{Leave, Waiting, answer_call, waiting_calls};
use serde_json::{Value, json};

use crate::mcp::{Scene, call, reason, result, tool};

/// A policy that asks about every call of `run`, for as long as a busy machine may take.
const ASKS: &str = "version: 1
tools:
  own: [{id: runs, title: A run, action: ask, tools: [run]}]
";

/// How long something may take that must come.
const WAIT: Duration = Duration::from_secs(60);

/// What waits, once that many calls do.
async fn waiting(state: &Path, number: usize) -> Vec<Waiting> {
    let deadline = Instant::now() + WAIT;
    loop {
        let waiting = waiting_calls(state).unwrap();
        if waiting.len() == number {
            return waiting;
        }
        assert!(Instant::now() < deadline, "{waiting:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn scene(policy: &str, state: &Path) -> Scene {
    let mut scene = Scene::open(policy, state).await;
    let tools = json!([tool("run", "Runs."), tool("add", "Adds.")]);
    scene.list(0, tools).await;
    scene
}

fn rulings(receipts: &[Value]) -> BTreeSet<String> {
    let words = |own: &Value| {
        let ruling = own["ruling"].as_str()?;
        // Who it was is the user who runs the tests.
        let by = ruling.split(" uid ").next().unwrap_or(ruling);
        Some(format!("{} {by}", own["decision"].as_str().unwrap()))
    };
    receipts.iter().filter_map(words).collect()
}

#[tokio::test]
async fn a_call_waits_for_a_person_and_others_go_on() {
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(ASKS, state.path()).await;
    let kept = scene.stand.state().to_owned();
    let asked = [
        call(1, "run", json!({"command": "make"})),
        call(2, "run", json!({"command": "make clean"})),
    ];
    for message in &asked {
        scene.client.say(message.clone()).await;
    }
    let other = call(3, "add", json!({"text": "x"}));
    assert_eq!(scene.passes_to_server(other.clone()).await, Some(other));
    let told = result(3, "done");
    assert_eq!(scene.passes_to_client(told.clone()).await, Some(told));

    let waits = waiting(&kept, 2).await;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = kept.join("approvals");
    assert_eq!(mode(&dir), 0o700);
    assert_eq!(mode(&dir.join(format!("{}.json", waits[0].id))), 0o600);
    for own in &waits {
        assert_eq!((&*own.server, &*own.tool), ("notes", "run"));
        assert_eq!(own.rules, [("runs".to_owned(), "A run".to_owned())]);
        let arguments = own.arguments.as_deref().unwrap();
        let leave = match arguments.contains("clean") {
            true => Leave::Deny,
            false => Leave::Allow,
        };
        assert!(answer_call(&kept, &own.id, leave).unwrap());
    }
    assert!(!answer_call(&kept, "../receipts/x", Leave::Allow).unwrap());

    assert_eq!(scene.server.hear().await.as_ref(), Some(&asked[0]));
    let refused = scene.client.hear().await.unwrap();
    assert_eq!((reason(&refused), &refused["id"]), ("tool", &json!(2)));
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("a person was asked about and refused"),
        "{message}"
    );
    waiting(&kept, 0).await;
    let finished = scene.finish().await;
    let said = ["allow allowed by", "block denied by"].map(str::to_owned);
    assert_eq!(rulings(&finished.receipts), said.into());
}

#[tokio::test]
async fn a_call_that_nobody_answers_is_refused() {
    let state = tempfile::tempdir().unwrap();
    for (seconds, ruling) in [
        (0, "block not answered in time"),
        (1, "block not answered in time"),
    ] {
        let policy = format!("{ASKS}  ask_seconds: {seconds}\n");
        let mut scene = scene(&policy, state.path()).await;
        let asked = call(1, "run", json!({}));
        scene.client.say(asked).await;
        let refused = scene.client.hear().await.unwrap();
        assert_eq!(reason(&refused), "tool");
        waiting(scene.stand.state(), 0).await;
        let finished = scene.finish().await;
        assert_eq!(rulings(&finished.receipts), [ruling.to_owned()].into());
    }
}

#[tokio::test]
async fn no_more_wait_than_a_person_looks_through() {
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(ASKS, state.path()).await;
    let kept = scene.stand.state().to_owned();
    for id in 1..=APPROVALS_MAX {
        scene.client.say(call(id, "run", json!({}))).await;
    }
    let waits = waiting(&kept, APPROVALS_MAX).await;
    scene.client.say(call(99, "run", json!({}))).await;
    let refused = scene.client.hear().await.unwrap();
    assert_eq!((reason(&refused), &refused["id"]), ("tool", &json!(99)));
    for own in &waits {
        assert!(answer_call(&kept, &own.id, Leave::Deny).unwrap());
    }
    let mut answered = BTreeSet::new();
    for _ in &waits {
        answered.insert(scene.client.hear().await.unwrap()["id"].as_u64());
    }
    assert_eq!(answered.len(), APPROVALS_MAX);
    let finished = scene.finish().await;
    let said = ["block denied by", "block not asked: too many calls wait"].map(str::to_owned);
    assert_eq!(rulings(&finished.receipts), said.into());
}

#[tokio::test]
async fn a_cancelled_call_waits_no_more() {
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(ASKS, state.path()).await;
    let kept = scene.stand.state().to_owned();
    scene.client.say(call(1, "run", json!({}))).await;
    waiting(&kept, 1).await;
    // Its id is taken as long as it waits.
    scene.client.say(call(1, "add", json!({}))).await;
    assert_eq!(reason(&scene.client.hear().await.unwrap()), "malformed");
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(scene.passes_to_server(cancel.clone()).await, Some(cancel));
    waiting(&kept, 0).await;
    let again = call(2, "add", json!({}));
    assert_eq!(scene.passes_to_server(again.clone()).await, Some(again));
    let told = result(2, "done");
    // Nothing was said of the cancelled one.
    assert_eq!(scene.passes_to_client(told.clone()).await, Some(told));
    let finished = scene.finish().await;
    let said = ["block withdrawn by the client".to_owned()];
    assert_eq!(rulings(&finished.receipts), said.into());
}

#[tokio::test]
async fn when_the_server_ends_nothing_waits() {
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(ASKS, state.path()).await;
    let kept = scene.stand.state().to_owned();
    scene.client.say(call(1, "run", json!({}))).await;
    waiting(&kept, 1).await;
    scene.server.end().await;
    assert_eq!(scene.client.hear().await, None);
    waiting(&kept, 0).await;
    let finished = scene.stand.finish().await;
    assert!(
        finished
            .receipts
            .iter()
            .any(|own| own["reason"] == "dropped")
    );
}

/// What was answered is answered; and an answer to nothing is taken away.
#[tokio::test]
async fn a_call_is_answered_once() {
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(ASKS, state.path()).await;
    let kept = scene.stand.state().to_owned();
    let dir = kept.join("approvals");
    scene.client.say(call(1, "run", json!({}))).await;
    let id = waiting(&kept, 1).await.remove(0).id;
    std::fs::write(dir.join("gone-000001.allow"), "").unwrap();
    assert!(answer_call(&kept, &id, Leave::Deny).unwrap());
    assert!(!dir.join("gone-000001.allow").exists());
    // Whether the gate has read the answer yet or not.
    assert!(!answer_call(&kept, &id, Leave::Allow).unwrap());
    let refused = scene.client.hear().await.unwrap();
    assert_eq!(reason(&refused), "tool");
    scene.finish().await;
}

#[tokio::test]
async fn a_directory_that_others_can_enter_takes_no_questions() {
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(ASKS, state.path()).await;
    let dir = scene.stand.state().join("approvals");
    std::fs::create_dir(&dir).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    scene.client.say(call(1, "run", json!({}))).await;
    let refused = scene.client.hear().await.unwrap();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("chmod 700"), "{message}");
    scene.finish().await;
}

#[tokio::test]
async fn a_command_is_rewritten_and_the_rest_of_the_message_stays() {
    const REWRITES: &str = "version: 1
tools:
  own:
    - {id: trash-it, title: A deletion, action: rewrite, run: [rm], flags: [r|recursive], becomes: [trash, '{operands}']}
";
    let state = tempfile::tempdir().unwrap();
    let mut scene = scene(REWRITES, state.path()).await;
    let odd = |command: &str| {
        format!(
            r#"{{ "jsonrpc":"2.0","id": 1,"method":"tools/call", "params":{{"name":"run","arguments":{{"n":1.50,"command":"{command}"}}}} }}"#
        )
    };
    scene.client.say_raw(odd("rm -rf build")).await;
    let line = scene.server.lines.next_line().await.unwrap();
    assert_eq!(line, Some(odd("trash build")));
    scene.passes_to_client(result(1, "done")).await.unwrap();
    scene.client.say_raw(odd("rm -rf $DIR/build")).await;
    let refused = scene.client.hear().await.unwrap();
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("could not be rewritten"), "{message}");
    let finished = scene.finish().await;
    let rewritten = |own: &&Value| own["findings"][0]["action"] == "rewrite";
    let receipt = finished.receipts.iter().find(rewritten).unwrap();
    assert_eq!(receipt["decision"], "allow");
    let findings = receipt["findings"].as_array().unwrap();
    let prints: BTreeSet<_> = findings
        .iter()
        .map(|own| own["fingerprint"].as_str())
        .collect();
    assert_eq!((findings.len(), prints.len()), (2, 2), "{receipt}");
    assert!(
        !finished.text.contains("build"),
        "a receipt quotes no command"
    );
}
