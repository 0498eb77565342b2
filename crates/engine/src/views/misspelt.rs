//! How a word is written by mistake. The build script uses it too.

/// A word with one letter left out, written twice, or changed for the next.
pub(crate) fn of(word: &str) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let spell = |letters: &[char]| letters.iter().collect::<String>();
    let mut all = Vec::new();
    for at in 0..letters.len() {
        let mut other = letters.clone();
        other.remove(at);
        all.push(spell(&other));
        let mut other = letters.clone();
        other.insert(at, letters[at]);
        all.push(spell(&other));
        if at + 1 < letters.len() {
            let mut other = letters.clone();
            other.swap(at, at + 1);
            all.push(spell(&other));
        }
    }
    all.sort_unstable();
    all.dedup();
    all.retain(|other| other != word);
    all
}
