use super::*;

struct Busy;

impl Screen for Busy {
    fn is_busy(&self) -> bool {
        true
    }

    fn is_raw(&self) -> bool {
        true
    }
}

fn key_of(host: &str) -> Key {
    Key {
        reason: "host_denied",
        rule: "egress.deny".into(),
        host: host.into(),
    }
}

#[test]
fn a_repeat_within_the_window_is_not_printed() {
    let mut printer = Printer::new(Busy);
    for host in ["a.test", "a.test", "b.test", "a.test"] {
        printer.take(key_of(host), host.to_owned());
    }
    assert_eq!(printer.held, ["a.test", "b.test"]);
}

#[test]
fn what_a_busy_terminal_holds_back_is_bounded() {
    let mut printer = Printer::new(Busy);
    for number in 0..HELD_LINES_MAX + 7 {
        printer.take(key_of(&number.to_string()), number.to_string());
    }
    assert_eq!((printer.held.len(), printer.unheld), (HELD_LINES_MAX, 7));
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut printer = Printer::new(Busy);
    for number in 0..2 * REMEMBERED_MAX {
        printer.is_repeat(key_of(&number.to_string()));
    }
    assert!(printer.seen.len() <= REMEMBERED_MAX);
}

#[test]
fn a_remedy_stays_pasteable_on_one_line() {
    let many = "add to the policy:\negress:\n  allow: [\"a.test\"]";
    let one = remedy(many);
    assert_eq!(one, "add to the policy: egress: {\"allow\":[\"a.test\"]}");
    let (_, pasted) = one.split_once("policy: ").unwrap();
    carboy_engine::Policy::parse(&format!("version: 1\n{pasted}\n"), "pasted").unwrap();
    assert_eq!(remedy("try again"), "try again");
}
