//! Many at once, and much for long: what the gate's memory comes to.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::door::{Door, Stream};
use crate::groups::{STRETCH, Stage, block_on, mebibytes};
use crate::live::{listen, open_socket, talk};
use crate::load::{connect_once, exchange, stretch};
use crate::table::Table;

/// WebSockets that stay open and silent.
const SOCKETS: u64 = 2000;
/// Streams of events at once, and the events of each.
const STREAMS: u64 = 500;
const EVENTS: usize = 100;
const EVENT_GAP: Duration = Duration::from_millis(20);
/// How often the soak goes through all that it mixes; the first time is not counted.
const SOAK_ROUNDS: usize = 10;

/// Idle WebSockets, and streams that are all active at once.
pub(crate) fn many(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    let each = block_on(sockets(&stage))??;
    let what = format!("idle WebSocket, of {SOCKETS}: memory");
    table.add(&what, "50 KiB", &format!("{each} KiB"), "none", "absolute");
    let stage = Stage::set()?;
    let (before, peak) = block_on(streams(&stage))??;
    table.add(
        &format!("{STREAMS} streams of events at once: the gate's peak memory"),
        "64 MiB",
        &mebibytes(peak),
        &format!("{} before", mebibytes(before)),
        &format!("{} KiB each", peak.saturating_sub(before) / STREAMS),
    );
    Ok(())
}

async fn sockets(stage: &Stage) -> Result<u64> {
    let files = "so many connections need more open files: `ulimit -n 20000`";
    let mut sockets: Vec<(Box<dyn Stream>, Vec<u8>)> = Vec::new();
    // A few first: what they set up is not any connection's own.
    for _ in 0..16 {
        sockets.push(open_socket(&stage.forward).await?);
    }
    let before = stage.gate.resident_kib("VmRSS")?;
    for _ in 0..SOCKETS {
        sockets.push(open_socket(&stage.forward).await.context(files)?);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    let after = stage.gate.resident_kib("VmRSS")?;
    Ok(after.saturating_sub(before) / SOCKETS)
}

/// Memory before, and at most while all streams run; KiB.
async fn streams(stage: &Stage) -> Result<(u64, u64)> {
    listen(&stage.forward, EVENTS, Duration::ZERO).await?;
    let before = stage.gate.resident_kib("VmRSS")?;
    stage.gate.reset_peak()?;
    let listening: Vec<_> = (0..STREAMS)
        .map(|_| {
            let door = stage.forward.clone();
            tokio::task::spawn_local(async move { listen(&door, EVENTS, EVENT_GAP).await })
        })
        .collect();
    for one in listening {
        one.await??;
    }
    Ok((before, stage.gate.resident_kib("VmHWM")?))
}

/// Requests of all kinds, WebSockets, events, new connections and refusals, over and over.
pub(crate) fn soak(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    let mut exchanges = 0;
    let mut round = || -> Result<u64> {
        exchanges += block_on(mixed(&stage))??;
        stage.gate.resident_kib("VmRSS")
    };
    let begun = round()?;
    let mut last = begun;
    for _ in 1..SOAK_ROUNDS {
        last = round()?;
    }
    table.add(
        &format!("soak, {exchanges} exchanges of all kinds: memory at its end"),
        "flat",
        &mebibytes(last),
        &format!("{} after a tenth of it", mebibytes(begun)),
        &format!("+{} KiB", last.saturating_sub(begun)),
    );
    Ok(())
}

/// One round. How many exchanges there were: requests with their answers, and messages with their echoes.
async fn mixed(stage: &Stage) -> Result<u64> {
    let mut exchanges = 0;
    for door in [&stage.forward, &stage.tunnel, &stage.intercepted] {
        for size in [100, 4096] {
            exchanges += stretch(door, 16, size, STRETCH / 3).await?.answers;
        }
    }
    exchanges += talk(&stage.forward, 16, STRETCH / 3).await?.answers;
    for _ in 0..20 {
        listen(&stage.forward, EVENTS, Duration::ZERO).await?;
        connect_once(&stage.intercepted).await?;
        refused(&stage.forward).await?;
        exchanges += 3;
    }
    Ok(exchanges)
}

/// A request that the policy refuses.
async fn refused(door: &Door) -> Result<()> {
    let elsewhere = Door {
        prefix: "http://elsewhere.bench.example".into(),
        host: "elsewhere.bench.example".into(),
        ..door.clone()
    };
    let mut stream = elsewhere.open().await?;
    let outcome = exchange(&mut *stream, &elsewhere.request(100, None), &mut Vec::new()).await;
    let error = outcome.err().context("another host was allowed")?;
    anyhow::ensure!(error.to_string().contains(" 403 "), "{error}");
    Ok(())
}
