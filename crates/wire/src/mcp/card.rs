//! What an agent says of itself to other agents: its card (A2A, revisions 0.2 to 1.0).
//!
//! Other agents read a card as instructions, as they read the definitions of tools; so its parts are
//! kept and compared as tools are: each skill by its id, and the rest as one.

use carboy_engine::Surface;

use super::json::{self, Node};
use super::message::{Flaw, check_case};
use super::surfaces::definition;
use super::tools::{TOOLS_MAX, Tool, value};

/// What the card without its skills is kept as. No skill may have this id.
const WHOLE: &str = "agent-card";

/// Members that change without anything being said.
const APART: [&str; 2] = ["skills", "signatures"];

/// An agent's card.
#[derive(Debug)]
pub struct Card<'a> {
    node: Node<'a>,
    /// What is kept of it.
    pub parts: Vec<Tool>,
    /// Whether it carries a signature (RFC 7515), which nobody has checked.
    pub is_signed: bool,
}

impl<'a> Card<'a> {
    /// Reads a card.
    ///
    /// # Errors
    /// When it is no object that all parsers read alike, or has skills without an id.
    pub fn read(bytes: &'a [u8]) -> Result<Self, Flaw> {
        let node = json::parse(bytes)?;
        let members = node.members().ok_or(Flaw::NotObject)?;
        check_case(members, &["name", "description", "url", "skills"])?;
        let mut parts = vec![whole(&node)];
        if let Some(skills) = node.member("skills") {
            let skills = skills.items().ok_or(Flaw::Card)?;
            if skills.len() >= TOOLS_MAX {
                return Err(Flaw::Card);
            }
            for skill in skills {
                parts.push(part(skill)?);
            }
        }
        let signatures = node.member("signatures").and_then(Node::items);
        Ok(Self {
            is_signed: signatures.is_some_and(|signatures| !signatures.is_empty()),
            parts,
            node,
        })
    }

    /// Visits everything in a card that can hold content, and stops at the first error.
    ///
    /// # Errors
    /// The first error of `visit`.
    pub fn surfaces<E>(&self, visit: impl FnMut(Surface<'_>) -> Result<(), E>) -> Result<(), E> {
        definition(&self.node, visit)
    }
}

fn whole(node: &Node<'_>) -> Tool {
    let members = node.members().unwrap_or_default().iter();
    let own = members.filter(|(name, _)| !APART.contains(&&**name));
    Tool {
        name: WHOLE.into(),
        definition: own
            .map(|(name, node)| (name.to_string(), value(node)))
            .collect(),
    }
}

fn part(skill: &Node<'_>) -> Result<Tool, Flaw> {
    check_case(
        skill.members().ok_or(Flaw::Card)?,
        &["id", "name", "description"],
    )?;
    let id = skill.member("id").or_else(|| skill.member("name"));
    match id.and_then(Node::text) {
        Some(id) if id != WHOLE => Ok(Tool {
            name: id.into(),
            definition: value(skill),
        }),
        Some(_) | None => Err(Flaw::Card),
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::{Card, Flaw};

    const CARD: &str = r#"{"name":"Ada","description":"adds","version":"1","url":"https://a.example/",
        "capabilities":{"extensions":[{"uri":"https://e.example/x","description":"more"}]},
        "skills":[{"id":"add","name":"Add","description":"adds numbers","examples":["1+1"]}],
        "signatures":[{"protected":"e30","signature":"AAAA"}]}"#;

    #[test]
    fn a_card_is_kept_part_by_part() {
        let card = Card::read(CARD.as_bytes()).expect("a card");
        let names: Vec<_> = card.parts.iter().map(|part| &*part.name).collect();
        assert_eq!(names, ["agent-card", "add"]);
        assert!(card.is_signed);
        let other = CARD.replace("AAAA", "BBBB");
        let other = Card::read(other.as_bytes()).expect("a card");
        assert_eq!(other.parts, card.parts, "a signature is no content");
        let other = CARD.replace("adds numbers", "adds numbers and mails them");
        let other = Card::read(other.as_bytes()).expect("a card");
        assert_eq!(other.parts[0], card.parts[0]);
        assert_ne!(other.parts[1], card.parts[1]);
    }

    #[test]
    fn all_of_a_card_is_seen() {
        let card = Card::read(CARD.as_bytes()).expect("a card");
        let mut seen = Vec::new();
        let all: Result<(), Infallible> = card.surfaces(|surface| {
            seen.push((
                surface.name.to_owned(),
                String::from_utf8_lossy(surface.bytes).into_owned(),
            ));
            Ok(())
        });
        assert!(all.is_ok());
        for (path, text) in [
            ("/description", "adds"),
            ("/skills/0/description", "adds numbers"),
            ("/skills/0/examples/0", "1+1"),
            ("/capabilities/extensions/0/description", "more"),
            ("/signatures/0/signature", "AAAA"),
        ] {
            let wanted = (path.to_owned(), text.to_owned());
            assert!(seen.contains(&wanted), "{path}");
        }
    }

    #[test]
    fn what_could_be_read_two_ways_is_no_card() {
        let cases = [
            ("[]", Flaw::NotObject),
            (r#"{"skills":{}}"#, Flaw::Card),
            (r#"{"skills":[{}]}"#, Flaw::Card),
            (r#"{"skills":[{"id":"agent-card"}]}"#, Flaw::Card),
            (r#"{"skills":[],"Skills":[]}"#, Flaw::Case),
        ];
        for (text, flaw) in cases {
            assert_eq!(Card::read(text.as_bytes()).err(), Some(flaw), "{text}");
        }
        assert!(Card::read(br#"{"name":"a","name":"b"}"#).is_err());
        assert!(Card::read(br#"{"name":"a"}"#).is_ok());
    }
}
