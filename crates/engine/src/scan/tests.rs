use super::{Budget, Scanner, Sighting};
use crate::crossing::{Direction, SurfaceKind};

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

fn scan(direction: Direction, text: &str) -> Vec<Sighting> {
    let mut out = Vec::new();
    Scanner::new([7; 32])
        .scan(
            SurfaceKind::Body,
            direction,
            text.as_bytes(),
            &mut Budget::default(),
            &mut out,
        )
        .expect("the budget covers an example");
    out
}

fn wakes(id: &str, text: &str) -> bool {
    [Direction::Outbound, Direction::Inbound]
        .into_iter()
        .flat_map(|direction| scan(direction, text))
        .any(|sighting| sighting.rule.id == id)
}

#[test]
fn every_example_holds() {
    let mut wrong = Vec::new();
    for (id, matches, rejects) in EXAMPLES {
        wrong.extend(
            matches
                .iter()
                .filter(|t| !wakes(id, t))
                .map(|t| format!("{id} misses {t}")),
        );
        wrong.extend(
            rejects
                .iter()
                .filter(|t| wakes(id, t))
                .map(|t| format!("{id} takes {t}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
