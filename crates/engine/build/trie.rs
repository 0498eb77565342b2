//! Words as a trie in one table (Aoe, 1989, "An efficient digital search algorithm by using a
//! double-array structure"): a step is one look.

use std::collections::BTreeMap;

/// A state's children, and the word that ends there.
#[derive(Default)]
struct Node {
    next: BTreeMap<u8, usize>,
    word: Option<usize>,
}

/// One place of the table: the children of the state here are at `base` plus their bytes, and each
/// names its parent.
#[derive(Clone, Copy, Default)]
struct Place {
    base: u32,
    /// The parent's place, one more; none's is empty.
    parent: u32,
    /// One more than the word that ends here.
    word: u16,
}

/// A place takes so many bits for each of `base` and `parent`.
const PLACE_BITS: u32 = 24;

/// The table, eight bytes a place, little-endian: from the lowest bit on its base, parent and word.
/// The root is the first.
pub(crate) fn build<'a>(words: impl Iterator<Item = &'a str>) -> Vec<u8> {
    let places = placed(&nodes(words));
    assert!(places.len() < 1 << PLACE_BITS, "{} places", places.len());
    let packed = |place: &Place| {
        u64::from(place.base)
            | u64::from(place.parent) << PLACE_BITS
            | u64::from(place.word) << (2 * PLACE_BITS)
    };
    places
        .iter()
        .flat_map(|p| packed(p).to_le_bytes())
        .collect()
}

fn nodes<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Node> {
    let mut nodes = vec![Node::default()];
    for (index, word) in words.enumerate() {
        let mut at = 0;
        for byte in word.bytes() {
            let fresh = nodes.len();
            at = *nodes[at].next.entry(byte).or_insert(fresh);
            if at == fresh {
                nodes.push(Node::default());
            }
        }
        nodes[at].word = Some(index);
    }
    nodes
}

/// Each node's children go to the first free places that fit all of them.
fn placed(nodes: &[Node]) -> Vec<Place> {
    let mut places = vec![Place::default(); 1];
    let mut free_from = 1;
    let mut waiting = vec![(0, 0)];
    while let Some((node, at)) = waiting.pop() {
        let next = &nodes[node].next;
        places[at].word = nodes[node].word.map_or(0, |word| word as u16 + 1);
        let Some(first) = next.keys().next() else {
            continue;
        };
        let is_free = |at: usize| at > 0 && places.get(at).is_none_or(|place| place.parent == 0);
        while !is_free(free_from) {
            free_from += 1;
        }
        let lowest = free_from.saturating_sub(usize::from(*first));
        let fits = |base: &usize| next.keys().all(|byte| is_free(base + usize::from(*byte)));
        let base = (lowest..).find(fits).expect("beyond the end all is free");
        // Every byte of a state leads into the table.
        let len = places.len().max(base + usize::from(u8::MAX) + 1);
        places.resize(len, Place::default());
        places[at].base = base as u32;
        for (byte, child) in next {
            places[base + usize::from(*byte)].parent = at as u32 + 1;
            waiting.push((*child, base + usize::from(*byte)));
        }
    }
    places
}
