//! `carboy proxy`, with curl.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{Place, Who, expect_code, stderr, stdout};
use crate::world::{HOST, World};

/// A running proxy. Dropped, it is killed.
struct Proxy {
    child: Child,
    url: String,
}

impl Proxy {
    fn start(place: &Place, options: &[String]) -> Self {
        let mut child = place
            .carboy()
            .args(["proxy", "--listen", "127.0.0.1:0"])
            .args(options)
            .env("OUTER_LOGIN", "user:a word of its own")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap())
            .read_line(&mut line)
            .unwrap();
        let Some(url) = line.trim().strip_prefix("listening on ") else {
            child.kill().unwrap();
            panic!("{line:?}: {}", stderr(&child.wait_with_output().unwrap()));
        };
        Self {
            url: url.to_owned(),
            child,
        }
    }

    fn curl(&self, arguments: &[&str]) -> Output {
        Command::new("curl")
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "20",
                "--proxy",
                &self.url,
            ])
            .args(arguments)
            .env_remove("CURL_CA_BUNDLE")
            .env_remove("SSL_CERT_FILE")
            .output()
            .unwrap()
    }

    /// curl that uses the proxy by SOCKS, as `option` says.
    fn curl_socks(&self, option: &str, arguments: &[&str]) -> Output {
        let address = self.url.strip_prefix("http://").unwrap();
        Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20"])
            .args([option, address])
            .args(arguments)
            .output()
            .unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Ends it with a signal and gives what it said.
    fn end(mut self, signal: Signal) -> Output {
        self.signal(signal);
        let stderr = self.child.stderr.take().unwrap();
        let reader = std::thread::spawn(move || std::io::read_to_string(stderr).unwrap());
        let status = self.child.wait().unwrap();
        Output {
            status,
            stdout: Vec::new(),
            stderr: reader.join().unwrap().into_bytes(),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn requests_are_forwarded_or_refused_and_recorded() {
    let place = Place::new(Who::Me);
    let world = World::over_http(&place.path(""));
    let proxy = Proxy::start(&place, &world.options(&place));
    let output = proxy.curl(&[&world.url("/hello")]);
    assert_eq!(stdout(&output), "hello from outside");

    let refused = format!("http://other.test:{}/hello", world.port());
    let output = proxy.curl(&["--include", &refused]);
    let answer = stdout(&output);
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(
        answer
            .to_lowercase()
            .contains("carboy-reason: host_not_allowed"),
        "{answer}"
    );

    let health = Command::new("curl")
        .args(["-s", &format!("{}/health", proxy.url)])
        .output();
    assert!(stdout(&health.unwrap()).contains("\"status\":\"ok\""));

    let ended = proxy.end(Signal::SIGTERM);
    expect_code(&ended, 0);
    assert!(
        stderr(&ended).contains("refused GET http://other.test"),
        "{}",
        stderr(&ended)
    );
    let verified = place
        .carboy()
        .args(["receipts", "verify"])
        .output()
        .unwrap();
    expect_code(&verified, 0);
}

#[test]
fn socks_is_spoken_on_the_same_port() {
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    let certificate = place.path("proxy-ca.pem");
    let mut options = world.options(&place);
    let certificate = certificate.to_str().unwrap();
    options.extend(["--ca-cert-out".to_owned(), certificate.to_owned()]);
    let proxy = Proxy::start(&place, &options);
    let trust = ["--cacert", certificate];
    let allowed = world.url("/hello");
    let output = proxy.curl_socks("--socks5-hostname", &[&trust[..], &[&allowed]].concat());
    assert_eq!(stdout(&output), "hello from outside", "{}", stderr(&output));

    let refused = format!("https://other.test:{}/hello", world.port());
    let output = proxy.curl_socks("--socks5-hostname", &[&trust[..], &[&refused]].concat());
    // 97: the proxy said no; 2 is its code for what the rules do not allow.
    expect_code(&output, 97);
    assert!(stderr(&output).contains("(2)"), "{}", stderr(&output));
    let output = proxy.curl_socks("--socks4a", &[&trust[..], &[&allowed]].concat());
    expect_code(&output, 97);

    let ended = proxy.end(Signal::SIGTERM);
    let told = stderr(&ended);
    assert!(told.contains("host_not_allowed by egress.allow"), "{told}");
    assert!(told.contains("not carried: SOCKS 4"), "{told}");
}

#[test]
fn a_reverse_proxy_stands_for_the_far_end() {
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    let url = world.url("/hello");
    let mut options = world.options(&place);
    let backend = format!("127.0.0.1={}", url.trim_end_matches("/hello"));
    options.extend(["--reverse".to_owned(), backend]);
    let proxy = Proxy::start(&place, &options);
    let curl = |host: &str| {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-H", host]);
        curl.arg(format!("{}/hello", proxy.url)).output().unwrap()
    };
    assert_eq!(stdout(&curl("X-Any: thing")), "hello from outside");
    let answer = stdout(&curl("Host: other.test"));
    assert!(
        answer.contains("\"reason\": \"target_mismatch\""),
        "{answer}"
    );

    let mut command = place.carboy();
    command.args([
        "proxy",
        "--listen",
        "127.0.0.1:0",
        "--reverse",
        "a.test=https://b.test/v1",
    ]);
    let output = command.output().unwrap();
    expect_code(&output, 2);
    assert!(
        stderr(&output).contains("without a path"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn one_proxy_leads_through_another() {
    let place = Place::new(Who::Me);
    let world = World::over_http(&place.path(""));
    let with = |more: &[&str]| {
        let mut options = world.options(&place);
        options.extend(more.iter().map(|own| (*own).to_owned()));
        options
    };
    let outer = Proxy::start(&place, &with(&["--login", "OUTER_LOGIN"]));
    let mut options = with(&["--upstream-proxy", &outer.url]);
    let stranger = Proxy::start(&place, &options);
    let output = stranger.curl(&[&world.url("/hello")]);
    let answer = stdout(&output);
    assert!(answer.contains("wants another login (407)"), "{answer}");
    drop(stranger);
    options = with(&[
        "--upstream-proxy",
        &outer.url,
        "--upstream-proxy-login",
        "OUTER_LOGIN",
    ]);
    let inner = Proxy::start(&place, &options);
    let output = inner.curl(&[&world.url("/hello")]);
    assert_eq!(stdout(&output), "hello from outside", "{}", stderr(&output));
    for (proxy, counts) in [
        (inner, "2 crossings, 0 refused"),
        (outer, "3 crossings, 1 refused"),
    ] {
        let told = stderr(&proxy.end(Signal::SIGTERM));
        assert!(told.contains(counts), "{told}");
        assert!(!told.contains("a word of its own"), "{told}");
    }

    options = with(&[
        "--upstream-proxy",
        "http://127.0.0.1:1",
        "--upstream-proxy-login",
        "NOT_SET",
    ]);
    let mut command = place.carboy();
    command.args(["proxy", "--listen", "127.0.0.1:0"]);
    let output = command.args(&options).output().unwrap();
    expect_code(&output, 2);
    let told = stderr(&output);
    assert!(told.contains("set NOT_SET to user:password"), "{told}");
}

#[test]
fn a_directory_of_receipts_misses_no_log() {
    let place = Place::new(Who::Me);
    let world = World::over_http(&place.path(""));
    let start = || Proxy::start(&place, &world.options(&place));
    let (first, second) = (start(), start());
    expect_code(&first.end(Signal::SIGTERM), 0);
    let third = start();
    expect_code(&second.end(Signal::SIGTERM), 0);
    expect_code(&third.end(Signal::SIGTERM), 0);

    let dir = place.state().join("receipts");
    let verify = || {
        let mut command = place.carboy();
        command.args(["receipts", "verify", "--format", "json"]);
        let output = command.arg(&dir).output().unwrap();
        let report: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
        (output.status.code().unwrap(), report)
    };
    let (code, report) = verify();
    assert_eq!((code, &report["logs"]), (0, &3.into()), "{report}");

    let mut logs: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|own| own == "jsonl"))
        .collect();
    logs.sort();
    let ledger = dir.join("ledger");
    let (log, told) = (fs::read(&logs[1]).unwrap(), fs::read(&ledger).unwrap());
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let found = |file: &Path, part: &str| {
        let (code, report) = verify();
        let problem = &report["problems"][0];
        assert_eq!(
            (code, &problem["file"]),
            (1, &name(file).into()),
            "{report}"
        );
        let what = problem["problem"].as_str().unwrap();
        assert!(what.contains(part), "{what}");
    };

    fs::remove_file(&logs[1]).unwrap();
    found(&logs[1], "is missing");
    fs::copy(&logs[0], &logs[1]).unwrap();
    found(&logs[1], "it was replaced");
    fs::write(&logs[1], &log).unwrap();

    let added = dir.join("proxy-20200101T000000000000Z.jsonl");
    fs::copy(&logs[0], &added).unwrap();
    found(&added, "not in the ledger");
    fs::remove_file(&added).unwrap();

    let lines: Vec<_> = told.split_inclusive(|byte| *byte == b'\n').collect();
    fs::write(&ledger, [&lines[..2], &lines[3..]].concat().concat()).unwrap();
    found(&ledger, "a line is missing before it");
    fs::remove_file(&ledger).unwrap();
    found(&ledger, "is missing");
    fs::write(&ledger, &told).unwrap();
    assert_eq!(verify().0, 0);
}

#[test]
fn tls_is_intercepted_with_the_authority_that_was_written_out() {
    let place = Place::new(Who::Me);
    let world = World::over_tls(&place.path(""));
    let certificate = place.path("proxy-ca.pem");
    let mut options = world.options(&place);
    options.extend([
        "--ca-cert-out".to_owned(),
        certificate.to_str().unwrap().to_owned(),
    ]);
    let proxy = Proxy::start(&place, &options);
    let trusting = proxy.curl(&[
        "--cacert",
        certificate.to_str().unwrap(),
        &world.url("/hello"),
    ]);
    assert_eq!(
        stdout(&trusting),
        "hello from outside",
        "{}",
        stderr(&trusting)
    );
    let doubting = proxy.curl(&[&world.url("/hello")]);
    assert!(
        !doubting.status.success(),
        "an unknown authority was trusted"
    );
    expect_code(&proxy.end(Signal::SIGINT), 0);
}

#[test]
fn a_kept_authority_signs_when_asked_for() {
    let place = Place::new(Who::Me);
    expect_code(&place.carboy().args(["ca", "init"]).output().unwrap(), 0);
    let world = World::over_tls(&place.path(""));
    let mut options = world.options(&place);
    options.extend(["--ca".to_owned(), "kept".to_owned()]);
    let proxy = Proxy::start(&place, &options);
    let kept = place.state().join("ca/ca.pem");
    let output = proxy.curl(&["--cacert", kept.to_str().unwrap(), &world.url("/hello")]);
    assert_eq!(stdout(&output), "hello from outside", "{}", stderr(&output));
}

#[test]
fn a_hangup_reads_the_policy_again_and_a_bad_one_changes_nothing() {
    let place = Place::new(Who::Me);
    let world = World::over_http(&place.path(""));
    let mut proxy = Proxy::start(&place, &world.options(&place));
    let mut notes = BufReader::new(proxy.child.stderr.take().unwrap()).lines();
    let mut wait_for = |part: &str| {
        let found = notes
            .by_ref()
            .map(|line| line.unwrap())
            .find(|line| line.contains(part));
        assert!(found.is_some(), "no line with {part:?}");
    };
    let policy = place.path("policy.yaml");
    let good = fs::read_to_string(&policy).unwrap();

    fs::write(&policy, "version: 1\nmode: oops\n").unwrap();
    proxy.signal(Signal::SIGHUP);
    wait_for("the policy stays as it was");
    assert_eq!(
        stdout(&proxy.curl(&[&world.url("/hello")])),
        "hello from outside"
    );

    fs::write(
        &policy,
        good.replace(&format!("allow: [{HOST}]"), "allow: []"),
    )
    .unwrap();
    proxy.signal(Signal::SIGHUP);
    wait_for("policy read again");
    let output = proxy.curl(&["--include", &world.url("/hello")]);
    assert!(stdout(&output).contains("403"), "{}", stdout(&output));
}

#[test]
fn fetch_returns_json() {
    let place = Place::new(Who::Me);
    let world = World::over_http(&place.path(""));
    let proxy = Proxy::start(&place, &world.options(&place));
    let fetch = format!("{}/fetch?url={}", proxy.url, world.url("/hello"));
    let output = Command::new("curl").args(["-s", &fetch]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert!(
        answer.to_string().contains("hello from outside"),
        "{answer}"
    );
}

#[test]
fn a_busy_address_is_an_error_that_names_it() {
    let place = Place::new(Who::Me);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = place
        .carboy()
        .args(["proxy", "--listen", &address])
        .output()
        .unwrap();
    expect_code(&output, 2);
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}
