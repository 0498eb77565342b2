//! UTF-8 in pieces.

use super::Violation;

/// Checks that a message is UTF-8, however it is cut.
#[derive(Debug, Default)]
pub struct TextCheck {
    /// The beginning of a character whose rest is still to come.
    cut: [u8; 4],
    cut_bytes: usize,
}

impl TextCheck {
    /// Checks the next bytes. What can no longer become UTF-8 is told at once.
    ///
    /// # Errors
    /// [`Violation::Text`].
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<(), Violation> {
        while self.cut_bytes > 0 {
            let Some((next, rest)) = bytes.split_first() else {
                return Ok(());
            };
            self.cut[self.cut_bytes] = *next;
            self.cut_bytes += 1;
            bytes = rest;
            if is_whole(&self.cut[..self.cut_bytes])? {
                self.cut_bytes = 0;
            }
        }
        let Err(error) = std::str::from_utf8(bytes) else {
            return Ok(());
        };
        if error.error_len().is_some() {
            return Err(Violation::Text);
        }
        let cut = &bytes[error.valid_up_to()..];
        self.cut[..cut.len()].copy_from_slice(cut);
        self.cut_bytes = cut.len();
        Ok(())
    }

    /// Ends the message.
    ///
    /// # Errors
    /// [`Violation::Text`] where it ends within a character.
    pub fn end(&mut self) -> Result<(), Violation> {
        match std::mem::take(&mut self.cut_bytes) {
            0 => Ok(()),
            _ => Err(Violation::Text),
        }
    }
}

/// Whether bytes are one character, and not only its beginning.
fn is_whole(bytes: &[u8]) -> Result<bool, Violation> {
    match std::str::from_utf8(bytes) {
        Ok(_) => Ok(true),
        Err(error) if error.error_len().is_none() => Ok(false),
        Err(_) => Err(Violation::Text),
    }
}
