use super::scan;
use crate::crossing::Direction;

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

fn wakes(id: &str, text: &str) -> bool {
    [Direction::Outbound, Direction::Inbound]
        .into_iter()
        .flat_map(|direction| scan(direction, text.as_bytes()))
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

#[test]
fn every_example_is_found_in_base64() {
    let mut wrong = Vec::new();
    for (id, matches, _) in EXAMPLES {
        let hidden = matches
            .iter()
            .map(|t| data_encoding::BASE64.encode(t.as_bytes()));
        wrong.extend(
            hidden
                .filter(|t| !wakes(id, t))
                .map(|t| format!("{id} misses {t}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
