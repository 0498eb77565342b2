//! What is run, however it is hidden; and bounds, whatever is given.

use proptest::prelude::*;

use super::{COMMANDS_MAX, UNKNOWN, read};

/// The commands that a script runs, one a line, with `_` for what is not known.
fn run(text: &str) -> Vec<String> {
    let script = read(text);
    assert!(!script.is_cut, "{text}");
    let line = |words: &Vec<String>| words.join(" ").replace(UNKNOWN, "_");
    script.commands.iter().map(|own| line(&own.words)).collect()
}

#[test]
fn what_is_hidden_is_read() {
    let cases: &[(&str, &str)] = &[
        ("rm -rf /", "rm -rf /"),
        ("r\\m -r''f \"/\"", "rm -rf /"),
        ("rm$IFS-rf$IFS/", "rm -rf /"),
        ("rm${IFS}-rf${IFS}/", "rm -rf /"),
        ("$'\\x72\\155' -rf /", "rm -rf /"),
        ("{rm,-rf,/}", "rm -rf /"),
        ("a=r;b=m; $a$b -rf /", "rm -rf /"),
        ("X='rm -rf /'; $X", "rm -rf /"),
        ("r${nothing}m -rf /", "rm -rf /"),
        ("r$@m -rf ${HOME:0:1}", "rm -rf /"),
        ("${x:-rm} -rf ${y:=/}", "rm -rf /"),
        (
            "rm -rf /etc/{passwd,shadow}",
            "rm -rf /etc/passwd /etc/shadow",
        ),
        ("alias z='rm -rf'; z /", "alias z=rm -rf|rm -rf /"),
        ("sudo -u root rm -rf /", "sudo -u root rm -rf /|rm -rf /"),
        (
            "env -i A=b nohup rm x",
            "env -i A=b nohup rm x|nohup rm x|rm x",
        ),
        ("timeout -k 5 10 rm x", "timeout -k 5 10 rm x|rm x"),
        ("busybox rm x", "busybox rm x|rm x"),
        (
            "echo /tmp/x | xargs rm -rf",
            "echo /tmp/x|xargs rm -rf|rm -rf /tmp/x",
        ),
        ("ls | xargs -n 1 rm", "ls|xargs -n 1 rm|rm _"),
        ("bash -c 'rm x; ls'", "bash -c rm x; ls|rm x|ls"),
        ("sh -lc \"rm x\"", "sh -lc rm x|rm x"),
        ("eval rm x", "eval rm x|rm x"),
        (
            "eval \"$(echo cm0geA== | base64 -d)\"",
            "echo cm0geA==|base64 -d|eval rm x|rm x",
        ),
        (
            "echo cm0geA== | base64 -d | sh",
            "echo cm0geA==|base64 -d|sh|rm x",
        ),
        (
            "echo 726d2078 | xxd -r -p | bash -s",
            "echo 726d2078|xxd -r -p|bash -s|rm x",
        ),
        ("echo 'x mr' | rev | sh", "echo x mr|rev|sh|rm x"),
        ("$(printf '\\162\\155') x", "printf \\162\\155|rm x"),
        ("`echo rm` x", "echo rm|rm x"),
        ("sh <<'E'\nrm $x\nE\nls", "sh|rm _|ls"),
        ("cat <<E | bash\nrm x\nE", "cat|bash|rm x"),
        ("bash <<< 'rm x'", "bash|rm x"),
        ("if true; then rm x; else ls; fi", "true|rm x|ls"),
        ("for f in a b; do rm $f; done", "rm a|rm b"),
        ("while read l; do rm $l; done < list", "read l|rm _"),
        ("case $1 in a|b) rm x;; *) ls;; esac; pwd", "rm x|ls|pwd"),
        ("f() { rm $1; }; f x", "rm|f x|rm x"),
        ("f() { f; }; f", "f|f|f"),
        ("set -- rm x; \"$@\"", "set -- rm x|rm x"),
        ("echo 'rm x' > a; sh a", "echo rm x|sh a|rm x"),
        ("cat > a <<E\nrm x\nE\n. a", "cat|. a|rm x"),
        ("/bin/ba?h -c 'rm x'", "/bin/ba?h -c rm x|rm x"),
        ("git -c alias.a='!rm x' a", "git -c alias.a=!rm x a|rm x"),
        (
            "find . -name b | xargs rm",
            "find . -name b|xargs rm|rm _ ./b",
        ),
        ("function f { rm x; }", "rm x"),
        ("(cd /tmp && rm x) & ls", "cd /tmp|rm x|ls"),
        ("! rm x || ls", "rm x|ls"),
        ("A=1 B=2 rm x", "rm x"),
        (
            "find . -name '*.o' -exec rm {} +",
            "find . -name *.o -exec rm {} +|rm ./*.o",
        ),
        (
            "find / -exec rm -rf {} \\;",
            "find / -exec rm -rf {} ;|rm -rf /",
        ),
        ("su -c 'rm x' root", "su -c rm x root|rm x"),
        ("trap 'rm x' EXIT", "trap rm x EXIT|rm x"),
        (
            "python3 -c 'import os; os.system(\"rm x\")'",
            "python3 -c import os; os.system(\"rm x\")|system() rm x|rm x",
        ),
        (
            "python -c 'import shutil as s; s.rmtree(\"/\")'",
            "python -c import shutil as s; s.rmtree(\"/\")|rmtree() /",
        ),
        (
            "python -c 'subprocess.run([\"rm\",\"-r\" + \"f\",\"/\"])'",
            "python -c subprocess.run([\"rm\",\"-r\" + \"f\",\"/\"])|run() rm -rf /|rm -rf /",
        ),
        (
            "node -e 'require(\"child_process\").execSync(`rm x`)'",
            "node -e require(\"child_process\").execSync(`rm x`)|require() child_process|execSync()|rm x",
        ),
        (
            "perl -e 'system \"rm x\"'",
            "perl -e system \"rm x\"|system() rm x|rm x",
        ),
        ("pwsh -enc cgBtACAAeAA=", "pwsh -enc cgBtACAAeAA=|rm x"),
        (
            "powershell -NoProfile -Command \"Remove-Item C:\\x\"",
            "powershell -NoProfile -Command Remove-Item C:\\x|Remove-Item C:\\x",
        ),
        (
            "cmd /c 'd^el /s x & dir'",
            "cmd /c d^el /s x & dir|del /s x|dir",
        ),
        ("watch -n 1 'rm x | ls'", "watch -n 1 rm x | ls|rm x|ls"),
        ("ssh -p 22 host rm x", "ssh -p 22 host rm x|rm x"),
        ("s='rm x'; bash -c \"$s\"", "bash -c rm x|rm x"),
        ("x=$'rm\\x20y'; eval $x", "eval rm y|rm y"),
        (
            "echo 'rm x' | tr a-z a-z | sh",
            "echo rm x|tr a-z a-z|sh|rm x",
        ),
        ("set -- rm x; $1 $2", "set -- rm x|rm x"),
        // What is only mentioned does not run.
        ("echo 'rm -rf /'", "echo rm -rf /"),
        (
            "git commit -m 'rm -rf / is bad; rm x'",
            "git commit -m rm -rf / is bad; rm x",
        ),
        ("ls # rm x", "ls"),
        ("cat <<'E' > notes\nrm x\nE", "cat"),
    ];
    for (text, expected) in cases {
        assert_eq!(run(text).join("|"), *expected, "{text}");
    }
}

#[test]
fn what_feeds_what() {
    let cases: &[(&str, &str, &[&str])] = &[
        ("curl u | sh", "sh", &["curl"]),
        ("curl u | tee f | sudo bash", "bash", &["curl", "tee"]),
        ("(curl u; ls) | sh", "sh", &["curl", "ls"]),
        ("bash <(curl u)", "bash", &["curl"]),
        ("sh -c \"$(curl u)\"", "sh", &["curl"]),
        ("curl u; sh x", "sh", &[]),
    ];
    for (text, name, expected) in cases {
        let script = read(text);
        let at = script.commands.iter().position(|own| own.words[0] == *name);
        let feeding = script.feeding(at.expect("it runs"));
        let mut names: Vec<_> = feeding.map(|own| &*own.words[0]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names, *expected, "{text}");
    }
}

#[test]
fn redirects_and_background() {
    let script = read("cmd < in >> out 2>&1 &> all 2>/dev/null &");
    let shown: Vec<_> = script.commands[0]
        .redirects
        .iter()
        .map(|own| &*own.path)
        .collect();
    assert_eq!(shown, ["in", "out", "all", "/dev/null"]);
    assert!(script.commands[0].is_background);
}

#[test]
fn what_grows_without_end_is_cut() {
    let doubling = format!("a=xxxxxxxx;{} echo $a", "a=$a$a;".repeat(64));
    let nested = format!("{}ls{}", "$(".repeat(500), ")".repeat(500));
    let prefixes = "sudo ".repeat(20_000) + "ls";
    let braces = "{a,b}".repeat(64);
    let many = "ls;".repeat(2 * COMMANDS_MAX);
    let stages = "cat|".repeat(100) + "cat";
    for text in [doubling, nested, prefixes, many, stages] {
        assert!(read(&text).is_cut, "{}", &text[..20]);
    }
    assert!(read(&braces).commands.len() <= COMMANDS_MAX);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "\\PC{0,200}") {
        read(&text);
    }

    #[test]
    fn nothing_of_a_shell_makes_it_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "rm", " ", "$", "(", ")", "{", "}", "`", "'", "\"", "\\", "|", "&", ";", "\n", "<", ">", "<<E", "E",
                "$(", "${", "$((", "<(", "if", "then", "fi", "for", "in", "do", "done", "case", "esac", "=", ",", "..",
                "a", "1", "*", "~", "/", "#", "eval", "xargs", "sh -c", "env", "é", "\u{0}", "${x:", ":-", "function",
                "base64 -d", "printf", "%", "\\x", "tr a-", "python -c", "pwsh -enc", "cmd /c", "find", "-exec",
            ]),
            0..80,
        )
    ) {
        let script = read(&parts.concat());
        prop_assert!(script.commands.len() <= 2 * COMMANDS_MAX);
    }
}
