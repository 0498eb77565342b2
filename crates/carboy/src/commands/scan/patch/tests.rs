use super::{Event, read};

/// What a patch adds, a line an event.
fn told(patch: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut handler = |event: Event<'_>| {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        out.push_str(&match event {
            Event::Commit(commit) => format!("C {} {} {}\n", commit.id, commit.date, commit.author),
            Event::Message(part) => format!("M {:?}\n", text(part)),
            Event::File { path, blob } => format!("F {path} {}\n", blob.unwrap_or("-")),
            Event::Hunk { line, above } => format!("H {line} {}\n", text(above)),
            Event::Added(part) => format!("+ {:?}\n", text(part)),
            Event::Hidden => "hidden\n".into(),
        });
        Ok(())
    };
    match read(patch.as_bytes(), &mut handler) {
        Ok(()) => Ok(out),
        Err(error) => Err(format!("{error:#}")),
    }
}

#[track_caller]
fn check(patch: &str, expected: &str) {
    assert_eq!(told(patch).as_deref(), Ok(expected), "{patch}");
}

#[test]
fn added_lines_are_told_with_their_places() {
    check(
        "diff --git a/x y.c b/x y.c\nindex 1111..2222 100644\n--- a/x y.c\t\n+++ b/x y.c\t\n\
         @@ -3,3 +3,4 @@ fn\n ctx\n-old\n+new\n+++ more\n ctx\n@@ -9 +11 @@\n-a\n+b\n",
        "F x y.c 2222\nH 4 \n+ \"new\\n\"\n+ \"++ more\\n\"\nH 11 \n+ \"b\\n\"\n",
    );
}

#[test]
fn lines_of_a_hunk_are_never_taken_for_heads() {
    check(
        "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n--- a/g\n+++ b/g\n+diff --git a/x b/x\n+\0abc\n-x\n",
        "F f -\nH 1 \n+ \"++ b/g\\n\"\n+ \"diff --git a/x b/x\\n\"\n+ \"\\0abc\\n\"\n",
    );
}

#[test]
fn a_merge_adds_what_no_parent_had() {
    check(
        "diff --cc m\nindex 1,2..3\n--- a/m\n+++ b/m\n@@@ -1,2 -1,3 +1,3 @@@\n  both\n- ours\n -theirs\n++evil\n+ ours\n",
        "F m 3\nH 2 \n+ \"evil\\n\"\n",
    );
}

#[test]
fn quoted_names_are_read() {
    check(
        "diff --git \"a/\\303\\244\\t\\\".c\" \"b/\\303\\244\\t\\\".c\"\n--- /dev/null\n\
         +++ \"b/\\303\\244\\t\\\".c\"\n@@ -0,0 +1 @@\n+x\n\\ No newline at end of file\n",
        "F ä\t\".c -\nH 1 \n+ \"x\\n\"\n",
    );
}

#[test]
fn binary_changes_are_told() {
    check(
        "diff --git a/p b/p\nindex 1..2\nBinary files a/p and b/p differ\ndiff --git a/q b/q\n\
         new file mode 100644\nindex 0..4\nGIT binary patch\nliteral 3\nabc\n",
        "F p 2\nhidden\nF q 4\nhidden\n",
    );
}

#[test]
fn diffs_without_git_are_read() {
    check(
        "diff -u old/f new/f\n--- old/f\t2026-01-01 00:00:00\n+++ new/f\t2026-01-01 00:00:00\n\
         @@ -1 +1,2 @@\n one\n+two\n\nOnly in new: g\n--- old/h\n+++ new/h\n@@ -0,0 +1 @@\n+h\n",
        "F new/f -\nH 2 \n+ \"two\\n\"\nF new/h -\nH 1 \n+ \"h\\n\"\n",
    );
}

#[test]
fn commits_and_their_messages_are_told() {
    check(
        "\0c0ffee 2026-01-02T03:04:05+00:00 Ann Lee\nTitle\n\nbody\n\0\n\ndiff --git a/f b/f\n\
         --- a/f\n+++ b/f\n@@ -0,0 +1 @@\n+x\n\0beef 2026-01-01T00:00:00Z Bo\n\0\n",
        "C c0ffee 2026-01-02T03:04:05+00:00 Ann Lee\nM \"Title\\n\"\nM \"\\n\"\nM \"body\\n\"\nM \"\"\n\
         F f -\nH 1 \n+ \"x\\n\"\nC beef 2026-01-01T00:00:00Z Bo\nM \"\"\n",
    );
}

#[test]
fn a_comment_on_the_line_above_is_handed_on() {
    check(
        "--- a/f\n+++ b/f\n@@ -1,2 +1,3 @@\n # carboy:allow x: y\n+key\n other\n",
        "F f -\nH 2 # carboy:allow x: y\n+ \"key\\n\"\n",
    );
}

#[test]
fn long_lines_come_in_parts() {
    let long = "x".repeat(150_000);
    let out =
        told(&format!("--- a/f\n+++ b/f\n@@ -0,0 +1,2 @@\n+{long}\n+y\n")).unwrap_or_default();
    assert_eq!(out.matches('x').count(), 150_000);
    assert_eq!(
        out.lines().count(),
        6,
        "a file, a hunk, three parts and a line"
    );
}

#[test]
fn what_is_no_patch_is_an_error() {
    for (patch, part) in [
        ("just text\n", "no patch"),
        ("--- a/f\n+++ b/f\n@@ -1 +1,9 @@\n+x\n", "broken off"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n*x\n", "line 4"),
        ("--- a/f\n+++ b/f\n@@ nonsense @@\n", "malformed"),
        ("--- a/f\n+++ b/f\n@@ -1 +1 @@\n+x\n+y\n", "line 5"),
        ("@@ -1 +1 @@\n", "no file"),
        ("\0c0ffee 2026-01-01 Ann\nTitle\n", "broken off"),
    ] {
        let error = told(patch).expect_err(patch);
        assert!(error.contains(part), "{patch}: {error}");
    }
    check("", "");
}

#[test]
fn no_patch_is_read_past_its_end() {
    let patch = "\0c0ffee 2026-01-02T03:04:05Z Ann\nTitle\n\0\ndiff --git a/f b/f\nindex 1..2\n--- a/f\n\
                 +++ \"b/\\303\\244\"\n@@ -1,2 +1,3 @@\n one\n+two\n-x\n+y\n\\ No newline\ndiff --cc m\n\
                 --- a/m\n+++ b/m\n@@@ -1 -1 +1,2 @@@\n  a\n++b\nBinary files a/p and b/p differ\n";
    let whole = told(patch).expect("it is a patch");
    let mut broken = 0;
    for at in 0..patch.len() {
        for sign in ["", "\n", "\0", "@", "+", "-", " ", "9", "\"", "\\", "ä"] {
            let changed = format!("{}{sign}{}", &patch[..at], &patch[at + 1..]);
            broken += usize::from(told(&changed).as_ref() != Ok(&whole));
        }
    }
    assert!(broken > patch.len(), "most changes are seen");
}
