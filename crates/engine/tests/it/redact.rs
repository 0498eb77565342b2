//! What the policy wants redacted: replaced where that is safe, refused elsewhere.

use std::sync::Arc;
use std::time::Duration;

use carboy_engine::{
    Action, Asked, Crossing, CrossingKind, Decision, Engine, Host, Known, Policy, Scheme, Session,
    Surface, SurfaceKind, Target, Time, Verdict,
};

const NOW: Time = Time {
    elapsed: Duration::ZERO,
    unix_seconds: 1_767_225_600,
};

/// In two parts each, so that no scanner takes this file for a leak. All are made up.
const TOKEN: [&str; 2] = ["glpat-", "Zx8kQ2mNv5Wb7RtY3uLp"];
const OTHER: [&str; 2] = ["glpat-", "Hq4dRv9Lm2XsTz6KcWb8"];
const PASSPHRASE: &str = "Tr0ub4dor-3xKcd-9uLp";

const REDACT: &str = "version: 1\ninspect: {secret: redact, personal: redact}\n";

struct Bench {
    engine: Arc<Engine>,
    session: Session,
    target: Target,
}

impl Bench {
    fn new(policy: &str) -> Self {
        let policy = Policy::parse(policy, "test").expect("a policy");
        let mut known = Known::default();
        assert!(known.add("PASSPHRASE", PASSPHRASE.as_bytes(), Asked::ByName));
        Self {
            engine: Arc::new(Engine::knowing(policy, [7; 32], known)),
            session: Session::default(),
            target: Target {
                scheme: Scheme::Https,
                host: Host::parse("api.example.com").expect("a host"),
                port: 443,
            },
        }
    }

    /// What crosses of a surface, and the verdict on it. `content_type` comes before, if given.
    fn cross(
        &self,
        content_type: &str,
        (kind, name): (SurfaceKind, &str),
        content: &str,
    ) -> (Option<String>, Verdict) {
        let head = Crossing {
            kind: CrossingKind::HttpRequest,
            target: &self.target,
            method: Some("POST"),
        };
        let (mut inspection, _) = self.engine.open(head, &self.session, NOW);
        let mut surface = Surface {
            kind: SurfaceKind::Header,
            name: "content-type",
            bytes: content_type.as_bytes(),
        };
        if !content_type.is_empty() {
            let _ = inspection.push(surface, &self.session, NOW);
        }
        surface = Surface {
            kind,
            name,
            bytes: content.as_bytes(),
        };
        let redacted = inspection.redact(surface, &self.session, NOW);
        if let Some(redacted) = &redacted {
            surface.bytes = redacted;
        }
        let _ = inspection.push(surface, &self.session, NOW);
        let crossed = redacted.map(|bytes| String::from_utf8(bytes).expect("text"));
        (crossed, inspection.finish(&self.session, NOW))
    }
}

const BODY: (SurfaceKind, &str) = (SurfaceKind::Body, "");
const FORM: &str = "application/x-www-form-urlencoded";

fn is_allowed(verdict: &Verdict) -> bool {
    matches!(verdict.decision, Decision::Allow)
}

#[test]
fn a_value_is_replaced_as_its_place_wants_it() {
    let (token, other) = (&*TOKEN.concat(), &*OTHER.concat());
    for (content_type, place, before, after) in [
        ("", BODY, "key T, twice: T", "key <1>, twice: <1>"),
        ("", BODY, "T and O", "<1> and <2>"),
        (
            "application/json",
            BODY,
            r#"{"a": ["T"], "O": 1}"#,
            r#"{"a": ["<1>"], "<2>": 1}"#,
        ),
        // What it is counts, not what it is called.
        ("text/plain", BODY, r#"["T"]"#, r#"["<1>"]"#),
        (FORM, BODY, "a=1&b=T", "a=1&b=%3C1%3E"),
        ("", BODY, "<p k='T'>T</p>", "<p k='&lt;1&gt;'>&lt;1&gt;</p>"),
        ("", (SurfaceKind::Query, "key"), "T", "%3C1%3E"),
        ("", (SurfaceKind::Header, "x-note"), "see T", "see <1>"),
        ("", (SurfaceKind::Argument, "/text"), "see T", "see <1>"),
    ] {
        let fill = |text: &str| text.replace('T', token).replace('O', other);
        let expect = after
            .replace("%3C1%3E", "%3Ccarboy%3Agitlab-token%3A1%3E")
            .replace("<1>", "<carboy:gitlab-token:1>")
            .replace("<2>", "<carboy:gitlab-token:2>")
            .replace("&lt;1&gt;", "&lt;carboy:gitlab-token:1&gt;");
        let (crossed, verdict) = Bench::new(REDACT).cross(content_type, place, &fill(before));
        assert_eq!(crossed.as_deref(), Some(&*expect), "{before}");
        assert!(is_allowed(&verdict), "{before}: {verdict:?}");
        assert_eq!(verdict.findings[0].action, Action::Redact, "{before}");
    }
}

#[test]
fn what_cannot_be_replaced_safely_is_refused() {
    let token = TOKEN.concat();
    let encoded = data_encoding::BASE64.encode(format!("the key is {token} as ever").as_bytes());
    let floor = format!(
        "-----BEGIN {kind} KEY-----\n{}\n-----END {kind} KEY-----\n",
        "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g",
        kind = "PRIVATE"
    );
    for (place, content) in [
        // Encoded, it does not stand there in the clear.
        (BODY, &*encoded),
        // Without quotes it would no longer be JSON.
        (
            BODY,
            r#"{"card": 4242424242424242, "type": "payment card"}"#,
        ),
        (BODY, &*floor),
        // A path or a name is not content to be changed.
        ((SurfaceKind::Path, ""), &*format!("/a/{token}")),
    ] {
        let (crossed, verdict) = Bench::new(REDACT).cross("", place, content);
        assert_eq!(crossed, None, "{content}");
        assert!(!is_allowed(&verdict), "{content}");
    }
}

#[test]
fn the_same_value_has_the_same_number_all_session_long() {
    let bench = Bench::new(REDACT);
    for (token, number) in [(TOKEN, 1), (OTHER, 2), (TOKEN, 1)] {
        let (crossed, _) = bench.cross("", BODY, &token.concat());
        assert_eq!(
            crossed.expect("it was redacted"),
            format!("<carboy:gitlab-token:{number}>"),
            "{token:?}"
        );
    }
}

#[test]
fn known_values_are_replaced_too() {
    let content = format!("my words are {PASSPHRASE}, as you asked");
    let (crossed, verdict) = Bench::new(REDACT).cross("", BODY, &content);
    assert_eq!(
        crossed.as_deref(),
        Some("my words are <carboy:known-secret:1>, as you asked")
    );
    assert!(is_allowed(&verdict), "{verdict:?}");
}

#[test]
fn nothing_is_replaced_unless_the_policy_says_so() {
    let token = TOKEN.concat();
    for (policy, is_crossing) in [
        ("version: 1\n", false),
        ("version: 1\ninspect: {personal: redact}\n", false),
        ("version: 1\nmode: audit\ninspect: {secret: redact}\n", true),
    ] {
        let (crossed, verdict) = Bench::new(policy).cross("", BODY, &token);
        assert_eq!(crossed, None, "{policy}");
        assert_eq!(is_allowed(&verdict), is_crossing, "{policy}");
    }
}

#[test]
fn a_credential_at_home_stays() {
    let policy = format!("{REDACT}  \n").replace(
        "personal: redact}",
        "personal: redact, homes: {gitlab-token: [api.example.com]}}",
    );
    let (crossed, verdict) =
        Bench::new(&policy).cross("", (SurfaceKind::Header, "private-token"), &TOKEN.concat());
    assert_eq!(crossed, None);
    assert!(is_allowed(&verdict), "{verdict:?}");
}

#[test]
fn only_values_can_be_redacted() {
    let error =
        Policy::parse("version: 1\ninspect: {injection: redact}\n", "test").expect_err("no policy");
    let shown = error.to_string();
    assert!(shown.contains("test:2:22"), "{shown}");
}
