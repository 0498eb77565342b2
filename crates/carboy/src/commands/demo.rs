//! `carboy demo`: one allowed request, two refusals and a caught escape, without the internet.

mod script;

use std::fs;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::Mutex;

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::Response;
use hyper::body::Bytes;
use serde::Serialize;

pub(crate) use self::script::{Scenes, play};
use crate::cli::DemoArgs;
use crate::commands::receipts;
use crate::origin::{Authority, Handler, Origin};
use crate::outcome::Outcome;
use crate::output::{self, Format, Paint};
use crate::paths;
use crate::stage::{Inputs, Stage};

/// The host that the policy allows. Names under `.test` are nobody's (RFC 6761).
const ALLOWED: &str = "api.demo.test";
/// A host that it does not.
const DENIED: &str = "paste.demo.test";

/// Plays the show and checks, from outside, that it went as told.
pub(crate) fn run(args: &DemoArgs) -> Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let _entered = runtime.enter();
    let stage = Stage::new(args.best_effort, Some(paths::state_dir()?))?;
    let authority = Authority::new(&[ALLOWED, DENIED])?;
    let visits = Visits::default();
    let server = Some(Arc::clone(&authority.server));
    let origin = runtime.block_on(Origin::serve(server, greeter(&visits)))?;
    let target = DirectTarget::open()?;

    if args.format == Format::Text {
        output::line(introduction(origin.address()))?;
    }
    let inputs = inputs(&origin, authority.certificate_pem);
    let status = show(&stage, &inputs, (&origin, &target), args.format)?;
    let scenes = read_scenes(&stage, status)?;
    let visits = visits.lock().expect("no request handler panics").clone();
    let told = Told {
        outside: judge(&scenes, &visits, &target)?,
        receipts: receipts::verify_newest(stage.state())?,
    };
    told.print(args.format)?;
    Ok(match told.holds() {
        true => Outcome::Clean,
        false => Outcome::Found,
    })
}

type Visits = Arc<Mutex<Vec<String>>>;

/// Answers everything and keeps which paths were asked for.
fn greeter(visits: &Visits) -> Handler {
    let visits = Arc::clone(visits);
    Arc::new(move |request| {
        let path = request.uri().path().to_owned();
        visits.lock().expect("no request handler panics").push(path);
        let body = Full::new(Bytes::from_static(b"hello from outside"));
        Box::pin(async move { Response::new(body.map_err(|never| match never {}).boxed()) })
    })
}

fn introduction(origin: SocketAddr) -> String {
    format!(
        "A bottle opens, and a program in it tries four things. A server on {origin} plays the \
         internet;\nthe policy allows {ALLOWED} and nothing else.\n"
    )
}

fn inputs(origin: &Origin, authority_pem: String) -> Inputs {
    let port = origin.address().port();
    Inputs {
        policy: format!(
            "version: 1\nmode: strict\negress:\n  allow: [\"{ALLOWED}\"]\n  \
             private: [\"{ALLOWED}:{port}\", \"{DENIED}:{port}\"]\n"
        ),
        hosts: format!("127.0.0.1 {ALLOWED} {DENIED}\n"),
        authority_pem: Some(authority_pem),
    }
}

fn show(
    stage: &Stage,
    inputs: &Inputs,
    (origin, target): (&Origin, &DirectTarget),
    format: Format,
) -> Result<ExitStatus> {
    let port = origin.address().port();
    let allowed = format!("https://{ALLOWED}:{port}");
    let denied = format!("https://{DENIED}:{port}");
    let direct = target.address.to_string();
    // One pipe for both, so that what the program says and what the gate says stay in order.
    let (said, words) = io::pipe()?;
    let mut command = stage.run(inputs, &["__demo", &allowed, &denied, &direct])?;
    command.stdout(words.try_clone()?).stderr(words);
    let mut bottle = command.spawn().context("cannot start carboy run")?;
    // It holds the writing ends, and the pipe ends with the last of them.
    drop(command);
    relay(said, format)?;
    bottle.wait().context("cannot wait for carboy run")
}

/// Copies lines as they come. They are for people.
fn relay(pipe: impl Read, format: Format) -> Result<()> {
    for line in BufReader::new(pipe).lines() {
        let line = line?;
        match format {
            Format::Text => output::line(line)?,
            Format::Json => {}
        }
    }
    Ok(())
}

fn read_scenes(stage: &Stage, status: ExitStatus) -> Result<Scenes> {
    let text = fs::read(stage.workspace().join(script::RESULT_FILE))
        .with_context(|| format!("the bottle did not play the show ({status})"))?;
    Ok(serde_json::from_slice(&text)?)
}

/// Whether each scene went as told, judged by what arrived outside.
fn judge(scenes: &Scenes, visits: &[String], target: &DirectTarget) -> Result<[Claim; 4]> {
    let visited = |path: &str| visits.iter().any(|visit| visit == path);
    let claim = |claim, holds| Claim { claim, holds };
    Ok([
        claim(
            "the allowed request arrived",
            scenes.allowed && visited(script::ALLOWED_PATH),
        ),
        claim(
            "the unlisted host was never reached",
            scenes.denied && !visited(script::DENIED_PATH),
        ),
        claim(
            "the key did not leave",
            scenes.leak && !visited(script::LEAK_PATH),
        ),
        claim(
            "the socket reached nobody",
            scenes.direct && !target.was_reached()?,
        ),
    ])
}

/// Something that must have been seen from outside, and whether it was.
#[derive(Debug, Serialize)]
struct Claim {
    claim: &'static str,
    holds: bool,
}

/// What there is to tell after the show.
#[derive(Debug, Serialize)]
struct Told {
    outside: [Claim; 4],
    /// What the receipts of the show came to.
    receipts: String,
}

impl Told {
    fn holds(&self) -> bool {
        self.outside.iter().all(|own| own.holds)
    }

    fn print(&self, format: Format) -> Result<()> {
        match format {
            Format::Json => output::json(self),
            Format::Text => self.print_text(),
        }
    }

    fn print_text(&self) -> Result<()> {
        let paint = Paint::on(&io::stdout());
        output::line("Seen from outside:")?;
        for Claim { claim, holds } in &self.outside {
            match holds {
                true => output::line(format_args!("  {}  {claim}", paint.green("yes")))?,
                false => output::line(format_args!("  {}   {claim}", paint.red("NO")))?,
            }
        }
        Ok(output::line(format_args!("\nReceipts: {}", self.receipts))?)
    }
}

/// A listener on the host that the escape aims at.
struct DirectTarget {
    listener: TcpListener,
    address: SocketAddr,
}

impl DirectTarget {
    /// Listens on this machine's own address if it has one, so that the aim is not loopback,
    /// which a bottle has of its own.
    fn open() -> Result<Self> {
        let own = crate::stage::own_address((Ipv4Addr::new(192, 0, 2, 1), 9).into());
        let listener = own
            .and_then(|own| TcpListener::bind((own, 0)).ok())
            .map_or_else(|| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)), Ok)
            .context("cannot listen for the escape")?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Self { listener, address })
    }

    fn was_reached(&self) -> Result<bool> {
        match self.listener.accept() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
