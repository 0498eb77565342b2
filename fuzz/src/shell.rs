//! Invariants of what a shell would run.

use carboy_engine::Probe;

/// More makes an input slow, not telling.
const INPUT_MAX: usize = 4096;

/// What a script runs, it runs after another command too, and as the script of an inner shell.
pub fn shell(data: &[u8]) {
    let data = &data[..data.len().min(INPUT_MAX)];
    let script = String::from_utf8_lossy(data);
    let Some(alone) = Probe::commands(&script) else {
        return;
    };
    assert!(alone.iter().all(|words| !words.is_empty()));
    after(&script, &alone);
    inside(&script, &alone);
}

fn after(script: &str, alone: &[Vec<String>]) {
    if let Some(all) = Probe::commands(&format!("true\n{script}")) {
        assert_eq!(&all[0], &["true"]);
        assert_eq!(&all[1..], alone, "after another command");
    }
}

/// An inner shell begins with no input but what the outer one feeds it.
fn inside(script: &str, alone: &[Vec<String>]) {
    let quoted = script.replace('\'', "'\\''");
    if let Some(all) = Probe::commands(&format!("sh -c '{quoted}'")) {
        let inner = all.get(1..).unwrap_or_default();
        assert_eq!(inner, alone, "in another shell");
    }
}
