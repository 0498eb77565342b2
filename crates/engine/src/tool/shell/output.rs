//! What the simplest commands print, which is how commands are hidden most often.

use data_encoding::{BASE32, BASE64, BASE64URL};

use super::unwrap::base_name;

/// The longest output that is worked out.
const OUTPUT_BYTES_MAX: usize = 256 << 10;

/// What a command prints; none where that is not known.
pub(super) fn of(words: &[String], input: Option<&str>) -> Option<String> {
    let (name, rest) = words.split_first()?;
    let printed = match &*base_name(name) {
        "echo" => Some(echo(rest)),
        "printf" => Some(printf(rest)),
        "cat" | "tee" if operands(rest).next().is_none() => input.map(str::to_owned),
        "base64" | "gbase64" if asks(rest, "dD", "--decode") => decoded(rest, input, base64),
        "base32" if asks(rest, "d", "--decode") => decoded(rest, input, base32),
        "openssl" if rest.iter().any(|word| word == "-d") => decoded(&[], input, base64),
        "xxd" if asks(rest, "r", "--reverse") => decoded(&[], input, hex),
        "rev" => input.map(|text| text.trim_end().chars().rev().collect()),
        "tr" => tr(rest, input?),
        "which" => rest.last().cloned(),
        "command" | "type" if rest.first().is_some_and(|flag| flag == "-v") => rest.last().cloned(),
        "basename" => operands(rest).next().map(|path| base_name(path)),
        "true" | ":" | "cd" | "export" | "set" | "alias" | "sleep" | "unset" => Some(String::new()),
        _ => None,
    };
    printed.filter(|text| text.len() <= OUTPUT_BYTES_MAX)
}

/// A value after `:0:1`, `#prefix`, `%suffix`, `/from/to`, `^^` or `,,`.
pub(super) fn changed(value: String, change: &str) -> String {
    if let Some(slice) = change.strip_prefix(':') {
        return sliced(&value, slice);
    }
    let first = change.chars().next();
    let rest = change.trim_start_matches(first.unwrap_or_default());
    match first {
        Some('#') if rest.starts_with('*') => {
            let cut = value.split_once(rest.trim_start_matches('*'));
            cut.map_or_else(|| value.clone(), |(_, tail)| tail.to_owned())
        }
        Some('#') => value.strip_prefix(rest).unwrap_or(&value).to_owned(),
        Some('%') if rest.ends_with('*') => {
            let cut = value.rsplit_once(rest.trim_end_matches('*'));
            cut.map_or_else(|| value.clone(), |(head, _)| head.to_owned())
        }
        Some('%') => value.strip_suffix(rest).unwrap_or(&value).to_owned(),
        Some('/') => match rest.split_once('/').unwrap_or((rest, "")) {
            ("", _) => value,
            (from, to) if value.len() <= 4096 => value.replace(from, to),
            _ => value,
        },
        Some('^') => value.to_uppercase(),
        Some(',') => value.to_lowercase(),
        Some(_) | None => value,
    }
}

fn sliced(value: &str, slice: &str) -> String {
    let (start, length) = match slice.split_once(':') {
        Some((start, length)) => (start, length.trim().parse().ok()),
        None => (slice, None),
    };
    let Ok(start) = start.trim().parse::<i64>() else {
        return value.to_owned();
    };
    let count = value.chars().count();
    let start = match usize::try_from(start) {
        Ok(start) => start,
        Err(_) => count.saturating_sub(usize::try_from(start.unsigned_abs()).unwrap_or(count)),
    };
    value
        .chars()
        .skip(start)
        .take(length.unwrap_or(count))
        .collect()
}

fn operands(words: &[String]) -> impl Iterator<Item = &String> {
    words.iter().filter(|word| !word.starts_with('-'))
}

fn asks(words: &[String], letters: &str, long: &str) -> bool {
    words.iter().any(|word| {
        let is_short = word.starts_with('-') && !word.starts_with("--");
        (word.len() > 3 && word.starts_with("--") && long.starts_with(&**word))
            || (is_short && word.contains(|c| letters.contains(c)))
    })
}

fn echo(words: &[String]) -> String {
    let is_flag = |word: &&String| matches!(&***word, "-n" | "-e" | "-E" | "-ne" | "-en");
    let flags = words.iter().take_while(is_flag).count();
    let text = words[flags..].join(" ");
    match words[..flags].iter().any(|word| word.contains('e')) {
        true => escaped(&text),
        false => text,
    }
}

/// `%s`, `%b` and what is plain; other conversions print their argument as it is.
fn printf(words: &[String]) -> String {
    let words = match words.first().map(|word| &**word) {
        Some("--") => &words[1..],
        Some("-v") => return String::new(),
        Some(_) | None => words,
    };
    let Some((format, arguments)) = words.split_first() else {
        return String::new();
    };
    let format = escaped(format);
    let mut arguments = arguments.iter();
    let mut text = String::new();
    loop {
        let left = arguments.len();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                text.push(c);
                continue;
            }
            let mut kind = chars.next();
            while kind.is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '.' | '+')) {
                kind = chars.next();
            }
            match kind {
                Some('%') => text.push('%'),
                Some('b') => text.push_str(&escaped(arguments.next().map_or("", |own| own))),
                Some(_) => text.push_str(arguments.next().map_or("", |own| own)),
                None => {}
            }
        }
        let is_done = arguments.len() == 0 || arguments.len() == left;
        if is_done || text.len() > OUTPUT_BYTES_MAX {
            return text;
        }
    }
}

/// `\x41`, `\101`, `\n`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(c) = rest.chars().next() else {
            out.push('\\');
            break;
        };
        let (radix, skip, count_max) = match c {
            'x' => (16, 1, 2),
            'u' => (16, 1, 4),
            '0' => (8, 1, 3),
            '1'..='7' => (8, 0, 3),
            c => {
                out.push(match c {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    c => c,
                });
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        let digits = rest[skip..].chars().take(count_max);
        let len = digits.take_while(|c| c.is_digit(radix)).count();
        let value = u32::from_str_radix(&rest[skip..skip + len], radix).ok();
        out.extend(value.and_then(char::from_u32));
        rest = &rest[skip + len..];
    }
    out.push_str(rest);
    out
}

fn decoded(
    words: &[String],
    input: Option<&str>,
    decode: fn(&str) -> Option<Vec<u8>>,
) -> Option<String> {
    let input = match operands(words).next() {
        None => input?,
        Some(_) => return None,
    };
    let text: String = input.split_whitespace().collect();
    let bytes = decode(&text)?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// With or without padding, in either alphabet.
pub(in super::super) fn base64(text: &str) -> Option<Vec<u8>> {
    let mut text = text.trim_end_matches('=').to_owned();
    while !text.len().is_multiple_of(4) {
        text.push('=');
    }
    let bytes = BASE64.decode(text.as_bytes());
    bytes.or_else(|_| BASE64URL.decode(text.as_bytes())).ok()
}

fn base32(text: &str) -> Option<Vec<u8>> {
    BASE32.decode(text.as_bytes()).ok()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    data_encoding::HEXLOWER_PERMISSIVE
        .decode(digits.as_bytes())
        .ok()
}

/// `tr a-z A-Z`, `tr -d x`.
fn tr(words: &[String], input: &str) -> Option<String> {
    let sets: Vec<_> = operands(words).map(|set| spread(set)).collect();
    let text = match (&sets[..], asks(words, "d", "--delete")) {
        ([gone], true) => input.chars().filter(|c| !gone.contains(c)).collect(),
        ([from, to], false) => {
            let change = |c: char| match from.iter().position(|own| *own == c) {
                Some(at) => to.get(at).or(to.last()).copied().unwrap_or(c),
                None => c,
            };
            input.chars().map(change).collect()
        }
        _ => return None,
    };
    Some(text)
}

/// The characters of a set such as `a-zA-Z`.
fn spread(set: &str) -> Vec<char> {
    let chars: Vec<_> = escaped(set).chars().take(512).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        match chars[at..] {
            [from, '-', to, ..] if from <= to && to.is_ascii() => {
                out.extend(from..=to);
                at += 3;
            }
            [c, ..] => {
                out.push(c);
                at += 1;
            }
            [] => break,
        }
    }
    out
}
