//! What is measured.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::door::Door;
use crate::http2::http2;
use crate::latency::latency;
use crate::live::{listen, talk};
use crate::load::{Stretch, connect_once, exchange, median, stretch, transfer};
use crate::many::{many, soak};
use crate::mcp::mcp;
use crate::origin;
use crate::subject::{Bench, Gate, HOST, PASS_HOST};
use crate::table::Table;

type Group = fn(&mut Table) -> Result<()>;

/// All groups by name, in the order in which they run.
pub(crate) const ALL: &[(&str, Group)] = &[
    ("http", http),
    ("latency", latency),
    ("http2", http2),
    ("gzip", gzip),
    ("connect", connections),
    ("gib", gib),
    ("memory", memory),
    ("start", start),
    ("live", live),
    ("mcp", mcp),
    ("many", many),
    ("soak", soak),
];

/// How often client and gate take turns with the baseline; the medians count.
pub(crate) const ROUNDS: usize = 3;
/// How long one stretch of load is.
pub(crate) const STRETCH: Duration = Duration::from_millis(1500);
/// New connections measured, each way.
const CONNECTIONS: usize = 150;
/// Idle connections whose memory is measured.
const IDLE_CONNECTIONS: u64 = 200;
/// Events of one stream.
const EVENTS: usize = 500;
/// The pause before each, where they do not come at once.
const EVENT_GAP: Duration = Duration::from_millis(2);
/// Starts of a program measured, each way.
const STARTS: usize = 25;
const GIB: usize = 1 << 30;

/// A gate between client and origins, and the doors that lead through it or past it.
pub(crate) struct Stage {
    pub(crate) gate: Gate,
    pub(crate) direct: Door,
    pub(crate) direct_tls: Door,
    pub(crate) forward: Door,
    pub(crate) tunnel: Door,
    pub(crate) intercepted: Door,
    _bench: Bench,
}

impl Stage {
    pub(crate) fn set() -> Result<Self> {
        let bench = Bench::new()?;
        let plain = origin::start(None)?;
        let tls = origin::start(Some(bench.origin_tls.clone()))?;
        let gate = bench.gate()?;
        let direct = Door {
            dial: plain,
            connect: None,
            tls: None,
            prefix: String::new(),
            host: format!("{HOST}:{}", plain.port()),
        };
        let direct_tls = Door {
            dial: tls,
            tls: Some((HOST, bench.direct_tls()?)),
            host: format!("{HOST}:{}", tls.port()),
            ..direct.clone()
        };
        let forward = Door {
            dial: gate.address,
            prefix: format!("http://{}", direct.host),
            ..direct.clone()
        };
        let pass_host = format!("{PASS_HOST}:{}", tls.port());
        let tunnel = Door {
            dial: gate.address,
            connect: Some(pass_host.clone()),
            tls: Some((PASS_HOST, bench.direct_tls()?)),
            host: pass_host,
            ..direct.clone()
        };
        let intercepted = Door {
            dial: gate.address,
            connect: Some(direct_tls.host.clone()),
            tls: Some((HOST, gate.tls.clone())),
            ..direct_tls.clone()
        };
        Ok(Self {
            gate,
            direct,
            direct_tls,
            forward,
            tunnel,
            intercepted,
            _bench: bench,
        })
    }
}

pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(tokio::task::LocalSet::new().block_on(&runtime, future))
}

fn http(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    for (size, label) in [(100, "100 B"), (4096, "4 KB")] {
        let ways = [
            (
                "forward",
                &stage.forward,
                &stage.direct,
                "30,000/s",
                "+60 us",
            ),
            (
                "CONNECT tunnel",
                &stage.tunnel,
                &stage.direct_tls,
                "none set",
                "none set",
            ),
            (
                "intercepted",
                &stage.intercepted,
                &stage.direct_tls,
                "25,000/s",
                "+80 us",
            ),
        ];
        for (name, through, past, rate_goal, latency_goal) in ways {
            let busy = compare(&stage.gate, through, past, 16, size)?;
            let what = format!("{name}, {label}, 16 connections");
            table.add(
                &what,
                rate_goal,
                &format!("{:.0}/s", busy.through.per_second),
                &format!("{:.0}/s", busy.past.per_second),
                &format!(
                    "{:.2} of direct",
                    busy.through.per_second / busy.past.per_second
                ),
            );
            let what = format!("{what}: the gate's CPU for each answer");
            table.add(&what, "none set", &micros(busy.cpu), "none", "absolute");
            let quiet = compare(&stage.gate, through, past, 1, size)?;
            let added = quiet.through.p50.saturating_sub(quiet.past.p50);
            table.add(
                &format!("{name}, {label}, 1 connection, p50"),
                latency_goal,
                &micros(quiet.through.p50),
                &micros(quiet.past.p50),
                &format!("+{}", micros(added)),
            );
        }
    }
    Ok(())
}

/// Load through the gate and past it.
pub(crate) struct Compared {
    pub(crate) through: Stretch,
    pub(crate) past: Stretch,
    /// The gate's processor time for each answer.
    cpu: Duration,
}

/// Medians of stretches through the gate and past it, taken in turns.
pub(crate) fn compare(
    gate: &Gate,
    through: &Door,
    past: &Door,
    connections: usize,
    size: usize,
) -> Result<Compared> {
    let (mut throughs, mut pasts) = (Vec::new(), Vec::new());
    let (mut cpu, mut answers) = (Duration::ZERO, 0);
    for _ in 0..ROUNDS {
        pasts.push(block_on(stretch(past, connections, size, STRETCH))??);
        let before = gate.cpu()?;
        let one = block_on(stretch(through, connections, size, STRETCH))??;
        cpu += gate.cpu()?.saturating_sub(before);
        answers += one.answers;
        throughs.push(one);
    }
    let cpu = cpu.div_f64(answers.max(1) as f64);
    Ok(Compared {
        through: middle(throughs)?,
        past: middle(pasts)?,
        cpu,
    })
}

pub(crate) fn middle(mut stretches: Vec<Stretch>) -> Result<Stretch> {
    stretches.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    stretches
        .get(stretches.len() / 2)
        .copied()
        .context("no stretch was measured")
}

fn connections(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    let ways = [
        (
            "new CONNECT tunnel and first answer, p50",
            &stage.tunnel,
            "none set",
        ),
        (
            "new intercepted connection and first answer, p50",
            &stage.intercepted,
            "1.5 ms",
        ),
    ];
    for (name, through, goal) in ways {
        let (gate, direct) = block_on(async {
            let (mut gate, mut direct) = (Vec::new(), Vec::new());
            for _ in 0..CONNECTIONS {
                direct.push(connect_once(&stage.direct_tls).await?);
                gate.push(connect_once(through).await?);
            }
            anyhow::Ok((gate, direct))
        })??;
        add_times(table, name, goal, gate, direct)?;
    }
    Ok(())
}

fn gib(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    for (name, up) in [
        ("1 GiB down, intercepted", false),
        ("1 GiB up, intercepted", true),
    ] {
        let direct = block_on(transfer(&stage.direct_tls, GIB, up))??;
        stage.gate.reset_peak()?;
        let gate = block_on(transfer(&stage.intercepted, GIB, up))??;
        let peak = stage.gate.resident_kib("VmHWM")?;
        table.add(
            name,
            "400 MB/s",
            &megabytes_per_second(gate),
            &megabytes_per_second(direct),
            &format!("{:.2} of direct", direct.as_secs_f64() / gate.as_secs_f64()),
        );
        let what = format!("{name}: the gate's peak memory");
        table.add(&what, "64 MiB", &mebibytes(peak), "none", "absolute");
    }
    Ok(())
}

/// Answers in gzip, which the gate unpacks to look at, and passes on as they were.
fn gzip(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    let time = |door: &Door| -> Result<Duration> {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(block_on(unpacked(door))??);
        }
        median(&mut times).context("nothing was measured")
    };
    let direct = time(&stage.direct_tls)?;
    let gate = time(&stage.intercepted)?;
    let speed = |time: Duration| {
        let bytes = (origin::GZIP_BYTES * GZIP_ANSWERS) as f64;
        format!("{:.0} MB/s", bytes / 1e6 / time.as_secs_f64())
    };
    table.add(
        "gzip down, intercepted: unpacked bytes",
        "none set",
        &speed(gate),
        &speed(direct),
        &format!("{:.2} of direct", direct.as_secs_f64() / gate.as_secs_f64()),
    );
    Ok(())
}

/// Answers in gzip that one measure takes.
const GZIP_ANSWERS: usize = 8;

/// The time that they take.
async fn unpacked(door: &Door) -> Result<Duration> {
    let mut stream = door.open().await?;
    let mut buffer = Vec::with_capacity(256 * 1024);
    let request = door.request_path("gzip");
    let start = Instant::now();
    for _ in 0..GZIP_ANSWERS {
        exchange(&mut *stream, &request, &mut buffer).await?;
    }
    Ok(start.elapsed())
}

fn memory(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    std::thread::sleep(Duration::from_millis(500));
    let idle = stage.gate.resident_kib("VmRSS")?;
    table.add(
        "idle gate, all rules: memory",
        "12 MiB",
        &mebibytes(idle),
        "none",
        "absolute",
    );
    let each = block_on(async {
        // One connection first: what the first handshake sets up is not any connection's own.
        let mut streams = vec![idle_connection(&stage.intercepted).await?];
        let before = stage.gate.resident_kib("VmRSS")?;
        for _ in 0..IDLE_CONNECTIONS {
            streams.push(idle_connection(&stage.intercepted).await?);
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
        let after = stage.gate.resident_kib("VmRSS")?;
        anyhow::Ok(after.saturating_sub(before) / IDLE_CONNECTIONS)
    })??;
    let name = format!("idle intercepted connection, of {IDLE_CONNECTIONS}: memory");
    table.add(&name, "50 KiB", &format!("{each} KiB"), "none", "absolute");
    Ok(())
}

async fn idle_connection(door: &Door) -> Result<Box<dyn crate::door::Stream>> {
    let mut stream = door.open().await?;
    exchange(&mut *stream, &door.request(100, None), &mut Vec::new()).await?;
    Ok(stream)
}

/// Connections that stay: WebSockets that echo, and streams of events.
fn live(table: &mut Table) -> Result<()> {
    let stage = Stage::set()?;
    for (connections, what) in [
        (16, "WebSocket echo, 16 connections"),
        (1, "WebSocket echo, 1 connection, p50"),
    ] {
        let past = block_on(talk(&stage.direct, connections, STRETCH))??;
        let through = block_on(talk(&stage.forward, connections, STRETCH))??;
        let goal = (connections == 1).then_some("none set");
        add_stretches(table, what, goal, through, past);
    }
    for (pause, what) in [
        (Duration::ZERO, "server-sent events, one after the other"),
        (EVENT_GAP, "server-sent event, 2 ms after the last, p50"),
    ] {
        let past = block_on(listen(&stage.direct, EVENTS, pause))??;
        let through = block_on(listen(&stage.forward, EVENTS, pause))??;
        let goal = (!pause.is_zero()).then_some("+200 us");
        add_stretches(table, what, goal, through, past);
    }
    Ok(())
}

/// Adds how many there were a second; or where there is a goal for it, how long one took.
pub(crate) fn add_stretches(
    table: &mut Table,
    what: &str,
    goal: Option<&str>,
    through: Stretch,
    past: Stretch,
) {
    let Some(goal) = goal else {
        let rate = |stretch: Stretch| format!("{:.0}/s", stretch.per_second);
        let share = format!("{:.2} of direct", through.per_second / past.per_second);
        return table.add(what, "none set", &rate(through), &rate(past), &share);
    };
    let added = format!("+{}", micros(through.p50.saturating_sub(past.p50)));
    let (through, past) = (micros(through.p50), micros(past.p50));
    table.add(what, goal, &through, &past, &added);
}

fn start(table: &mut Table) -> Result<()> {
    let bench = Bench::new()?;
    let text = bench.path("page.txt");
    fs::write(&text, &origin::text()[..4096])?;
    let check = || {
        let mut command = bench.carboy();
        command.args(["check", "https://docs.example.com/guide?page=2"]);
        command
    };
    let plain = || Command::new("/bin/true");
    let (gate, direct) = in_turns(|| to_exit(check()), || to_exit(plain()))?;
    add_times(
        table,
        "`carboy check URL`, start to exit; beside `/bin/true`",
        "10 ms",
        gate,
        direct,
    )?;

    let sealed = |program: &[&str]| {
        let mut command = bench.carboy();
        command
            .args(["run", "--quiet", "--workspace", "none", "--"])
            .args(program);
        command
    };
    if !to_exit_status(sealed(&["/bin/true"]))? {
        eprintln!("  not measured: this machine refuses the bottle; see `carboy run -- /bin/true`");
        return Ok(());
    }
    let date = ["/bin/date", "+%s%N"];
    let plain_date = || {
        let mut command = Command::new(date[0]);
        command.arg(date[1]);
        command
    };
    let (gate, direct) = in_turns(|| to_exec(sealed(&date)), || to_exec(plain_date()))?;
    add_times(
        table,
        "bottle: spawn to the command's exec; beside plain spawn",
        "+25 ms",
        gate,
        direct,
    )?;
    let (gate, direct) = in_turns(|| to_exit(sealed(&["/bin/true"])), || to_exit(plain()))?;
    add_times(
        table,
        "bottle: spawn to exit of `/bin/true`; beside plain spawn",
        "none set",
        gate,
        direct,
    )
}

fn in_turns(
    gate: impl Fn() -> Result<Duration>,
    direct: impl Fn() -> Result<Duration>,
) -> Result<(Vec<Duration>, Vec<Duration>)> {
    let (mut gates, mut directs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        directs.push(direct()?);
        gates.push(gate()?);
    }
    Ok((gates, directs))
}

fn to_exit(mut command: Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    ensure!(status.success(), "{command:?}: {status}");
    Ok(start.elapsed())
}

fn to_exit_status(mut command: Command) -> Result<bool> {
    Ok(command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()?
        .success())
}

/// From spawn to when the command prints the time, nanoseconds since 1970.
fn to_exec(mut command: Command) -> Result<Duration> {
    let start = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let output = command.stdin(Stdio::null()).output()?;
    let said = String::from_utf8(output.stdout)?;
    let nanos: u64 = said
        .trim()
        .parse()
        .with_context(|| format!("{command:?} said {said:?}"))?;
    Ok(Duration::from_nanos(nanos).saturating_sub(start))
}

fn add_times(
    table: &mut Table,
    name: &str,
    goal: &str,
    mut gate: Vec<Duration>,
    mut direct: Vec<Duration>,
) -> Result<()> {
    let gate = median(&mut gate).context("nothing was measured")?;
    let direct = median(&mut direct).context("nothing was measured")?;
    let added = format!("+{}", millis(gate.saturating_sub(direct)));
    table.add(name, goal, &millis(gate), &millis(direct), &added);
    Ok(())
}

pub(crate) fn micros(time: Duration) -> String {
    format!("{:.1} us", time.as_nanos() as f64 / 1e3)
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}

pub(crate) fn mebibytes(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

fn megabytes_per_second(time: Duration) -> String {
    format!("{:.0} MB/s", GIB as f64 / 1e6 / time.as_secs_f64())
}
