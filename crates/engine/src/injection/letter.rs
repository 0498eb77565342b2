//! What makes a word. The build script uses it too.

/// Letters of scripts that part words by spaces.
pub(crate) fn is_letter(c: char) -> bool {
    (c.is_alphanumeric() || c == '_') && !is_unspaced(c)
}

/// Chinese, Japanese and Korean: where a word begins or ends, nothing shows.
fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}')
}
