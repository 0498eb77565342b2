//! `carboy selftest`: opens a bottle, tries to get out of it, and judges from outside.

mod canary;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;

use self::canary::Canaries;
use self::report::Report;
use crate::cli::SelftestArgs;
use crate::origin::{Handler, Origin};
use crate::outcome::Outcome;
use crate::output::{self, Format};
use crate::paths;
use crate::probe::{self, GateProcess, Observation, PLAN_FILE, Plan};
use crate::stage::{Inputs, Stage, made_up_credential, own_address, random};

/// The zone that the policy allows. Names under `.test` are nobody's (RFC 6761).
const ZONE: &str = "selftest.test";

/// Runs every attempt and prints what came of it.
pub(crate) fn run(args: &SelftestArgs) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let stage = Stage::new(args.best_effort, None)?;
    let received: Received = Arc::default();
    let origin = runtime.block_on(Origin::serve(None, recorder(&received)))?;
    let canaries = Canaries::open(stage.root())?;
    let traps = Traps::set(&stage)?;
    let secret = made_up_credential()?;

    let bottle = stage
        .run(&inputs(&origin), &["__probe"])?
        .spawn()
        .context("cannot start carboy run")?;
    let plan = plan(&origin, &canaries, &traps, &secret, &bottle)?;
    // Renamed into place, so that the bottle never sees half a plan.
    let draft = stage.write(PLAN_FILE, &serde_json::to_string(&plan)?)?;
    fs::rename(draft, stage.workspace().join(PLAN_FILE))?;
    progress(args.format);
    let observations = collect(bottle)?;

    let received = std::mem::take(&mut *received.lock().expect("no request handler panics"));
    let evidence = Evidence {
        canaries: canaries.touched(),
        received,
        escaped: traps.sprung(),
        bait: traps.bait.clone(),
        secret,
    };
    let report = Report::judge(&observations, &evidence);
    report.print(args.format)?;
    Ok(if report.passed() {
        Outcome::Clean
    } else {
        Outcome::Found
    })
}

/// What was seen outside.
struct Evidence {
    /// Probes whose name, or whose mere connection, reached a canary.
    canaries: Vec<String>,
    /// What the local origin received, whole, by probe.
    received: BTreeMap<String, String>,
    /// Files that appeared outside.
    escaped: Vec<PathBuf>,
    /// What stands in the planted file.
    bait: String,
    /// The made-up credential.
    secret: String,
}

type Received = Arc<Mutex<BTreeMap<String, String>>>;

/// Answers every request with `hello` and keeps all of it.
fn recorder(received: &Received) -> Handler {
    let received = Arc::clone(received);
    Arc::new(move |request| {
        let received = Arc::clone(&received);
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let probe = head.uri.path().trim_start_matches('/').to_owned();
            let body = body
                .collect()
                .await
                .map(|whole| whole.to_bytes())
                .unwrap_or_default();
            let text = format!("{head:?}\n{}", String::from_utf8_lossy(&body));
            received
                .lock()
                .expect("no request handler panics")
                .insert(probe, text);
            Response::new(
                Full::new(Bytes::from_static(b"hello"))
                    .map_err(|e| match e {})
                    .boxed(),
            )
        })
    })
}

fn inputs(origin: &Origin) -> Inputs {
    let port = origin.address().port();
    Inputs {
        policy: format!(
            "version: 1\nmode: strict\negress:\n  allow: [\"*.{ZONE}\"]\n  \
             private: [\"origin.{ZONE}:{port}\"]\n"
        ),
        hosts: format!("127.0.0.1 origin.{ZONE}\n"),
        authority_pem: None,
    }
}

fn plan(
    origin: &Origin,
    canaries: &Canaries,
    traps: &Traps,
    secret: &str,
    bottle: &Child,
) -> Result<Plan> {
    let pid = i32::try_from(bottle.id()).context("the process number is too large")?;
    Ok(Plan {
        origin: format!("http://origin.{ZONE}:{}", origin.address().port()),
        zone: ZONE.to_owned(),
        canary_port: canaries.port(),
        host_v4: own_address((Ipv4Addr::new(192, 0, 2, 1), 9).into()).and_then(|own| match own {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }),
        host_v6: own_address((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9).into()).and_then(
            |own| match own {
                IpAddr::V6(address) => Some(address),
                IpAddr::V4(_) => None,
            },
        ),
        unix_path: canaries.unix_path().to_owned(),
        unix_abstract: canaries.unix_abstract().to_owned(),
        gate: GateProcess {
            pid,
            started_ticks: probe::started(pid).context("the bottle ended at once")?,
        },
        home_file: traps.home_file.clone(),
        outside_files: traps.outside_files.clone(),
        secret: secret.to_owned(),
    })
}

fn progress(format: Format) {
    if format == Format::Text {
        let count = probe::probes().len();
        output::note(format_args!(
            "a bottle is open; trying {count} ways (a few seconds)"
        ));
    }
}

fn collect(bottle: Child) -> Result<Vec<Observation>> {
    let output = bottle
        .wait_with_output()
        .context("cannot wait for carboy run")?;
    match serde_json::from_slice(&output.stdout) {
        Ok(observations) => Ok(observations),
        Err(_) => bail!(
            "the bottle gave no results ({}):\n{}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ),
    }
}

/// Files that must not be read, and files that must not appear. Removed when dropped.
struct Traps {
    home_file: Option<PathBuf>,
    outside_files: Vec<PathBuf>,
    bait: String,
}

impl Traps {
    fn set(stage: &Stage) -> Result<Self> {
        let tag = data_encoding::HEXLOWER.encode(&random()?);
        let bait = format!("bait-{tag}");
        let name = format!(".carboy-selftest-{}", &tag[..8]);
        let home_file = paths::home().ok().map(|home| home.join(&name));
        // A home that cannot be written is reported by the probe as not tested.
        let home_file = home_file.filter(|file| fs::write(file, &bait).is_ok());
        let mut outside_files: Vec<PathBuf> = ["/usr/bin", "/etc", "/var/tmp", "/tmp", "/opt"]
            .iter()
            .map(|dir| Path::new(dir).join(&name))
            .collect();
        outside_files.push(stage.root().join(&name));
        if let Ok(home) = paths::home() {
            outside_files.push(home.join(format!("{name}-written")));
        }
        Ok(Self {
            home_file,
            outside_files,
            bait,
        })
    }

    /// The files that appeared.
    fn sprung(&self) -> Vec<PathBuf> {
        self.outside_files
            .iter()
            .filter(|file| file.exists())
            .cloned()
            .collect()
    }
}

impl Drop for Traps {
    fn drop(&mut self) {
        for file in self.home_file.iter().chain(&self.outside_files) {
            // Most of them were never there.
            let _ = fs::remove_file(file);
        }
    }
}
