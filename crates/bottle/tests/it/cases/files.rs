//! What the command sees of the machine's files, and what it can change.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::Case;
use crate::stage::Stage;

pub(super) const CASES: &[Case] = &[
    ("the_workspace_is_writable", workspace),
    ("the_rest_is_read_only", read_only),
    ("the_home_is_empty_and_private", home),
    ("others'_secrets_in_etc_are_hidden", etc),
    ("private_places_are_writable_and_vanish", private),
    ("an_overlay_keeps_changes_aside", overlay),
    ("an_unchanged_overlay_leaves_nothing", overlay_unchanged),
    ("without_a_workspace_it_is_not_there", none),
    ("carboy's_state_is_masked", state),
    ("refused_workspaces", refused),
    ("a_named_home_shows_no_credentials", named_home),
    ("a_toolchain_rebuilds_its_starters_and_no_other", starters),
    ("a_named_root_leads_nowhere", named_root),
    ("devices_are_few_and_work", devices),
    ("the_trust_store_holds_the_bottle's_certificate", trust),
    ("clients_read_the_trust_store", readers),
    ("host_sockets_are_out_of_reach", sockets),
];

fn workspace(stage: &Stage) {
    fs::write(stage.workspace().join("before"), "host").expect("a file");
    stage
        .shell("pwd >here; cat before; mkdir -p a/b && mv here a/b/ && ln a/b/here a/link")
        .gives(0, "host");
    let here = fs::read_to_string(stage.workspace().join("a/b/here")).expect("a file");
    assert_eq!(Path::new(here.trim()), stage.workspace());
    assert!(stage.workspace().join("a/link").exists());
}

fn read_only(stage: &Stage) {
    let script = "for d in / /usr /usr/bin /etc /etc/ssl /var /opt /sys /proc /var/lib; do \
        touch $d/carboy-test 2>/dev/null && echo wrote $d; done; \
        echo x 2>/dev/null >>/etc/passwd && echo wrote passwd; \
        rm -f /usr/bin/env 2>/dev/null && echo removed; true";
    stage.shell(script).gives(0, "");
}

fn home(stage: &Stage) {
    for dir in [".ssh", ".aws", ".config/gh"] {
        fs::create_dir_all(stage.home().join(dir)).expect("a directory");
        fs::write(stage.home().join(dir).join("key"), "secret").expect("a file");
    }
    let outcome = stage
        .shell("cd; pwd; ls -A; stat -c %a .; mkdir .ssh && echo mine >.ssh/key && cat .ssh/key");
    outcome.gives(0, &format!("{}\n700\nmine\n", stage.home().display()));
    let kept = fs::read_to_string(stage.home().join(".ssh/key")).expect("a file");
    assert_eq!(kept, "secret");
}

fn etc(stage: &Stage) {
    let outcome = stage.shell("ls /etc/shadow /etc/gshadow /etc/ssl/private /etc/sudoers 2>/dev/null; cat /etc/shadow 2>/dev/null; find /etc ! -perm -o=r ! -type l 2>/dev/null; true");
    outcome.gives(0, "");
    stage
        .shell("test -r /etc/passwd && test -r /etc/ld.so.cache")
        .gives(0, "");
}

fn private(stage: &Stage) {
    let name = format!("carboy-test-{}", std::process::id());
    let script = format!(
        "for d in /tmp /var/tmp /run /dev/shm ~; do echo x >$d/{name} || exit 1; done; ls /tmp | wc -l"
    );
    let outcome = stage.shell(&script);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for dir in ["/tmp", "/var/tmp", "/run", "/dev/shm"] {
        assert!(!Path::new(dir).join(&name).exists(), "{dir}");
    }
}

fn overlay(stage: &Stage) {
    stage.write(&stage.workspace().join("kept"), "host");
    stage.write(&stage.workspace().join("gone"), "host");
    let outcome = stage.bottle(
        &["--overlay"],
        &[
            "sh",
            "-c",
            "echo new >kept; rm gone; mkdir d; mv kept d/; cat d/kept; ls",
        ],
    );
    outcome.gives(0, "new\nd\n");
    let upper = stage.state().join("workspaces/test/upper");
    assert_eq!(outcome.err, format!("upper: {}\n", upper.display()));
    assert_eq!(
        fs::read_to_string(upper.join("d/kept")).expect("a file"),
        "new\n"
    );
    assert_eq!(
        fs::read_to_string(stage.workspace().join("kept")).expect("a file"),
        "host"
    );
    assert!(stage.workspace().join("gone").exists());
}

fn overlay_unchanged(stage: &Stage) {
    stage.bottle(&["--overlay"], &["true"]).gives(0, "");
    assert!(!stage.state().join("workspaces/test").exists());
}

fn none(stage: &Stage) {
    let script = format!("pwd; ls {} 2>/dev/null", stage.workspace().display());
    let outcome = stage.bottle(&["--none"], &["sh", "-c", &script]);
    outcome.gives(2, &format!("{}\n", stage.home().display()));
}

fn state(stage: &Stage) {
    let state = stage.workspace().join("state");
    fs::create_dir(&state).expect("a directory");
    fs::write(state.join("receipts"), "signed").expect("a file");
    let flags = ["--state", state.to_str().expect("a plain name")];
    let outcome = stage.bottle(
        &flags,
        &[
            "sh",
            "-c",
            "ls -A state; echo forged >state/receipts; cat state/receipts",
        ],
    );
    assert_eq!(outcome.out, "forged\n", "{outcome:?}");
    assert_eq!(
        fs::read_to_string(state.join("receipts")).expect("a file"),
        "signed"
    );
}

fn refused(stage: &Stage) {
    fs::create_dir(stage.home().join(".ssh")).expect("a directory");
    for (dir, named, reason) in [
        (stage.home(), false, "the whole home directory is in it"),
        (
            stage.home().join(".ssh"),
            true,
            "credentials are kept there",
        ),
        ("/".into(), false, "it is the whole machine"),
        ("/etc".into(), true, "it belongs to the system"),
        ("/tmp".into(), true, "everybody's files are in it"),
        (stage.state(), true, "carboy keeps its own state there"),
    ] {
        let flags: &[&str] = if named { &["--named"] } else { &[] };
        let mut launcher = stage.launcher(flags, &["true"]);
        let outcome =
            crate::stage::Outcome::of(launcher.current_dir(&dir).output().expect("an end"));
        assert_eq!(outcome.code, Some(125), "{}: {outcome:?}", dir.display());
        assert!(
            outcome.err.contains(reason),
            "{}: {outcome:?}",
            dir.display()
        );
    }
}

fn starters(stage: &Stage) {
    let pyenv = stage.home().join(".pyenv");
    let shims = pyenv.join("shims");
    for dir in [&shims, &pyenv.join("bin")] {
        fs::create_dir_all(dir).expect("a directory");
        let tool = dir.join("tool");
        fs::write(&tool, "#!/bin/sh\necho started\n").expect("a file");
        fs::set_permissions(&tool, PermissionsExt::from_mode(0o755)).expect("a mode");
    }
    let script = "tool && cd ~/.pyenv/shims && test -w . && echo x >.new && ln .new other && rm tool && ls && \
                  ! { echo x >../bin/tool; } 2>/dev/null && ! { echo x >../new; } 2>/dev/null && echo kept";
    let mut launcher = stage.launcher(&[], &["bash", "-c", script]);
    let path = format!("{}:/usr/bin:/bin", shims.display());
    let outcome = launcher.env("PATH", path).output().expect("an end");
    let said = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert_eq!(said, "started\nother\nkept\n", "{outcome:?}");
    let names: Vec<_> = fs::read_dir(&shims)
        .expect("the host's own")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["tool"]);
}

fn named_home(stage: &Stage) {
    fs::create_dir(stage.home().join(".ssh")).expect("a directory");
    fs::write(stage.home().join(".ssh/id"), "secret").expect("a file");
    fs::write(stage.home().join(".netrc"), "secret").expect("a file");
    fs::write(stage.home().join("notes"), "notes").expect("a file");
    let mut launcher = stage.launcher(&["--named"], &["sh", "-c", "ls -A .ssh; cat .netrc notes"]);
    let outcome = launcher.current_dir(stage.home()).output().expect("an end");
    crate::stage::Outcome::of(outcome).gives(0, "notes");
}

fn named_root(stage: &Stage) {
    let state = stage.state();
    stage.write(&state.join("receipts"), "signed");
    let script = format!(
        "pwd; cd /workspace; ls -A proc sys dev run .{} | grep -v -e : -e ^$; test -d usr",
        state.display()
    );
    let mut launcher = stage.launcher(&["--named"], &["sh", "-c", &script]);
    let outcome = launcher.current_dir("/").output().expect("an end");
    crate::stage::Outcome::of(outcome).gives(0, "/workspace\n");
}

fn devices(stage: &Stage) {
    let script = "echo gone >/dev/null; head -c4 /dev/zero | od -An -tx1; head -c1 /dev/urandom | wc -c; \
        echo hi | cat /dev/stdin; ls /dev/kmsg /dev/mem /dev/sda /dev/vda /dev/kvm /dev/fuse /dev/net 2>/dev/null; true";
    stage.shell(script).gives(0, " 00 00 00 00\n1\nhi\n");
}

fn trust(stage: &Stage) {
    let script = "for f in \"$SSL_CERT_FILE\" /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do \
        if [ -e \"$f\" ]; then grep -c MIIBnDCCAUGgAwIBAgIUfMI0rfZ/6ofKFVnkpwtLHUkzixgwCgYIKoZIzj0EAwIw \"$f\"; fi; done | sort -u; ls \"$SSL_CERT_DIR\"";
    stage.shell(script).gives(0, "1\ncarboy-ca.pem\n");
}

/// Python, Java and Node reading the store their own way, where they are installed.
fn readers(stage: &Stage) {
    let name = "Carboy test certificate";
    for (program, script) in [
        (
            "python3",
            "python3 -c 'import ssl; print(ssl.create_default_context().get_ca_certs())'",
        ),
        (
            "keytool",
            "keytool -list -v -keystore /run/carboy/cacerts.jks -storepass changeit",
        ),
        ("keytool", "keytool -list -v -cacerts -storepass changeit"),
        (
            "openssl",
            "openssl storeutl -noout -text -certs $SSL_CERT_FILE",
        ),
    ] {
        let script =
            format!("command -v {program} >/dev/null || exit 99; {script} 2>&1 | grep -c '{name}'");
        let outcome = stage.shell(&script);
        match outcome.code {
            Some(99) => println!("skipped: {program} is not installed"),
            code => assert_eq!(code, Some(0), "{program}: {outcome:?}"),
        }
    }
}

/// An abstract socket and a socket file of the host, both listening.
fn sockets(stage: &Stage) {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let name = format!("carboy-test-{}", std::process::id());
    let abstract_name = SocketAddr::from_abstract_name(&name).expect("a name");
    let held = UnixListener::bind_addr(&abstract_name);
    let path = stage.home().join("agent.sock");
    let listener = UnixListener::bind(&path).expect("a socket");
    let script = format!(
        "ls {} 2>/dev/null; grep -c {name} /proc/net/unix",
        path.display()
    );
    stage.shell(&script).gives(1, "0\n");
    drop((held, listener));
}
