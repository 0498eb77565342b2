//! The literals of all rules as automata: Aho-Corasick (Aho and Corasick, 1975), made fully
//! deterministic, with case and white space folded in its byte classes.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use crate::require;
use crate::source::{Direction, RuleSource};

/// Groups of literals of one pattern: its own, and up to two that its regex cannot match without.
pub(crate) const SLOTS: usize = 3;

/// Set in a state where a literal's head ends.
const ACCEPTS: u16 = 0x8000;

/// The automaton knows so many bytes of a literal; the rest, its tail, is compared where these are
/// found. Longer would make the table several times as large, and the sweep wait for memory.
pub(crate) const HEAD_LEN_MAX: usize = 8;

/// What ends at an accepting state.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Wake {
    /// One group of one pattern: `pattern * SLOTS + group`.
    pub(crate) slot: u16,
    /// Whether it is looked for on the way out, and on the way in.
    pub(crate) ways: [bool; 2],
    /// The bytes from its beginning to the accepting state.
    pub(crate) head_len: u8,
    /// What must follow.
    pub(crate) tail: Vec<u8>,
}

/// One automaton.
pub(crate) struct Gate {
    /// The class of each byte.
    pub(crate) classes: [u8; 256],
    /// The length of a row.
    pub(crate) row: usize,
    /// `next[state][class]`. Accepting states come last and have [`ACCEPTS`] set; those after which
    /// nothing longer can end have no row.
    pub(crate) table: Vec<u16>,
    /// The first accepting state.
    pub(crate) accept: u16,
    /// What ends at each accepting state.
    pub(crate) ends: Vec<End>,
}

/// What ends at an accepting state.
pub(crate) struct End {
    /// The kinds of cues that are whole there, on the way out and on the way in: far more frequent than
    /// what wakes a regex, and not worth a place of their own.
    pub(crate) cues: [u32; 2],
    /// All else.
    pub(crate) wakes: Vec<Wake>,
    /// The state to go on from, which has a row.
    pub(crate) after: u16,
}

/// Every kind of white space is one class: a literal's space matches a run of any. So are quotes,
/// and brackets that open or close, which makes a row of sixty-four enough.
pub(crate) fn fold(byte: u8) -> u8 {
    match byte {
        b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => b' ',
        b'\'' | b'`' => b'"',
        b'[' | b'{' => b'(',
        b']' | b'}' => b')',
        other => other.to_ascii_lowercase(),
    }
}

/// A literal to look for.
struct Literal {
    text: Vec<u8>,
    slot: u16,
    ways: [bool; 2],
}

impl Literal {
    /// Whether it has bytes beyond ASCII: plain text need not be swept for it.
    fn is_wide(&self) -> bool {
        !self.text.is_ascii()
    }
}

struct Node {
    next: BTreeMap<u8, usize>,
    last: u8,
    fail: usize,
    wakes: Vec<Wake>,
}

/// The automata of all literals.
pub(crate) struct Gates {
    /// Of those in ASCII.
    pub(crate) plain: Gate,
    /// Of the others.
    pub(crate) wide: Gate,
    /// The bytes of the longest, folded.
    pub(crate) literal_len_max: usize,
}

pub(crate) fn build(rules: &[RuleSource], cues: Range<usize>) -> Gates {
    let literals = literals(rules);
    let lens = literals.iter().map(|literal| literal.text.len());
    let literal_len_max = lens.max().unwrap_or(0);
    let (wide, plain): (Vec<Literal>, Vec<Literal>) =
        literals.into_iter().partition(Literal::is_wide);
    Gates {
        plain: automaton(&plain, &cues),
        wide: automaton(&wide, &cues),
        literal_len_max,
    }
}

fn literals(rules: &[RuleSource]) -> Vec<Literal> {
    let mut found = Vec::new();
    let mut pattern = 0;
    for rule in rules {
        let ways = [Direction::Outbound, Direction::Inbound].map(|way| rule.direction.covers(way));
        for source in rule.patterns() {
            let own = source.literals.iter().map(|text| text.as_bytes().to_vec());
            let extra = extra_groups(&source.regex);
            let groups = std::iter::once(own.collect()).chain(extra);
            for (group, texts) in groups.enumerate() {
                found.extend(texts.into_iter().map(|text| Literal {
                    text: folded(&text),
                    slot: (pattern * SLOTS + group) as u16,
                    ways,
                }));
            }
            pattern += 1;
        }
    }
    found
}

/// A literal with bytes beyond ASCII is cut before the first of them, but not to less than this.
const WIDE_MIN: usize = 6;

/// The text folded; so cut that a byte beyond ASCII is in its head, where it has one.
fn folded(text: &[u8]) -> Vec<u8> {
    let first = text.iter().position(|byte| !byte.is_ascii()).unwrap_or(0);
    let start = first.min(text.len().saturating_sub(WIDE_MIN));
    text[start..].iter().map(|byte| fold(*byte)).collect()
}

/// The groups of a pattern besides its own literals.
pub(crate) fn extra_groups(regex: &str) -> Vec<require::Group> {
    require::groups(regex, SLOTS - 1)
}

fn automaton(literals: &[Literal], cues: &Range<usize>) -> Gate {
    let mut nodes = vec![node(0)];
    literals.iter().for_each(|literal| add(&mut nodes, literal));
    let order = link(&mut nodes);
    let mut letters: Vec<u8> = nodes.iter().flat_map(|n| n.next.keys().copied()).collect();
    letters.sort_unstable();
    letters.dedup();
    let mut classes = [0u8; 256];
    for byte in 0..=255u8 {
        if let Ok(index) = letters.binary_search(&fold(byte)) {
            classes[byte as usize] = index as u8 + 1;
        }
    }
    number(&nodes, &order, &letters, classes, cues)
}

fn node(last: u8) -> Node {
    Node {
        next: BTreeMap::new(),
        last,
        fail: 0,
        wakes: Vec::new(),
    }
}

fn add(nodes: &mut Vec<Node>, literal: &Literal) {
    let (head, tail) = literal.text.split_at(literal.text.len().min(HEAD_LEN_MAX));
    let mut at = 0;
    for byte in head {
        let fresh = nodes.len();
        let next = *nodes[at].next.entry(*byte).or_insert(fresh);
        if next == fresh {
            nodes.push(node(*byte));
        }
        at = next;
    }
    nodes[at].wakes.push(Wake {
        slot: literal.slot,
        ways: literal.ways,
        head_len: head.len() as u8,
        tail: tail.to_vec(),
    });
}

/// Sets the failure links, gathers what suffixes wake, and gives the nodes breadth first.
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

/// A row of so many entries or fewer has a power of two of them: a shift finds it.
const SHORT_ROW: usize = 64;

fn number(
    nodes: &[Node],
    order: &[usize],
    letters: &[u8],
    classes: [u8; 256],
    cues: &Range<usize>,
) -> Gate {
    let (plain, accepting): (Vec<usize>, Vec<usize>) = order
        .iter()
        .partition(|node| nodes[**node].wakes.is_empty());
    let (inner, leaves): (Vec<usize>, Vec<usize>) =
        accepting.iter().partition(|node| !is_leaf(&nodes[**node]));
    let accept = plain.len();
    let rows: Vec<usize> = plain.into_iter().chain(inner).collect();
    let order: Vec<usize> = rows.iter().copied().chain(leaves).collect();
    let mut ids = vec![0u16; nodes.len()];
    assert!(order.len() < usize::from(ACCEPTS), "{} states", order.len());
    for (id, node) in order.iter().enumerate() {
        ids[*node] = id as u16 | if id < accept { 0 } else { ACCEPTS };
    }
    let classes_count = letters.len() + 1;
    let row = match classes_count.next_power_of_two() {
        short if short <= SHORT_ROW => short,
        _ => classes_count,
    };
    let mut table = vec![0u16; rows.len() * row];
    for (node, next) in rows.iter().zip(table.chunks_exact_mut(row)) {
        for (index, letter) in letters.iter().enumerate() {
            next[index + 1] = ids[step(nodes, *node, *letter)];
        }
    }
    let ends = order[accept..].iter().map(|node| {
        let after = ids[with_row(nodes, *node)] & !ACCEPTS;
        end(&nodes[*node].wakes, after, cues)
    });
    Gate {
        classes,
        row,
        table,
        accept: accept as u16,
        ends: ends.collect(),
    }
}

/// Whether what goes on from a node is what goes on from the longest other that it ends with.
fn is_leaf(node: &Node) -> bool {
    node.next.is_empty()
}

/// The node whose row tells how to go on from one.
fn with_row(nodes: &[Node], mut at: usize) -> usize {
    while at != 0 && is_leaf(&nodes[at]) {
        at = nodes[at].fail;
    }
    at
}

fn end(wakes: &[Wake], after: u16, cues: &Range<usize>) -> End {
    let mut end = End {
        cues: [0; 2],
        wakes: Vec::new(),
        after,
    };
    for wake in wakes {
        let pattern = usize::from(wake.slot) / SLOTS;
        if !cues.contains(&pattern) || !wake.tail.is_empty() {
            end.wakes.push(wake.clone());
            continue;
        }
        for (kinds, is_looked_for) in end.cues.iter_mut().zip(wake.ways) {
            *kinds |= u32::from(is_looked_for) << (pattern - cues.start);
        }
    }
    end
}
