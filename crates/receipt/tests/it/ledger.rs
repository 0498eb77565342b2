//! Whatever is done to an installation's logs as a whole is found.

use carboy_receipt::{
    Chain, Digest, Entry, Event, Fault, LedgerHead, Listed, Mismatch, Opening, Signer, What,
    read_ledger,
};

use crate::world::{allowed, audit, lines, opening, signer, time};

/// A ledger, and the logs that it lists.
struct World {
    ledger: Vec<u8>,
    logs: Vec<Vec<u8>>,
}

/// Three logs that were open together: `a` and `b` were closed, `c` was not.
fn world() -> World {
    let signer = signer();
    let (mut ledger, mut head) = (Vec::new(), None);
    let mut note = |event, log, hash, ledger: &mut Vec<u8>| {
        let time = time(7);
        let entry = Entry {
            event,
            log,
            hash,
            time,
        };
        head = Some(LedgerHead::append(head, &entry, &signer, ledger));
        head.map(|head| head.hash())
    };
    let (mut logs, mut chains, mut previous) = (Vec::new(), Vec::new(), None);
    for name in ["a.jsonl", "b.jsonl", "c.jsonl"] {
        let mut log = Vec::new();
        let opening = Opening {
            previous,
            ..opening()
        };
        let mut chain = Chain::open(&opening, &signer, &mut log);
        previous = note(Event::Opened, name, chain.head().hash, &mut ledger);
        chain.append(allowed(1), &mut log);
        chains.push(chain);
        logs.push(log);
    }
    let names = ["a.jsonl", "b.jsonl"];
    for (index, chain) in chains.into_iter().take(2).enumerate().rev() {
        let last = chain.close(time(9), &signer, &mut logs[index]);
        note(Event::Closed, names[index], last.hash, &mut ledger);
    }
    World { ledger, logs }
}

fn read(ledger: &[u8]) -> Result<Vec<Listed>, Fault> {
    read_ledger(ledger, Some(signer().public_key()))
}

#[test]
fn a_ledger_lists_the_logs_that_there_were() {
    let world = world();
    let listed = read(&world.ledger).expect("it verifies");
    let names: Vec<_> = listed
        .iter()
        .map(|own| (&*own.log, own.is_closed()))
        .collect();
    assert_eq!(
        names,
        [("a.jsonl", true), ("b.jsonl", true), ("c.jsonl", false)]
    );
    for (own, log) in listed.iter().zip(&world.logs).take(2) {
        let report = audit(log).expect("it verifies");
        assert_eq!(own.check(&report), Ok(()));
    }
    assert_eq!(read(b"").expect("it verifies"), []);
}

#[test]
fn one_log_does_not_stand_for_another() {
    let world = world();
    let listed = read(&world.ledger).expect("it verifies");
    let report = audit(&world.logs[1]).expect("it verifies");
    assert_eq!(listed[0].check(&report), Err(Mismatch::Replaced));

    // The same opening, and another end.
    let mut log = Vec::new();
    let chain = Chain::open(&opening(), &signer(), &mut log);
    chain.close(time(9), &signer(), &mut log);
    let report = audit(&log).expect("it verifies");
    assert_eq!(listed[0].check(&report), Err(Mismatch::Ended));
}

#[test]
fn edits_of_a_ledger_name_the_line() {
    let ledger = world().ledger;
    let lines = lines(&ledger);
    let edited = |line: usize, from: &str, to: &str| {
        let mut lines = lines.clone();
        let text = String::from_utf8(lines[line - 1].clone()).expect("UTF-8");
        assert!(text.contains(from), "{text}");
        lines[line - 1] = text.replacen(from, to, 1).into_bytes();
        lines.concat()
    };
    let order = |order: &[usize]| -> Vec<u8> {
        order.iter().flat_map(|at| lines[at - 1].clone()).collect()
    };
    let cut = ledger[..ledger.len() - 1].to_vec();
    for (ledger, line, what) in [
        (edited(2, "b.jsonl", "z.jsonl"), 2, What::Signature),
        (edited(1, "\"v\":1", "\"v\":2"), 1, What::Version(2)),
        (edited(3, "{", "{ "), 3, What::NotCanonical),
        (order(&[1, 3, 4, 5]), 2, What::Sequence { due: 1, found: 2 }),
        (order(&[2, 1, 3]), 1, What::Sequence { due: 0, found: 1 }),
        (cut, 5, What::Cut),
    ] {
        assert_eq!(read(&ledger), Err(Fault { line, what }));
    }
}

#[test]
fn a_ledger_signed_with_another_key_is_not_believed() {
    let own = Signer::new(&[3; 32]);
    let entry = Entry {
        event: Event::Opened,
        log: "a.jsonl",
        hash: Digest::new([1; 32]),
        time: time(1),
    };
    let mut ledger = Vec::new();
    LedgerHead::append(None, &entry, &own, &mut ledger);
    let fault = read(&ledger).expect_err("another key");
    assert!(matches!(fault.what, What::Key { .. }), "{fault}");
    assert_eq!(read_ledger(&ledger, None).expect("its own key").len(), 1);
}

#[test]
fn a_log_is_opened_once_and_closed_once() {
    let events = |events: &[Event]| {
        let (mut ledger, mut head) = (Vec::new(), None);
        for event in events {
            let entry = Entry {
                event: *event,
                log: "a.jsonl",
                hash: Digest::new([1; 32]),
                time: time(1),
            };
            head = Some(LedgerHead::append(head, &entry, &signer(), &mut ledger));
        }
        read(&ledger).map(|listed| listed.len())
    };
    let wrong = |line| {
        let what = What::Listed;
        Err(Fault { line, what })
    };
    assert_eq!(events(&[Event::Opened, Event::Closed]), Ok(1));
    assert_eq!(events(&[Event::Closed]), wrong(1));
    assert_eq!(events(&[Event::Opened, Event::Opened]), wrong(2));
    let twice = [Event::Opened, Event::Closed, Event::Closed];
    assert_eq!(events(&twice), wrong(3));
}
