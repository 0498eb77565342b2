//! Policy files: what they mean, and what is said about wrong ones.

use carboy_engine::{Durability, Host, Mode, Policy, Preset, TlsAction};

fn host(text: &str) -> Host {
    Host::parse(text).expect("a host")
}

fn errors(text: &str) -> String {
    Policy::parse(text, "carboy.yaml")
        .expect_err("a wrong policy")
        .to_string()
}

#[test]
fn presets_parse_and_print_what_they_are() {
    for preset in Preset::ALL {
        let policy = Policy::preset(preset);
        assert_eq!(Preset::named(preset.name()), Some(preset));
        assert_eq!(policy.mode().as_str(), preset.name());
        let again = Policy::parse(&policy.to_yaml(), "again").expect("its own YAML");
        assert_eq!(again.digest(), policy.digest(), "{}", policy.to_yaml());
        assert_eq!(again.to_yaml(), policy.to_yaml());
    }
}

#[test]
fn a_whole_file_is_read() {
    let text = r#"
version: 1
mode: strict
egress:
  allow: ["*.example.com", "example.org:8443", "[2001:db8::1]:443"]
  deny: ["bad.example.com", "203.0.113.0/24"]
  tcp: ["db.example:5432"]
  private: ["10.1.2.0/24", "host.internal:5432", "intranet.example"]
  limits:
    site: {requests_per_minute: 100, upload_per_minute: 20MiB}
    session: {download_per_minute: off}
    subdomains_per_hour: off
    url_bytes: 4096
tls:
  passthrough: ["pinned.example"]
inspect:
  secret: block
  injection: warn
  opaque: off
evidence: {durability: synced, required: true}
"#;
    let policy = Policy::parse(text, "carboy.yaml").expect("a policy");
    assert_eq!(policy.mode(), Mode::Strict);
    assert_eq!(
        policy.tls(&host("pinned.example"), 443),
        TlsAction::Passthrough
    );
    assert_eq!(
        policy.tls(&host("other.example"), 443),
        TlsAction::Intercept
    );
    assert!(policy.allows_tcp(&host("db.example"), 5432));
    assert!(!policy.allows_tcp(&host("db.example"), 5433));
    assert!(policy.allows_tcp(&host("host.internal"), 5432));
    assert!(!policy.allows_tcp(&host("host.internal"), 22));
    assert_eq!(policy.evidence().durability, Durability::Synced);
    let shown = policy.to_yaml();
    assert!(shown.contains("upload_per_minute: 20MiB"), "{shown}");
    let again = Policy::parse(&shown, "shown").expect("its own YAML");
    assert_eq!(again.digest(), policy.digest());
}

#[test]
fn the_digest_is_of_the_meaning() {
    let plain = Policy::parse("version: 1\n", "a").expect("a policy");
    let said = Policy::parse("# said\nmode: balanced\nversion: 1\n", "b").expect("a policy");
    let other = Policy::parse("version: 1\nmode: strict\n", "c").expect("a policy");
    assert_eq!(plain.digest(), said.digest());
    assert_ne!(plain.digest(), other.digest());
}

#[test]
fn wrong_files_are_explained() {
    let cases: &[(&str, &str)] = &[
        (
            "mode: strict\n",
            "the key `version` is missing; begin the file with `version: 1`",
        ),
        (
            "version: 2\n",
            "carboy.yaml:1:10: version 2 is not known; this Carboy reads `version: 1`",
        ),
        (
            "version: 1\negres: {}\n",
            "carboy.yaml:2:1: unknown key `egres`; did you mean `egress`?",
        ),
        (
            "version: 1\negress:\n  alow: []\n",
            "carboy.yaml:3:3: unknown key `alow`; did you mean `allow`?",
        ),
        (
            "version: 1\nmode: strikt\n",
            "carboy.yaml:2:7: `strikt` is not one of the choices; did you mean `strict`?",
        ),
        (
            "version: 1\nversion: 1\n",
            "carboy.yaml:2:1: the key `version` stands twice; merge the two",
        ),
        (
            "version: 1\negress: {allow: [\"*\"]}\n",
            "carboy.yaml:2:18: `*` in `egress.allow`: `*` covers every host; write `mode: balanced`",
        ),
        (
            "version: 1\negress: {allow: [\"*.com\"]}\n",
            "`*.com` covers everyone's names under the public suffix `com`; name the site",
        ),
        (
            "version: 1\negress: {allow: [\"*.co.uk\"]}\n",
            "public suffix `co.uk`",
        ),
        (
            "version: 1\negress: {allow: [\"https://a.example\"]}\n",
            "no scheme and no path; write the host alone",
        ),
        (
            "version: 1\negress: {allow: [\"a.example/x\"]}\n",
            "no scheme and no path",
        ),
        (
            "version: 1\negress: {allow: [\"a.*.example\"]}\n",
            "`*` may only be the whole first label",
        ),
        (
            "version: 1\negress: {allow: [\"a.example:0\"]}\n",
            "`0` is not a port",
        ),
        (
            "version: 1\negress: {allow: [\".example.com\"]}\n",
            "for every name below, write `*.` first",
        ),
        (
            "version: 1\negress: {private: [\"10.1.2.3/24\"]}\n",
            "`10.1.2.3/24` is not a network",
        ),
        (
            "version: 1\negress: {private: [\"10.0.0.0/33\"]}\n",
            "`10.0.0.0/33` is not a network",
        ),
        (
            "version: 1\negress: {private: [\"0.0.0.0/0\"]}\n",
            "covers every address",
        ),
        (
            "version: 1\negress: {private: [\"169.254.169.254\"]}\n",
            "cloud metadata address, which no policy can allow",
        ),
        (
            "version: 1\negress: {private: [\"host.internal\"]}\n",
            "has no port; name each service",
        ),
        (
            "version: 1\negress: {tcp: [\"db.example\"]}\n",
            "`db.example` in `egress.tcp` has no port",
        ),
        (
            "version: 1\negress: {allow: [a.example], deny: [a.example]}\n",
            "carboy.yaml:2:18: `a.example` stands in `egress.allow` and in `egress.deny`",
        ),
        (
            "version: 1\ntls: {intercept: false, passthrough: [a.example]}\n",
            "`intercept: false` passes every host through",
        ),
        (
            "version: 1\negress: {limits: {site: {requests_per_minute: 0}}}\n",
            "a whole number above zero, or `off`",
        ),
        (
            "version: 1\negress: {limits: {site: {upload_per_minute: 5 furlongs}}}\n",
            "a number of bytes such as",
        ),
        (
            "version: 1\ninspect: {homes: {nope: [a.example]}}\n",
            "there is no rule `nope`",
        ),
        (
            "version: 1\ninspect: {injection_score: {warn: 10}}\n",
            "let `warn` be 32 or more",
        ),
        (
            "version: 1\ninspect: {injection_score: {warn: 60, block: 50}}\n",
            "are no thresholds",
        ),
        ("version: 1\n---\nversion: 1\n", "carboy.yaml:"),
        ("version: [1\n", "carboy.yaml:"),
        ("", "carboy.yaml"),
    ];
    for (text, expected) in cases {
        let shown = errors(text);
        assert!(
            shown.contains(expected),
            "{text:?}\n  said {shown}\n  want {expected}"
        );
    }
}

#[test]
fn every_problem_is_told_at_once() {
    let text = "version: 1\negress:\n  allow: [\"*\", \"x y\"]\n  tcp: [db.example]\n";
    let error = Policy::parse(text, "p.yaml").expect_err("a wrong policy");
    assert_eq!(error.problems().len(), 3, "{error}");
    assert!(error.problems().iter().all(|problem| problem.line >= 3));
}

#[test]
fn the_schema_knows_every_key() {
    let schema = Policy::json_schema().to_string();
    for key in [
        "egress",
        "passthrough",
        "subdomains_per_hour",
        "exempt",
        "durability",
        "expires",
    ] {
        assert!(schema.contains(&format!("\"{key}\"")), "{key}");
    }
}

#[test]
fn warnings_are_no_errors() {
    let strict = Policy::preset(Preset::Strict);
    assert_eq!(strict.warnings(0).len(), 1);
    assert!(Policy::balanced().warnings(0).is_empty());
}
