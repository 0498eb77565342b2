//! The gate beside no gate: the built binary between a load generator and an origin on loopback.
//!
//! Every figure stands beside its baseline, measured in the same run, in turns. Client, origin and
//! gate share the machine's cores. `cargo bench -p carboy --bench gate [-- NAME...]` measures only
//! the groups named: `http`, `latency`, `http2`, `gzip`, `connect`, `gib`, `memory`, `start`, `live`, `mcp`, `many`, `soak`.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a bench talks to its user"
)]
#![allow(clippy::disallowed_methods, reason = "a load generator is a client")]

mod door;
mod groups;
mod http2;
mod latency;
mod live;
mod load;
mod many;
mod mcp;
mod origin;
mod subject;
mod table;

use anyhow::Result;

fn main() -> Result<()> {
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with("--"))
        .collect();
    if wanted == [mcp::SERVER] {
        return mcp::serve();
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|one| one == name);
    let (mut table, mut failed) = (table::Table::default(), Vec::new());
    for (name, group) in groups::ALL {
        if is_wanted(name) {
            eprintln!("measuring: {name}");
            // What was measured is told whatever the others come to.
            if let Err(error) = group(&mut table) {
                eprintln!("  {name} failed: {error:#}");
                failed.push(*name);
            }
        }
    }
    table.print();
    anyhow::ensure!(failed.is_empty(), "not measured: {}", failed.join(", "));
    Ok(())
}
