//! Attempts on the gate's process.

use std::fs;

use nix::sys::ptrace;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::{GateProcess, Plan, Probe, Seen, blocked, passed, stopped};

pub(super) fn probes() -> Vec<Probe> {
    vec![
        stopped("gate-visible", "find the gate in /proc", |plan, _| {
            visible(&plan.gate)
        }),
        stopped("gate-signal", "signal the gate", |plan, _| {
            on(plan, |pid| {
                kill(pid, None).map_err(|errno| errno.desc().to_owned())
            })
        }),
        stopped("gate-ptrace", "trace the gate", |plan, _| {
            on(plan, |pid| {
                ptrace::attach(pid).map_err(|errno| errno.desc().to_owned())
            })
        }),
        stopped(
            "gate-memory",
            "read the gate's memory through /proc",
            |plan, _| {
                on(plan, |pid| {
                    match fs::File::open(format!("/proc/{pid}/mem")) {
                        Ok(_) => Ok(()),
                        Err(error) => Err(error.to_string()),
                    }
                })
            },
        ),
    ]
}

/// Tries something on the gate's number. Inside, that number is nobody's, or another process's,
/// which does not count.
fn on(plan: &Plan, attempt: fn(Pid) -> Result<(), String>) -> Seen {
    match attempt(Pid::from_raw(plan.gate.pid)) {
        Ok(()) if started(plan.gate.pid) == Some(plan.gate.started_ticks) => passed("done"),
        Ok(()) => blocked("inside, that number is another process"),
        Err(why) => blocked(why),
    }
}

fn visible(gate: &GateProcess) -> Seen {
    let Ok(entries) = fs::read_dir("/proc") else {
        return blocked("no /proc");
    };
    let pids: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    match pids.contains(&gate.pid) && started(gate.pid) == Some(gate.started_ticks) {
        true => passed("it is there"),
        false => blocked(format_args!("{} processes, all of the bottle", pids.len())),
    }
}

/// When a process started, in clock ticks since boot.
pub(crate) fn started(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses that may hold anything (proc(5)).
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(19)?.parse().ok()
}
