//! The time of one exchange where client, gate and origin share one processor: what the gate's own work
//! adds. Across processors that sleep in between, each hop costs a wake-up besides.

use anyhow::Result;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::groups::{Stage, compare, micros};
use crate::table::Table;

/// The calling thread (sched_setaffinity(2)), and what it starts.
const OWN: Pid = Pid::from_raw(0);

/// Measures on the first processor that this process may use.
pub(crate) fn latency(table: &mut Table) -> Result<()> {
    let all = sched_getaffinity(OWN)?;
    let mut one = CpuSet::new();
    let first = (0..CpuSet::count()).find(|cpu| all.is_set(*cpu).unwrap_or(false));
    one.set(first.unwrap_or(0))?;
    sched_setaffinity(OWN, &one)?;
    let measured = measure(table);
    sched_setaffinity(OWN, &all)?;
    measured
}

fn measure(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    for (size, label) in [(100, "100 B"), (4096, "4 KB")] {
        let ways = [
            ("forward", &stage.forward, &stage.direct, "+60 us"),
            (
                "CONNECT tunnel",
                &stage.tunnel,
                &stage.direct_tls,
                "none set",
            ),
            (
                "intercepted",
                &stage.intercepted,
                &stage.direct_tls,
                "+80 us",
            ),
        ];
        for (name, through, past, goal) in ways {
            let quiet = compare(&stage.gate, through, past, 1, size)?;
            table.add(
                &format!("{name}, {label}, 1 connection, all on one processor, p50"),
                goal,
                &micros(quiet.through.p50),
                &micros(quiet.past.p50),
                &format!(
                    "+{}",
                    micros(quiet.through.p50.saturating_sub(quiet.past.p50))
                ),
            );
        }
    }
    Ok(())
}
