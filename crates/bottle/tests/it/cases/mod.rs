//! The cases, each run as whoever runs the tests and, when that is root, as an ordinary user.

mod files;
mod network;
mod processes;
mod refusals;
mod terminal;

use libtest_mimic::{Failed, Trial};

use crate::stage::{Stage, User};

type Case = (&'static str, fn(&Stage));

pub(crate) fn all() -> Vec<Trial> {
    if let Some(reason) = refused() {
        println!("skipped: this machine builds no bottle: {reason}");
        return Vec::new();
    }
    let cases = [
        network::CASES,
        files::CASES,
        processes::CASES,
        refusals::CASES,
        terminal::CASES,
    ]
    .concat();
    let mut trials: Vec<Trial> = cases
        .iter()
        .map(|case| trial("", User::Same, *case))
        .collect();
    if rustix::process::getuid().is_root() {
        trials.extend(
            cases
                .iter()
                .map(|case| trial("ordinary-user::", User::Ordinary, *case)),
        );
        trials.extend(
            network::ROOT_CASES
                .iter()
                .map(|case| trial("", User::Same, *case)),
        );
    } else {
        println!("skipped: the cases that need root");
    }
    trials
}

fn trial(prefix: &str, user: User, (name, run): Case) -> Trial {
    Trial::test(format!("{prefix}{name}"), move || {
        run(&Stage::new(user));
        Ok::<(), Failed>(())
    })
}

/// Why the kernel refuses to build a bottle at all, if it does. A bottle that is built but wrong
/// is not a reason to skip.
fn refused() -> Option<String> {
    let outcome = Stage::new(User::Same).bottle(&[], &["true"]);
    let kernel = [
        "error: cannot build the bottle: user namespace",
        "error: cannot build the bottle: namespaces",
    ];
    kernel
        .iter()
        .any(|refusal| outcome.err.starts_with(refusal))
        .then_some(outcome.err)
}
