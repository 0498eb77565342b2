//! From nothing to an ended `/bin/true`: a plain process beside one in a bottle.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use carboy_bottle::{HostFacts, Plan, Spec, Workspace, WorkspaceMode};

fn main() {
    carboy_bottle::init_if_requested();
    divan::main();
}

fn spec(env: &BTreeMap<OsString, OsString>) -> Spec {
    Spec {
        name: "bench".into(),
        command: vec!["/bin/true".into()],
        workspace: Workspace {
            mode: WorkspaceMode::Bind,
            dir: std::env::current_dir().expect("a directory"),
            named: false,
        },
        env: carboy_bottle::environment(env, &[]).expect("an environment"),
        ca_certificate_pem: b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
            .into(),
        state_dir: PathBuf::from("/nonexistent"),
        read_only: Vec::new(),
        read_write: Vec::new(),
        best_effort: false,
    }
}

fn planned() -> Plan {
    let env = std::env::vars_os().collect();
    let host = HostFacts::gather(&env).expect("facts");
    carboy_bottle::plan(&spec(&env), &host).expect("a plan")
}

#[divan::bench(sample_count = 50)]
fn plain() {
    assert!(
        Command::new("/bin/true")
            .status()
            .expect("a process")
            .success()
    );
}

#[divan::bench(sample_count = 50)]
fn plan() -> Plan {
    planned()
}

#[divan::bench(sample_count = 50)]
fn bottle() {
    let ended = carboy_bottle::launch(planned(), |_| Ok::<(), Infallible>(())).expect("a bottle");
    assert_eq!(ended.exit.code(), 0);
}
