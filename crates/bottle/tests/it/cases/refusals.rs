//! A layer that cannot be built is named, with its remedy, and nothing runs.

use super::Case;
use crate::stage::{Outcome, Stage, executable};

pub(super) const CASES: &[Case] = &[
    ("a_bottle_in_a_bottle_is_refused", nested),
    ("user_namespaces_switched_off_are_named", switched_off),
    ("a_masked_proc_is_named", masked_proc),
    ("the_hidden_argument_alone_does_nothing", hidden_argument),
];

fn nested(stage: &Stage) {
    let inner = format!("{} bottle --none -- true", executable().display());
    let outcome = stage.shell(&inner);
    outcome.gives(125, "");
    assert!(outcome.err.contains("user namespace"), "{outcome:?}");
    assert!(
        outcome.err.contains("being in a bottle already"),
        "{outcome:?}"
    );
}

/// Runs a launcher where the machine is arranged by `script`, in a user namespace of its own.
fn arranged(stage: &Stage, script: &str) -> Outcome {
    let launcher = format!(
        "{script}; {} bottle --none -- echo ran",
        executable().display()
    );
    let mut unshare = stage.command("unshare");
    unshare.args(["--map-root-user", "--mount", "--", "sh", "-c", &launcher]);
    Outcome::of(unshare.output().expect("unshare"))
}

fn switched_off(stage: &Stage) {
    let outcome = arranged(stage, "echo 0 >/proc/sys/user/max_user_namespaces");
    outcome.gives(125, "");
    assert!(
        outcome
            .err
            .contains("user namespace: enter a user namespace"),
        "{outcome:?}"
    );
    assert!(
        outcome.err.contains("sysctl -w user.max_user_namespaces"),
        "{outcome:?}"
    );
}

fn masked_proc(stage: &Stage) {
    let outcome = arranged(stage, "mount -t tmpfs none /proc/fs");
    outcome.gives(125, "");
    assert!(
        outcome
            .err
            .contains("process file system: show the bottle's own"),
        "{outcome:?}"
    );
    assert!(
        outcome.err.contains("systempaths=unconfined"),
        "{outcome:?}"
    );
}

fn hidden_argument(stage: &Stage) {
    let output = stage
        .command(executable())
        .arg("__bottle-init")
        .output()
        .expect("an end");
    Outcome::of(output).gives(125, "");
}
