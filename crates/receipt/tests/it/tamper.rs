//! Whatever is done to a log is found.

use carboy_receipt::{Chain, Fault, Signer, Verifier, Verify, What};
use proptest::prelude::*;

use crate::world::{allowed, audit, lines, log, opening, signer, time, verify};

/// Line 1 opens; crossings are lines 2 3 4, 6 7 8, 10; heads are lines 5 and 9; line 11 closes.
const CROSSINGS: u64 = 7;

fn edited(line: usize, from: &str, to: &str) -> Vec<u8> {
    let mut lines = lines(&log(CROSSINGS));
    let text = String::from_utf8(lines[line - 1].clone()).expect("a line is UTF-8");
    assert!(text.contains(from), "{text}");
    lines[line - 1] = text.replacen(from, to, 1).into_bytes();
    lines.concat()
}

fn reordered(order: &[usize]) -> Vec<u8> {
    let lines = lines(&log(CROSSINGS));
    order
        .iter()
        .flat_map(|line| lines[line - 1].clone())
        .collect()
}

fn fault(line: u64, what: What) -> Result<(), Fault> {
    Err(Fault { line, what })
}

#[test]
fn edits_name_the_line() {
    for (log, line, what) in [
        (
            edited(2, "api.example.com", "api.example.org"),
            2,
            What::Changed,
        ),
        (
            edited(4, "\"bytes\":300", "\"bytes\":301"),
            4,
            What::Changed,
        ),
        (edited(10, "allow", "block"), 10, What::Changed),
        (edited(3, "\"block\"", "\"allow\""), 3, What::Changed),
        (edited(3, "{", "{ "), 3, What::NotCanonical),
        (edited(3, "\"v\":1", "\"v\":2"), 3, What::Version(2)),
        (
            edited(3, "\"v\":1", "\"v\":1,\"w\":1"),
            3,
            What::Unreadable(0),
        ),
        (
            edited(3, "\"kind\":\"crossing\"", "\"kind\":\"cross\""),
            3,
            What::Kind,
        ),
        (edited(3, "{", ""), 3, What::Unreadable(0)),
        (
            edited(1, "\"version\":\"0.1.0\"", "\"version\":\"0.2.0\""),
            1,
            What::Signature,
        ),
        (edited(5, "\"seq\":2", "\"seq\":1"), 5, What::Signature),
        (
            edited(11, "\"refusals\":3", "\"refusals\":2"),
            11,
            What::Signature,
        ),
        (
            edited(3, "\"seq\":2", "\"seq\":9"),
            3,
            What::Sequence { due: 2, found: 9 },
        ),
    ] {
        let found = audit(&log).expect_err("an edit is found");
        assert_eq!(found.line, line, "{found}");
        match (&found.what, what) {
            (What::Unreadable(_), What::Unreadable(_)) => {}
            (found, what) => assert_eq!(*found, what),
        }
    }
}

#[test]
fn a_changed_link_names_its_own_line() {
    let lines = lines(&log(CROSSINGS));
    for line in [3, 5, 6, 10] {
        let text = String::from_utf8(lines[line - 1].clone()).expect("a line is UTF-8");
        let at = text.find("\"prev\":\"").expect("each line has a link") + 8;
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        let mut changed = lines.clone();
        changed[line - 1].splice(at..=at, digit.bytes());
        assert_eq!(
            audit(&changed.concat()).map(|_| ()),
            fault(line as u64, What::Link)
        );
    }
}

#[test]
fn removed_moved_and_doubled_lines_are_found() {
    let sequence = |due, found| What::Sequence { due, found };
    for (order, line, what) in [
        (&[2, 3, 4, 5, 6, 7, 8, 9, 10, 11][..], 1, What::NotOpen),
        (&[1, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2, sequence(1, 2)),
        (&[1, 2, 3, 4, 6, 7, 8, 9, 10, 11], 5, sequence(4, 5)),
        (&[1, 2, 3, 4, 5, 6, 7, 8, 9, 11], 10, sequence(9, 10)),
        (&[1, 2, 4, 3, 5, 6, 7, 8, 9, 10, 11], 3, sequence(2, 3)),
        (&[1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 3, sequence(2, 1)),
        (&[1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 2, sequence(1, 0)),
        (
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 11],
            12,
            What::AfterClose,
        ),
        (
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
            10,
            What::NotClosed { signed_lines: 7 },
        ),
        (&[1, 2, 3, 4, 5, 6], 6, What::NotClosed { signed_lines: 3 }),
        (&[1], 1, What::NotClosed { signed_lines: 1 }),
        (&[], 1, What::Empty),
    ] {
        assert_eq!(
            audit(&reordered(order)).map(|_| ()),
            fault(line, what),
            "{order:?}"
        );
    }
}

#[test]
fn an_open_log_verifies_only_when_asked() {
    let key = Some(signer().public_key());
    let open = reordered(&[1, 2, 3, 4, 5, 6]);
    let report = verify(
        &open,
        Verify {
            key,
            allow_open: true,
        },
    )
    .expect("it verifies as open");
    assert_eq!(
        (report.closed, report.lines, report.signed_lines),
        (false, 6, 3)
    );
    let torn = &open[..open.len() - 5];
    let found = verify(
        torn,
        Verify {
            key,
            allow_open: true,
        },
    );
    assert_eq!(found.map(|_| ()), fault(6, What::Cut));
}

#[test]
fn a_log_chained_again_after_an_edit_is_found_by_its_signatures() {
    let (signer, mut forged) = (signer(), Vec::new());
    let mut chain = Chain::open(&opening(), &signer, &mut forged);
    let honest = chain.append(allowed(1), &mut Vec::new());
    let signed = signer.sign(honest, time(2));
    forged.clear();
    let mut chain = Chain::open(&opening(), &signer, &mut forged);
    chain.append(allowed(2), &mut forged);
    chain.seal(signed, &mut forged);
    assert_eq!(audit(&forged).map(|_| ()), fault(3, What::Head));
}

#[test]
fn another_key_is_found_when_the_key_is_pinned() {
    let (forger, mut forged) = (Signer::new(&[1; 32]), Vec::new());
    Chain::open(&opening(), &forger, &mut forged).close(time(1), &forger, &mut forged);
    assert!(verify(&forged, Verify::default()).is_ok());
    let expected = signer().key_id();
    let found = forger.key_id();
    assert_eq!(
        audit(&forged).map(|_| ()),
        fault(1, What::Key { expected, found })
    );

    let (honest, mut mixed) = (signer(), Vec::new());
    Chain::open(&opening(), &honest, &mut mixed).close(time(1), &forger, &mut mixed);
    assert_eq!(
        audit(&mixed).map(|_| ()),
        fault(2, What::Key { expected, found })
    );
}

#[test]
fn a_line_without_end_is_not_kept() {
    let mut verifier = Verifier::new(Verify::default());
    let chunk = [b'x'; 4096];
    let found = (0..100).find_map(|_| verifier.push(&chunk).err());
    assert_eq!(found.map(Err), Some(fault(1, What::TooLong)));
}

#[test]
fn the_pieces_that_a_log_comes_in_do_not_matter() {
    let log = log(CROSSINGS);
    let whole = audit(&log);
    for size in [1, 2, 7, 100, 1000] {
        let key = Some(signer().public_key());
        let mut verifier = Verifier::new(Verify {
            key,
            allow_open: false,
        });
        let pushed = log.chunks(size).try_for_each(|chunk| verifier.push(chunk));
        assert_eq!(pushed.and_then(|()| verifier.finish()), whole);
    }
}

#[test]
fn every_changed_byte_is_found() {
    let log = log(3);
    for at in 0..log.len() {
        let mut changed = log.clone();
        changed[at] ^= 1 << (at % 8);
        assert!(audit(&changed).is_err(), "byte {at}");
    }
}

#[test]
fn every_truncation_is_found() {
    let log = log(3);
    for end in 0..log.len() {
        assert!(audit(&log[..end]).is_err(), "{end} bytes");
    }
}

proptest! {
    #[test]
    fn any_changed_byte_is_found(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut log = log(CROSSINGS);
        let at = at.index(log.len());
        prop_assume!(log[at] != byte);
        log[at] = byte;
        prop_assert!(audit(&log).is_err());
    }

    #[test]
    fn any_removed_or_added_byte_is_found(
        at in any::<prop::sample::Index>(), added in prop::option::of(any::<u8>()),
    ) {
        let log = log(CROSSINGS);
        let at = at.index(log.len());
        let mut changed = log.clone();
        match added {
            Some(byte) => changed.insert(at, byte),
            None => drop(changed.remove(at)),
        }
        prop_assert!(changed == log || audit(&changed).is_err());
    }

    #[test]
    fn any_change_of_lines_is_found(
        order in prop::collection::vec(1..=11_usize, 0..14),
    ) {
        let honest: Vec<usize> = (1..=11).collect();
        prop_assert_eq!(audit(&reordered(&order)).is_ok(), order == honest);
    }

    #[test]
    fn a_splice_of_two_logs_is_found(
        cut in 1..10_usize, other in 1..6_u64,
    ) {
        let first = lines(&log(CROSSINGS));
        let second = lines(&log(other));
        let spliced: Vec<u8> =
            first.iter().take(cut).chain(second.iter().skip(cut)).flatten().copied().collect();
        let honest = spliced == first.concat() || spliced == second.concat();
        prop_assert_eq!(audit(&spliced).is_ok(), honest);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>(), allow_open in any::<bool>()) {
        let options = Verify { key: None, allow_open };
        prop_assert!(verify(&bytes, options).is_err());
    }
}
