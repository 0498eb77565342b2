//! Exit codes, signals, and what is left when a bottle is gone.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::Case;
use crate::stage::{Outcome, Stage};

pub(super) const CASES: &[Case] = &[
    ("exit_codes_are_the_command's", exit_codes),
    ("signals_reach_the_command", signals),
    ("what_the_command_leaves_behind_ends_with_it", leftovers),
    ("killing_the_launcher_kills_the_bottle", sudden_death),
    ("standard_streams_pass_through", streams),
    ("nothing_else_is_inherited", inheritance),
    ("no_privileges", privileges),
    ("the_kernel's_controls_are_out_of_reach", controls),
    ("the_launcher_is_out_of_sight", sight),
    ("debuggers_work", debuggers),
    ("scripts_without_a_shebang_run", scripts),
];

/// How long a kill may take to arrive everywhere on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    let out = child.stdout.as_mut().expect("a pipe");
    BufReader::new(out).read_line(&mut line).expect("a line");
    line
}

/// All processes below `pid`, parents before children.
pub(super) fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(pid) = open.pop() {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let children = std::fs::read_to_string(task.path().join("children"));
            let children = children.unwrap_or_default();
            let children: Vec<u32> = children.split(' ').flat_map(str::parse).collect();
            found.extend(&children);
            open.extend(&children);
        }
    }
    found
}

fn alive(pid: u32) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = state.rsplit(") ").next().unwrap_or_default();
    !state.is_empty() && !state.starts_with(['Z', 'X'])
}

fn exit_codes(stage: &Stage) {
    for code in [0, 1, 7, 255] {
        stage.shell(&format!("exit {code}")).gives(code, "");
    }
    stage.shell("kill -TERM $$").gives(143, "");
    stage.shell("kill -KILL $$").gives(137, "");
    let missing = stage.bottle(&[], &["no-such-program"]);
    missing.gives(127, "");
    assert!(
        missing
            .err
            .contains("cannot run no-such-program: No such file"),
        "{missing:?}"
    );
    stage.bottle(&[], &["/etc/passwd"]).gives(126, "");
}

fn signals(stage: &Stage) {
    for (signal, name) in [
        (Signal::INT, "INT"),
        (Signal::TERM, "TERM"),
        (Signal::HUP, "HUP"),
        (Signal::QUIT, "QUIT"),
    ] {
        let script =
            format!("trap 'echo got {name}; exit 9' {name}; echo up; while :; do sleep 0.05; done");
        let mut launcher = stage.launcher(&[], &["bash", "-c", &script]);
        let launcher = launcher.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = launcher.spawn().expect("a launcher");
        first_line(&mut child);
        let pid = Pid::from_raw(child.id() as i32).expect("a process");
        rustix::process::kill_process(pid, signal).expect("a signal");
        let outcome = Outcome::of(child.wait_with_output().expect("an end"));
        outcome.gives(9, &format!("got {name}\n"));
    }
}

fn leftovers(stage: &Stage) {
    let start = Instant::now();
    stage
        .shell("sleep 1000 & (setsid sleep 1000 &) ; echo done")
        .gives(0, "done\n");
    assert!(start.elapsed() < PATIENCE, "the sleeps were waited for");
}

fn sudden_death(stage: &Stage) {
    let script = "(setsid sleep 1000 &); sleep 1000 & echo up; wait";
    let mut launcher = stage.launcher(&[], &["bash", "-c", script]);
    let mut child = launcher.stdout(Stdio::piped()).spawn().expect("a launcher");
    first_line(&mut child);
    let inside = descendants(child.id());
    assert!(
        inside.len() >= 5,
        "init twice, the shell, two sleeps: {inside:?}"
    );
    assert!(inside.iter().all(|pid| alive(*pid)), "{inside:?}");
    child.kill().expect("a kill");
    child.wait().expect("an end");
    let deadline = Instant::now() + PATIENCE;
    while inside.iter().any(|pid| alive(*pid)) {
        assert!(Instant::now() < deadline, "still alive: {inside:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
    let left: Vec<_> = std::fs::read_dir(stage.state())
        .expect("a directory")
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

fn streams(stage: &Stage) {
    let mut launcher = stage.launcher(&[], &["sh", "-c", "cat; echo err >&2"]);
    let pipes = launcher
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("a launcher");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, b"in and out").expect("a write");
    drop(stdin);
    let outcome = Outcome::of(child.wait_with_output().expect("an end"));
    outcome.gives(0, "in and out");
    assert_eq!(outcome.err, "err\n");
}

fn inheritance(stage: &Stage) {
    let mut launcher = stage.launcher(
        &[],
        &[
            "sh",
            "-c",
            "ls /proc/self/fd | wc -l; env | cut -d= -f1 | grep -c -e SECRET -e AWS_ACCESS",
        ],
    );
    launcher
        .env("SECRET_TOKEN", "hunter2")
        .env("AWS_ACCESS_KEY_ID", "x");
    // The three streams, and the one that `ls` opens.
    Outcome::of(launcher.output().expect("an end")).gives(1, "4\n0\n");
}

fn privileges(stage: &Stage) {
    let outcome = stage.shell(
        "grep -E '^(Cap(Inh|Prm|Eff|Bnd|Amb)|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'",
    );
    let none = "0000000000000000";
    outcome.gives(
        0,
        &format!(
            "CapInh:{none}\nCapPrm:{none}\nCapEff:{none}\nCapBnd:{none}\nCapAmb:{none}\n\
             NoNewPrivs:1\nSeccomp:2\n"
        ),
    );
    for attempt in [
        "unshare -U true",
        "unshare -r true",
        "unshare -n true",
        "mount -t tmpfs none /tmp",
        "umount /proc",
        "mknod /tmp/null c 1 3",
        "chroot / true",
        "nsenter -t 1 -m true",
    ] {
        let outcome = stage.shell(&format!("{attempt} 2>/dev/null && echo did it"));
        assert_ne!(outcome.code, Some(0), "{attempt}: {outcome:?}");
        assert_eq!(outcome.out, "", "{attempt}: {outcome:?}");
    }
}

fn controls(stage: &Stage) {
    let script = "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/vm/drop_caches \
        /proc/sys/net/ipv4/ip_forward; do echo x 2>/dev/null >$f && echo wrote $f; done; \
        cat /proc/kcore /proc/kmsg /proc/keys /proc/kpagecount 2>/dev/null | head -c1; \
        find /proc -maxdepth 1 -type f -perm /222 -exec sh -c ': 2>/dev/null >>$0 && echo opened $0' {} \\;; ls /sys/kernel /sys/fs /sys/class 2>/dev/null";
    let outcome = stage.shell(script);
    assert_eq!(outcome.out, "", "{outcome:?}");
}

fn sight(stage: &Stage) {
    let outcome = stage.shell("echo /proc/[0-9]*; cat /proc/1/environ /proc/1/maps /proc/1/fd/* 2>/dev/null | head -c1; kill -9 1 2>/dev/null; echo $$");
    // Killing process 1 from inside does nothing.
    outcome.gives(0, "/proc/1 /proc/2\n2\n");
}

fn debuggers(stage: &Stage) {
    let outcome = stage.shell("command -v strace >/dev/null || { echo none; exit; }; strace -o /dev/null true && echo traced");
    match outcome.out.as_str() {
        "none\n" => println!("skipped: strace is not installed"),
        _ => outcome.gives(0, "traced\n"),
    }
}

fn scripts(stage: &Stage) {
    let path = stage.workspace().join("script");
    std::fs::write(&path, "echo ran $1\n").expect("a file");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .expect("permissions");
    stage.bottle(&[], &["./script", "it"]).gives(0, "ran it\n");
}
