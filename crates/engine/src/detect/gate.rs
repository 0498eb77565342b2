//! The literal sweep: one pass over a view tells which patterns may match, and near where.

include!(concat!(env!("OUT_DIR"), "/gate.rs"));
static TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/gate.bin"));

/// A view of at least this many bytes is swept as four stretches at once: the automaton's steps
/// wait for memory, not for each other.
const SPLIT_MIN: usize = 2048;

/// A literal's last byte and the patterns that it wakes.
pub(super) struct Wake {
    pub(super) at: usize,
    pub(super) patterns: &'static [u16],
}

#[inline(always)]
fn step(state: u16, byte: u8) -> u16 {
    let index = (usize::from(state) << SHIFT | usize::from(CLASSES[byte as usize])) * 2;
    u16::from_le_bytes([TABLE[index], TABLE[index + 1]])
}

/// Every end of a literal.
pub(super) fn sweep(bytes: &[u8]) -> Vec<Wake> {
    let mut wakes = Vec::new();
    if bytes.len() < SPLIT_MIN {
        run(bytes, 0, 0, &mut wakes);
        return wakes;
    }
    let quarter = bytes.len() / 4;
    let (a, rest) = bytes.split_at(quarter);
    let (b, rest) = rest.split_at(quarter);
    let (c, d) = rest.split_at(quarter);
    let mut states = [0u16; 4];
    for (index, (((a, b), c), d)) in a.iter().zip(b).zip(c).zip(d).enumerate() {
        states = [
            step(states[0], *a),
            step(states[1], *b),
            step(states[2], *c),
            step(states[3], *d),
        ];
        let last = states[0].max(states[1]).max(states[2]).max(states[3]);
        if last >= ACCEPT {
            for (stretch, state) in states.into_iter().enumerate() {
                note(stretch * quarter + index, state, &mut wakes);
            }
        }
    }
    for (stretch, state) in states.into_iter().enumerate() {
        let start = (stretch + 1) * quarter;
        join(bytes, start, state, stretch == 3, &mut wakes);
    }
    wakes
}

/// Goes on with a stretch's state into the next stretch, until nothing of the old is in it.
fn join(bytes: &[u8], start: usize, mut state: u16, is_last: bool, wakes: &mut Vec<Wake>) {
    let mut fresh = 0;
    for (index, byte) in bytes[start..].iter().enumerate() {
        state = step(state, *byte);
        fresh = step(fresh, *byte);
        if state == fresh && !is_last {
            return;
        }
        note(start + index, state, wakes);
    }
}

fn run(bytes: &[u8], start: usize, mut state: u16, wakes: &mut Vec<Wake>) {
    for (index, byte) in bytes.iter().enumerate() {
        state = step(state, *byte);
        if state >= ACCEPT {
            note(start + index, state, wakes);
        }
    }
}

fn note(at: usize, state: u16, wakes: &mut Vec<Wake>) {
    if let Some(accepting) = state.checked_sub(ACCEPT) {
        wakes.push(Wake {
            at,
            patterns: WAKES[usize::from(accepting)],
        });
    }
}
