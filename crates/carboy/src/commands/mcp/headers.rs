//! Headers that a remote server is sent beside the client's: their values stand in variables or files, since
//! a command line is seen by every process.

use std::env;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use carboy_engine::{Asked, Known};
use carboy_proxy::mcp::AddedFields;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use tokio::signal::unix::Signal;

use crate::output;

/// How often files are looked at again: a token that was renewed is used before the old one ends.
const REREAD_PAUSE: Duration = Duration::from_secs(1);

/// The longest value: servers take heads of some 8 KiB.
const VALUE_BYTES_MAX: u64 = 16 * 1024;

/// Where values come from.
pub(super) struct Sources(Vec<(HeaderName, Source)>);

enum Source {
    /// A variable's value, which stays what it was.
    Fixed(HeaderValue),
    File(PathBuf),
}

impl Sources {
    /// Reads `--header-env` and `--header-file` options.
    pub(super) fn parse(variables: &[String], files: &[String]) -> Result<Self> {
        let mut sources = Vec::new();
        for text in variables {
            let (name, variable) = split(text, "--header-env", "VARIABLE")?;
            let value = env::var(variable).with_context(|| {
                format!("`--header-env`: the variable {variable} is not set, or is no text")
            })?;
            let value = value_of(&value, variable)?;
            sources.push((name, Source::Fixed(value)));
        }
        for text in files {
            let (name, path) = split(text, "--header-file", "PATH")?;
            sources.push((name, Source::File(path.into())));
        }
        Ok(Self(sources))
    }

    /// The fields as they are now.
    pub(super) fn read(&self) -> Result<HeaderMap> {
        let mut fields = HeaderMap::new();
        for (name, source) in &self.0 {
            let value = match source {
                Source::Fixed(value) => value.clone(),
                Source::File(path) => read_file(path)?,
            };
            fields.insert(name.clone(), value);
        }
        Ok(fields)
    }

    /// Takes files' values in as they change, and at once on SIGHUP. One that cannot be read is told of, and
    /// the value before stays.
    pub(super) async fn follow(self, fields: Arc<AddedFields>, mut hangup: Signal) {
        let has_files = self.0.iter().any(|(_, own)| matches!(own, Source::File(_)));
        let mut told = String::new();
        loop {
            tokio::select! {
                heard = hangup.recv() => if heard.is_none() { return },
                () = tokio::time::sleep(REREAD_PAUSE), if has_files => {}
            }
            match self.read() {
                Ok(read) => {
                    told.clear();
                    if fields.replace(read) {
                        output::note("a header's value changed, and is used from now on");
                    }
                }
                Err(error) => {
                    let error = format!("{error:#}; the value before stays in use");
                    if error != told {
                        output::note(&error);
                        told = error;
                    }
                }
            }
        }
    }
}

/// Makes the values known as secrets, which cross neither way in what is judged: only the gate adds them.
pub(super) fn make_known(fields: &HeaderMap, known: &mut Known) {
    for (name, value) in fields {
        let text = value.as_bytes();
        // `Bearer TOKEN`: the token is the secret.
        let secret = text.rsplit(|byte| *byte == b' ').next().unwrap_or(text);
        known.add(&format!("header {name}"), secret, Asked::ByName);
    }
}

fn split<'a>(text: &'a str, option: &str, what: &str) -> Result<(HeaderName, &'a str)> {
    let (name, rest) = text
        .split_once('=')
        .with_context(|| format!("`{option} {text}`: write HEADER={what}"))?;
    let name: HeaderName = name
        .parse()
        .with_context(|| format!("`{name}` is no header's name"))?;
    Ok((name, rest))
}

fn read_file(path: &PathBuf) -> Result<HeaderValue> {
    let shown = path.display().to_string();
    let mut text = String::new();
    let file = File::open(path).with_context(|| format!("`--header-file`: cannot open {shown}"))?;
    file.take(VALUE_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("`--header-file`: cannot read {shown}"))?;
    ensure!(
        text.len() as u64 <= VALUE_BYTES_MAX,
        "`--header-file`: {shown} has more than {VALUE_BYTES_MAX} bytes"
    );
    let text = text.trim_end();
    if text.is_empty() {
        bail!("`--header-file`: {shown} is empty; write the header's value into it");
    }
    value_of(text, &shown)
}

fn value_of(text: &str, of: &str) -> Result<HeaderValue> {
    let mut value = HeaderValue::from_str(text)
        .with_context(|| format!("the value of {of} cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::Sources;

    #[test]
    fn values_come_from_variables_and_files_alone() {
        let found = Sources::parse(&["X-Where=PATH".into()], &[]);
        assert!(found.unwrap().read().unwrap()["x-where"].is_sensitive());
        for wrong in ["authorization", "a b=PATH", "x=NO_SUCH_VARIABLE_AT_ALL"] {
            assert!(Sources::parse(&[wrong.into()], &[]).is_err(), "{wrong}");
        }
        assert!(Sources::parse(&[], &["authorization".into()]).is_err());
    }

    #[test]
    fn a_files_value_is_read_as_it_is_now() {
        let place = tempfile::tempdir().unwrap();
        let file = place.path().join("token");
        let sources = Sources::parse(&[], &[format!("authorization={}", file.display())]).unwrap();
        let error = sources.read().unwrap_err();
        assert!(format!("{error:#}").contains("token"), "{error:#}");
        for (text, value) in [
            ("Bearer one\n", Some("Bearer one")),
            ("Bearer two", Some("Bearer two")),
            ("\n", None),
            ("a\nb", None),
        ] {
            std::fs::write(&file, text).unwrap();
            let read = sources.read().ok();
            let read = read.map(|fields| fields["authorization"].to_str().unwrap().to_owned());
            assert_eq!(read.as_deref(), value, "{text:?}");
        }
        std::fs::write(&file, "x".repeat(20_000)).unwrap();
        assert!(sources.read().is_err());
    }
}
