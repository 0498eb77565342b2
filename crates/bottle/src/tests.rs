//! Planning is pure: each case is facts and a request in, a plan or a refusal out.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use carboy_sandbox::Mount;

use crate::{
    Error, HostFacts, Plan, SearchDir, Spec, Variable, Workspace, WorkspaceMode, environment, plan,
    toolchains, trust,
};

fn facts() -> HostFacts {
    HostFacts {
        home: "/home/ann".into(),
        system_dirs: vec!["/usr".into()],
        root_links: vec![
            ("/bin".into(), "usr/bin".into()),
            ("/srv".into(), "var/srv".into()),
        ],
        private_etc: vec!["shadow".into()],
        bundles: vec!["ssl/certs/ca-certificates.crt".into()],
        secrets: vec![
            ("/home/ann/.ssh".into(), true),
            ("/home/ann/.netrc".into(), false),
        ],
        ..HostFacts::default()
    }
}

fn spec(mode: WorkspaceMode, dir: &str, named: bool) -> Spec {
    Spec {
        name: "amber-1".into(),
        command: vec!["make".into(), "test".into()],
        workspace: Workspace {
            mode,
            dir: dir.into(),
            named,
        },
        env: BTreeMap::from([("TOKEN".into(), "hunter2".into())]),
        ca_certificate_pem: b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
            .into(),
        state_dir: "/home/ann/.local/state/carboy".into(),
        read_only: Vec::new(),
        read_write: Vec::new(),
        best_effort: false,
    }
}

fn work() -> Spec {
    spec(WorkspaceMode::Bind, "/home/ann/project", false)
}

fn planned(spec: &Spec) -> Plan {
    plan(spec, &facts()).unwrap()
}

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
    pairs
        .iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

#[test]
fn a_plan_prints_without_values_of_the_environment() {
    let plan = planned(&work());
    for text in [
        plan.to_string(),
        serde_json::to_string(&plan).unwrap(),
        format!("{plan:?}"),
    ] {
        assert!(text.contains("TOKEN"), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(!format!("{:?}", work()).contains("hunter2"));
}

#[test]
fn a_plan_prints_what_will_be_done() {
    let text = planned(&spec(WorkspaceMode::Overlay, "/home/ann/project", false)).to_string();
    for line in [
        "bottle       amber-1",
        "command      make test",
        "directory    /home/ann/project",
        "changes      /home/ann/.local/state/carboy/workspaces/amber-1/upper",
        "files        /bin link to usr/bin",
        "             /usr read-only",
        "             /etc read-only, 4 files replaced, 1 hidden",
        "             /home/ann private, in memory",
        "network      127.0.0.0/8 and ::1: the bottle's own",
        "environment  TOKEN",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    let json = serde_json::to_value(planned(&work())).unwrap();
    assert_eq!(json["workspace"], "bind");
    assert_eq!(json["command"], serde_json::json!(["make", "test"]));
}

#[test]
fn links_of_the_root_are_not_covered_by_directories() {
    let mounts = planned(&work()).confinement.mounts;
    let srv = |mount: &&Mount| matches!(mount, Mount::Directory { target, .. } if target == Path::new("/srv"));
    assert!(!mounts.iter().any(|mount| srv(&mount)));
}

#[test]
fn workspaces_that_hold_too_much_are_refused() {
    for (dir, named) in [
        ("/", false),
        ("/home/ann", false),
        ("/home", false),
        ("/home/ann/.ssh", true),
        ("/home/ann/.config/gh", true),
        ("/home/ann/.local/state/carboy/receipts", true),
        ("/etc/ssl", true),
        ("/proc/1", true),
        ("/usr", true),
        ("/tmp", true),
        ("relative", true),
    ] {
        for mode in [WorkspaceMode::Bind, WorkspaceMode::Overlay] {
            let refused = plan(&spec(mode, dir, named), &facts());
            assert!(
                matches!(refused, Err(Error::Workspace { .. })),
                "{dir}: {refused:?}"
            );
        }
        plan(&spec(WorkspaceMode::None, dir, named), &facts()).unwrap();
    }
    for dir in [
        "/home/ann/project",
        "/tmp/x",
        "/usr/src/x",
        "/var/lib/x",
        "/home/ann/sshd",
    ] {
        plan(&spec(WorkspaceMode::Bind, dir, false), &facts()).unwrap();
    }
}

fn covered(plan: &Plan) -> Vec<PathBuf> {
    let target = |mount: &Mount| match mount {
        Mount::Tmpfs { target, .. } => Some(target.clone()),
        Mount::Bind { source, target, .. } if source == Path::new("/dev/null") => {
            Some(target.clone()).filter(|target| target != source)
        }
        _ => None,
    };
    let mounts = &plan.confinement.mounts;
    let shown = mounts.iter().position(|mount| {
        matches!(
            mount,
            Mount::Bind {
                writable: true,
                devices: false,
                ..
            }
        )
    });
    mounts[shown.unwrap()..].iter().filter_map(target).collect()
}

#[test]
fn a_named_workspace_shows_neither_credentials_nor_state() {
    let home = planned(&spec(WorkspaceMode::Bind, "/home/ann", true));
    let expected = [
        "/home/ann/.ssh",
        "/home/ann/.netrc",
        "/home/ann/.local/state/carboy",
    ];
    assert_eq!(covered(&home), expected.map(PathBuf::from));
    let all = planned(&spec(WorkspaceMode::Bind, "/", true));
    assert_eq!(all.directory(), Path::new("/workspace"));
    let places = covered(&all);
    for place in [
        "/workspace/home/ann/.ssh",
        "/workspace/proc",
        "/workspace/run",
    ] {
        assert!(places.contains(&place.into()), "{place}: {places:?}");
    }
    assert_eq!(covered(&planned(&work())), Vec::<PathBuf>::new());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let with = |change: fn(&mut Spec)| {
        let mut spec = work();
        change(&mut spec);
        plan(&spec, &facts()).unwrap_err().to_string()
    };
    assert!(with(|spec| spec.command.clear()).contains("no command"));
    assert!(with(|spec| spec.name = "two words".into()).contains("`two words`"));
    assert!(with(|spec| spec.name = "-x".into()).contains("bottle name"));
    assert!(with(|spec| spec.ca_certificate_pem = b"x".into()).contains("not PEM"));
    assert!(with(|spec| spec.read_only.push("x".into())).contains("absolute"));
    assert!(with(|spec| spec.read_write.push("/home/ann/.local".into())).contains("state"));
    assert!(with(|spec| spec.read_only.push("/run/docker.sock".into())).contains("its own"));
}

#[test]
fn the_environment_is_a_short_allowlist() {
    let host = vars(&[
        ("PATH", "/opt/x/bin"),
        ("HOME", "/home/ann"),
        ("LC_ALL", "C"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("SSH_AUTH_SOCK", "/run/x"),
        ("HTTP_PROXY", "http://elsewhere"),
        ("LD_PRELOAD", "x.so"),
        ("EXTRA", "passed"),
    ]);
    let asked = ["EXTRA", "GIVEN=a=b", "EMPTY="].map(|text| text.parse().unwrap());
    let env = environment(&host, &asked).unwrap();
    let value = |name: &str| env.get(OsStr::new(name)).and_then(|value| value.to_str());
    assert_eq!(value("PATH"), Some("/opt/x/bin"));
    assert_eq!(value("LC_ALL"), Some("C"));
    assert_eq!(value("EXTRA"), Some("passed"));
    assert_eq!(value("GIVEN"), Some("a=b"));
    assert_eq!(value("EMPTY"), Some(""));
    assert_eq!(value("HTTP_PROXY"), Some("http://127.0.0.1:3128"));
    assert_eq!(
        value("CARGO_HTTP_CAINFO"),
        Some("/run/carboy/ca-bundle.pem")
    );
    for name in ["AWS_SECRET_ACCESS_KEY", "SSH_AUTH_SOCK", "LD_PRELOAD"] {
        assert_eq!(value(name), None, "{name}");
    }
}

#[test]
fn variables_are_checked_and_their_values_not_repeated() {
    for text in ["", "=x", "1A=secret", "A B=secret", "A-B=secret"] {
        let error = text.parse::<Variable>().unwrap_err().to_string();
        assert!(error.contains("NAME=VALUE"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let missing = environment(&vars(&[]), &["GONE".parse().unwrap()]).unwrap_err();
    assert!(missing.to_string().contains("GONE=VALUE"), "{missing}");
    let shown: Variable = "A=secret".parse().unwrap();
    assert!(!format!("{shown:?}").contains("secret"));
}

fn wanted(dirs: &[(&str, &[&str])]) -> Vec<PathBuf> {
    let search: Vec<SearchDir> = dirs
        .iter()
        .map(|(dir, targets)| SearchDir {
            dir: dir.into(),
            real: dir.into(),
            targets: targets.iter().map(PathBuf::from).collect(),
        })
        .collect();
    toolchains::wanted(Path::new("/home/ann"), &search)
}

#[test]
fn tools_bring_what_they_need_and_no_credentials() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "/home/ann/.cargo/bin",
            &[],
            &["/home/ann/.cargo/bin", "/home/ann/.rustup"],
        ),
        ("/home/ann/.pyenv/shims", &[], &["/home/ann/.pyenv"]),
        (
            "/home/ann/bin",
            &["/home/ann/project/x.sh"],
            &["/home/ann/bin", "/home/ann/project/x.sh"],
        ),
        (
            "/home/ann/.local/bin",
            &[
                "/home/ann/.local/share/claude/versions/2",
                "/usr/bin/python3",
            ],
            &[
                "/home/ann/.local/bin",
                "/home/ann/.local/lib",
                "/home/ann/.local/share/claude",
            ],
        ),
        ("/home/ann/.config/x/bin", &[], &[]),
        ("/home/ann", &[], &[]),
        ("/home", &[], &[]),
        ("/", &[], &[]),
        ("/usr/bin", &["/home/ann/.ssh/id"], &[]),
        ("/srv/tools/bin", &[], &["/srv/tools/bin"]),
        ("/snap/bin", &[], &["/snap"]),
    ];
    for (dir, targets, expected) in cases {
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(wanted(&[(dir, targets)]), expected, "{dir}");
    }
}

#[test]
fn of_nested_tools_only_the_outermost_is_shown() {
    let found = wanted(&[("/srv/a/bin", &["/srv/a/bin/deep/x"]), ("/srv/a", &[])]);
    assert_eq!(found, [PathBuf::from("/srv/a")]);
}

#[test]
fn only_whole_certificates_are_kept() {
    let pem = "junk\n-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\nMAMCAQ==\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n\
        -----BEGIN CERTIFICATE-----\nMAA=\n";
    let found = trust::certificates(pem.as_bytes());
    assert_eq!(found, [vec![0x30, 3, 2, 1, 5], vec![0x30, 0]]);
    let bundle = trust::bundle(b"one", b"two\n");
    assert_eq!(bundle, b"one\ntwo\n");
}

#[test]
fn bundles_are_named_by_the_directory_they_are_in() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    std::fs::create_dir_all(root.join("pki/certs")).unwrap();
    std::fs::create_dir_all(root.join("own")).unwrap();
    for file in ["pki/certs/bundle.crt", "own/real.pem"] {
        std::fs::write(root.join(file), "").unwrap();
    }
    symlink("pki", root.join("ssl")).unwrap();
    symlink("/usr", root.join("out")).unwrap();
    symlink("real.pem", root.join("own/link.pem")).unwrap();
    let names = [
        "ssl/certs/bundle.crt",
        "pki/certs/bundle.crt",
        "own/link.pem",
        "out/bin",
        "gone",
    ];
    let found = crate::host::existing_below(&root, &names);
    assert_eq!(
        found,
        ["out/bin", "own/link.pem", "pki/certs/bundle.crt"].map(PathBuf::from)
    );
}

#[test]
fn settings_that_not_everyone_may_read_are_hidden_wherever_they_are() {
    let host = HostFacts {
        private_usr: vec![("/usr/local/etc".into(), vec!["backup.key".into()])],
        ..facts()
    };
    let plan = plan(&work(), &host).unwrap();
    let hidden = plan
        .confinement
        .mounts
        .iter()
        .filter_map(|mount| match mount {
            Mount::Layered {
                directory, hidden, ..
            } => Some(directory.join(&hidden[0])),
            _ => None,
        });
    let hidden: Vec<_> = hidden.collect();
    assert_eq!(
        hidden,
        [
            PathBuf::from("/etc/shadow"),
            PathBuf::from("/usr/local/etc/backup.key")
        ]
    );
}
