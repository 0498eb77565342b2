//! The literals of all rules as one automaton: Aho-Corasick (Aho and Corasick, 1975), made fully
//! deterministic, with case and white space folded in its byte classes.

use std::collections::{BTreeMap, VecDeque};

use crate::require;
use crate::source::{Direction, RuleSource};

/// Groups of literals of one pattern: its own, and up to two that its regex cannot match without.
pub(crate) const SLOTS: usize = 3;

/// The files that the automaton is included from.
pub(crate) struct Gate {
    /// The class of each byte.
    pub(crate) classes: [u8; 256],
    /// `next[state][class]`, each two bytes, little-endian; a row has [`ROW`] entries. Accepting states come last.
    pub(crate) table: Vec<u8>,
    /// The first accepting state.
    pub(crate) accept: u16,
    /// Of each accepting state, the patterns and groups whose literals end there, as
    /// `pattern * SLOTS + group`.
    pub(crate) wakes: Vec<Vec<u16>>,
}

/// More classes than bytes that literals are made of.
pub(crate) const ROW: usize = 128;

/// Every kind of white space is one class: a literal's space matches a run of any.
pub(crate) fn fold(byte: u8) -> u8 {
    match byte {
        b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => b' ',
        other => other.to_ascii_lowercase(),
    }
}

struct Node {
    next: BTreeMap<u8, usize>,
    last: u8,
    fail: usize,
    wakes: Vec<u16>,
}

/// The automaton of the rules that judge one way.
pub(crate) fn build(rules: &[RuleSource], direction: Direction) -> Gate {
    let mut nodes = trie(rules, direction);
    let order = link(&mut nodes);
    let mut classes = [0u8; 256];
    let mut letters: Vec<u8> = nodes.iter().flat_map(|n| n.next.keys().copied()).collect();
    letters.sort_unstable();
    letters.dedup();
    for byte in 0..=255u8 {
        if let Ok(index) = letters.binary_search(&fold(byte)) {
            classes[byte as usize] = index as u8 + 1;
        }
    }
    number(&nodes, &order, &letters, classes)
}

fn trie(rules: &[RuleSource], direction: Direction) -> Vec<Node> {
    let mut nodes = vec![node(0)];
    let mut pattern = 0;
    for rule in rules {
        for source in rule.patterns() {
            if rule.direction.covers(direction) {
                for literal in &source.literals {
                    add(&mut nodes, literal.as_bytes(), pattern * SLOTS);
                }
                for (group, literals) in extra_groups(&source.regex).iter().enumerate() {
                    for literal in literals {
                        add(&mut nodes, literal, pattern * SLOTS + 1 + group);
                    }
                }
            }
            pattern += 1;
        }
    }
    nodes
}

/// The groups of a pattern besides its own literals.
pub(crate) fn extra_groups(regex: &str) -> Vec<require::Group> {
    require::groups(regex, SLOTS - 1)
}

fn node(last: u8) -> Node {
    Node {
        next: BTreeMap::new(),
        last,
        fail: 0,
        wakes: Vec::new(),
    }
}

fn add(nodes: &mut Vec<Node>, literal: &[u8], slot: usize) {
    let mut at = 0;
    for byte in literal.iter().map(|byte| fold(*byte)) {
        let fresh = nodes.len();
        let next = *nodes[at].next.entry(byte).or_insert(fresh);
        if next == fresh {
            nodes.push(node(byte));
        }
        at = next;
    }
    nodes[at].wakes.push(slot as u16);
}

/// Sets the failure links, gathers the patterns of suffixes, and gives the nodes breadth first.
fn link(nodes: &mut [Node]) -> Vec<usize> {
    let mut order = vec![0];
    let mut queue = VecDeque::from([0]);
    while let Some(at) = queue.pop_front() {
        for (byte, child) in nodes[at].next.clone() {
            let fail = if at == 0 {
                0
            } else {
                step(nodes, nodes[at].fail, byte)
            };
            nodes[child].fail = fail;
            let inherited = nodes[fail].wakes.clone();
            nodes[child].wakes.extend(inherited);
            nodes[child].wakes.sort_unstable();
            nodes[child].wakes.dedup();
            order.push(child);
            queue.push_back(child);
        }
    }
    order
}

/// The next node; more white space after a space stays, so that runs count as one.
fn step(nodes: &[Node], mut at: usize, byte: u8) -> usize {
    if byte == b' ' && nodes[at].last == b' ' {
        return at;
    }
    loop {
        if let Some(next) = nodes[at].next.get(&byte) {
            return *next;
        }
        if at == 0 {
            return 0;
        }
        at = nodes[at].fail;
    }
}

fn number(nodes: &[Node], order: &[usize], letters: &[u8], classes: [u8; 256]) -> Gate {
    let (plain, accepting): (Vec<usize>, Vec<usize>) = order
        .iter()
        .partition(|node| nodes[**node].wakes.is_empty());
    let accept = plain.len();
    let order: Vec<usize> = plain.into_iter().chain(accepting).collect();
    let mut ids = vec![0u16; nodes.len()];
    for (id, node) in order.iter().enumerate() {
        ids[*node] = u16::try_from(id).expect("fewer than 65536 states");
    }
    assert!(letters.len() < ROW, "{} letters", letters.len());
    let mut table = Vec::new();
    for node in &order {
        let mut row = vec![0u16; ROW];
        for (index, letter) in letters.iter().enumerate() {
            row[index + 1] = ids[step(nodes, *node, *letter)];
        }
        table.extend(row.iter().flat_map(|next| next.to_le_bytes()));
    }
    let wakes = order[accept..]
        .iter()
        .map(|node| nodes[*node].wakes.clone())
        .collect();
    Gate {
        classes,
        table,
        accept: accept as u16,
        wakes,
    }
}
