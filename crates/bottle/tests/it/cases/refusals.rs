//! A layer that cannot be built is named, with its remedy, and nothing runs.

use super::Case;
use crate::stage::{Outcome, Stage, executable};

pub(super) const CASES: &[Case] = &[
    ("a_bottle_in_a_bottle_is_refused", nested),
    ("user_namespaces_switched_off_are_named", switched_off),
    ("a_masked_proc_is_named", masked_proc),
    ("a_missing_landlock_is_named_or_lost", no_landlock),
    ("a_missing_redirect_is_never_lost", no_netfilter),
    ("an_old_kernel_is_named", old_kernel),
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

/// Runs a launcher on a kernel that lacks `feature`.
fn without(stage: &Stage, feature: &str, flags: &[&str]) -> Outcome {
    let mut command = stage.command(executable());
    command
        .args(["without", feature, "bottle", "--none"])
        .args(flags)
        .args(["--", "echo", "ran"]);
    Outcome::of(command.output().expect("an end"))
}

fn no_landlock(stage: &Stage) {
    let strict = without(stage, "landlock", &[]);
    strict.gives(125, "");
    assert!(strict.err.contains("Landlock: "), "{strict:?}");
    assert!(strict.err.contains("Linux 5.19"), "{strict:?}");
    let lenient = without(stage, "landlock", &["--best-effort"]);
    lenient.gives(0, "ran\n");
    assert_eq!(lenient.err, "lost: Landlock\n");
}

fn no_netfilter(stage: &Stage) {
    for flags in [&[][..], &["--best-effort"]] {
        let outcome = without(stage, "netfilter", flags);
        outcome.gives(125, "");
        assert!(outcome.err.contains("network redirect: "), "{outcome:?}");
        assert!(outcome.err.contains("modprobe -a nf_tables"), "{outcome:?}");
    }
}

fn old_kernel(stage: &Stage) {
    let outcome = without(stage, "mount-attributes", &[]);
    outcome.gives(125, "");
    assert!(outcome.err.contains("Linux 5.13 or newer"), "{outcome:?}");
}

fn hidden_argument(stage: &Stage) {
    let output = stage
        .command(executable())
        .arg("__bottle-init")
        .output()
        .expect("an end");
    Outcome::of(output).gives(125, "");
}
