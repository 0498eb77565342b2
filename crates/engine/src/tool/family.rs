//! What a tool is for, by its name and by what is said of it.

use std::collections::BTreeSet;

use super::rule::{Family, TOOLS};

/// What a tool may be for: a name such as `read_and_run` says two things.
pub(crate) type Families = BTreeSet<Family>;

/// The longest text that is read of what is said of a tool.
const SAID_BYTES_MAX: usize = 4096;

/// By the words of a name: `runInTerminal`, `execute_command`, `Bash`.
pub(crate) fn of_name(name: &str) -> Families {
    let words = words(name);
    let tells = |own: &&String| words.iter().any(|word| word == *own);
    let families = TOOLS.families.iter();
    let told = families.filter(|(_, telling)| telling.words.iter().any(|own| tells(&own)));
    told.map(|(family, _)| *family).collect()
}

/// By a tool's description.
pub(crate) fn of_description(text: &str) -> Families {
    let mut end = text.len().min(SAID_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let text = text[..end].to_ascii_lowercase();
    let families = TOOLS.families.iter();
    let told = families.filter(|(_, telling)| telling.said.iter().any(|own| text.contains(own)));
    told.map(|(family, _)| *family).collect()
}

/// The words of a name, in lower case: at capitals, and at all that is no letter.
pub(super) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars().take(256) {
        if !c.is_alphabetic() || (c.is_uppercase() && was_lower) {
            words.push(String::new());
        }
        was_lower = c.is_lowercase();
        if let Some(word) = words.last_mut().filter(|_| c.is_alphabetic()) {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::{Family, of_description, of_name};

    #[test]
    fn names_tell() {
        for (name, family) in [
            ("runInTerminal", Family::Execute),
            ("run_in_terminal", Family::Execute),
            ("execute_command", Family::Execute),
            ("bash", Family::Execute),
            ("Shell", Family::Execute),
            ("exec", Family::Execute),
            ("desktop-commander__start_process", Family::Execute),
            ("Write", Family::Write),
            ("create_file", Family::Write),
            ("str_replace_based_edit_tool", Family::Write),
            ("readTextFile", Family::Read),
            ("view", Family::Read),
            ("delete_file", Family::Delete),
            ("WebFetch", Family::Network),
            ("send_email", Family::Network),
            ("list_directory", Family::List),
        ] {
            assert!(
                of_name(name).contains(&family),
                "{name} {:?}",
                of_name(name)
            );
        }
        for name in ["add", "weather", "get_shelling_peas", "runway_status"] {
            assert!(!of_name(name).contains(&Family::Execute), "{name}");
        }
    }

    #[test]
    fn descriptions_tell() {
        for (text, family) in [
            (
                "Executes a shell command and returns its output.",
                Family::Execute,
            ),
            ("Run a command in the terminal.", Family::Execute),
            ("Write content to a file", Family::Write),
        ] {
            assert!(of_description(text).contains(&family), "{text}");
        }
        assert!(of_description("Adds two numbers.").is_empty());
    }
}
