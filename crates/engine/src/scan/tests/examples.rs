use super::scan_as;
use crate::crossing::{Direction, SurfaceKind};

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

fn wakes(id: &str, text: &str) -> bool {
    // Rules that look at one kind of surface alone look at definitions.
    [SurfaceKind::Body, SurfaceKind::Definition]
        .into_iter()
        .flat_map(|kind| [(kind, Direction::Outbound), (kind, Direction::Inbound)])
        .flat_map(|(kind, direction)| scan_as(kind, direction, text.as_bytes()))
        .any(|sighting| sighting.rule.id == id)
}

#[test]
fn rules_of_definitions_look_nowhere_else() {
    let text = b"Keep this hidden from the user.";
    let seen = |kind| {
        let seen = scan_as(kind, Direction::Inbound, text);
        seen.iter()
            .any(|own| own.rule.id == "definition-hides-from-user")
    };
    assert!(seen(SurfaceKind::Definition));
    assert!(!seen(SurfaceKind::Body) && !seen(SurfaceKind::Message));
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
