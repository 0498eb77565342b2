//! Decoys: values of the shape of real credentials that nothing honest uses.
//!
//! Each is derived from a key of this installation and a number. The state directory keeps the key
//! and the numbers, so that later runs recognise what was minted without a list of it.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use carboy_engine::Known;
use clap::ValueEnum;
use flate2::Crc;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::paths;

/// Canaries of `carboy canary new` that are recognised: the newest.
const NEW_MAX: usize = 256;

/// Canaries of bottles that are recognised: the newest. Older ones are in no bottle any more.
const BOTTLE_MAX: usize = 32;

/// Most of the list that is read: some ten thousand lines.
const LIST_BYTES_MAX: u64 = 1 << 20;

const KEY_BYTES: usize = 32;

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// What a canary looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// An AWS access key: its id and its secret
    Aws,
    /// A GitHub personal access token
    Github,
    /// A GitLab personal access token
    Gitlab,
    /// An Anthropic API key
    Anthropic,
    /// An OpenAI project key
    Openai,
    /// A Google API key
    Google,
    /// A Slack bot token
    Slack,
    /// A Stripe secret key
    Stripe,
    /// An npm access token
    Npm,
    /// Letters and digits
    Generic,
}

/// Who minted a canary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// A user, to be put wherever it may be found.
    New,
    /// A bottle, which gets it in its environment.
    Bottle,
}

/// A canary: the usual name of each of its values, and the value.
pub(crate) struct Canary {
    pub(crate) name: String,
    pub(crate) values: Vec<(&'static str, Zeroizing<String>)>,
}

/// The kinds that a bottle gets.
pub(crate) const PLANTED: [Kind; 2] = [Kind::Aws, Kind::Github];

/// What stands before the names of planted variables, so that no program takes one for its own.
pub(crate) const PLANTED_PREFIX: &str = "BACKUP_";

/// Mints a canary and records it.
///
/// # Errors
/// A state directory that cannot be written, or a system without randomness.
pub(crate) fn mint(state: &Path, kind: Kind, whose: For) -> Result<Canary> {
    let key = match read_key(state)? {
        Some(key) => key,
        None => make_key(state)?,
    };
    let number = u64::from_le_bytes(random()?);
    let path = list_path(state);
    let mut list = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    // One write, so that two runs do not mix theirs.
    let line = format!("{number:016x} {} {}\n", kind.name(), whose.name());
    list.write_all(line.as_bytes())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(derive(&key, kind, number))
}

/// A canary that nothing recognises, for its names.
pub(crate) fn sample(kind: Kind) -> Canary {
    derive(&Key::default(), kind, 0)
}

/// Adds what was minted to what is known.
///
/// # Errors
/// A key or a list that cannot be read, or that is open to others.
pub(crate) fn recognise(state: &Path, known: &mut Known) -> Result<()> {
    let Some(key) = read_key(state)? else {
        return Ok(());
    };
    let path = list_path(state);
    let mut text = String::new();
    match File::open(&path) {
        Ok(file) => {
            let read = file.take(LIST_BYTES_MAX).read_to_string(&mut text);
            read.with_context(|| format!("cannot read {}", path.display()))?;
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
    let (mut new, mut bottles) = (NEW_MAX, BOTTLE_MAX);
    for (number, kind, whose) in text.lines().rev().filter_map(parse) {
        let left = match whose {
            For::New => &mut new,
            For::Bottle => &mut bottles,
        };
        if *left > 0 {
            *left -= 1;
            derive(&key, kind, number).add_to(known);
        }
    }
    Ok(())
}

impl Canary {
    /// Makes its values known.
    pub(crate) fn add_to(&self, known: &mut Known) {
        for (_, value) in &self.values {
            known.add_canary(&self.name, value.as_bytes());
        }
    }
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Github => "github",
            Self::Gitlab => "gitlab",
            Self::Anthropic => "anthropic",
            Self::Openai => "openai",
            Self::Google => "google",
            Self::Slack => "slack",
            Self::Stripe => "stripe",
            Self::Npm => "npm",
            Self::Generic => "generic",
        }
    }
}

impl For {
    fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Bottle => "bottle",
        }
    }
}

fn parse(line: &str) -> Option<(u64, Kind, For)> {
    let mut parts = line.split(' ');
    let number = u64::from_str_radix(parts.next()?, 16).ok()?;
    let kind = parts.next()?;
    let kind = Kind::value_variants()
        .iter()
        .find(|own| own.name() == kind)?;
    let whose = parts.next()?;
    let whose = [For::New, For::Bottle]
        .into_iter()
        .find(|own| own.name() == whose)?;
    Some((number, *kind, whose))
}

const UPPER_32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const DIGITS: &[u8] = b"0123456789";
const BASE62: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE64_URL: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Letters of which one is a digit: of twenty, one in thirty has none, as a placeholder in words has none.
fn with_digit(mut letters: String) -> String {
    if !letters.contains(|c: char| c.is_ascii_digit()) {
        letters.pop();
        letters.push('7');
    }
    letters
}

/// The canary of a kind and a number.
fn derive(key: &Key, kind: Kind, number: u64) -> Canary {
    let mut letters = Letters::new(key, kind, number);
    let values = match kind {
        Kind::Aws => vec![
            ("AWS_ACCESS_KEY_ID", aws_key_id(&mut letters)),
            ("AWS_SECRET_ACCESS_KEY", letters.of(BASE64, 40)),
        ],
        Kind::Github => vec![("GITHUB_TOKEN", checked("ghp_", &mut letters))],
        Kind::Npm => vec![("NPM_TOKEN", checked("npm_", &mut letters))],
        Kind::Gitlab => vec![(
            "GITLAB_TOKEN",
            format!("glpat-{}", with_digit(letters.of(BASE64_URL, 20))),
        )],
        Kind::Anthropic => {
            let body = letters.of(BASE64_URL, 93);
            vec![("ANTHROPIC_API_KEY", format!("sk-ant-api03-{body}AA"))]
        }
        Kind::Openai => {
            let (head, tail) = (letters.of(BASE64_URL, 74), letters.of(BASE64_URL, 74));
            vec![("OPENAI_API_KEY", format!("sk-proj-{head}T3BlbkFJ{tail}"))]
        }
        Kind::Google => vec![(
            "GOOGLE_API_KEY",
            format!("AIzaSy{}", letters.of(BASE64_URL, 33)),
        )],
        Kind::Slack => {
            let (team, bot) = (letters.of(DIGITS, 11), letters.of(DIGITS, 12));
            let token = format!("xoxb-{team}-{bot}-{}", letters.of(BASE62, 24));
            vec![("SLACK_BOT_TOKEN", token)]
        }
        Kind::Stripe => vec![(
            "STRIPE_SECRET_KEY",
            format!("sk_live_{}", letters.of(BASE62, 24)),
        )],
        Kind::Generic => vec![("SECRET_TOKEN", letters.of(BASE62, 40))],
    };
    Canary {
        name: format!("{}-{:04x}", kind.name(), number >> 48),
        values: values
            .into_iter()
            .map(|(name, value)| (name, Zeroizing::new(value)))
            .collect(),
    }
}

/// A key id holds an account's number of twelve digits in the forty bits that follow its first one.
fn aws_key_id(letters: &mut Letters<'_>) -> String {
    const ACCOUNT_MAX: u64 = 999_999_999_999;
    loop {
        let body = letters.of(UPPER_32, 16);
        let value = |byte: &u8| {
            UPPER_32
                .iter()
                .position(|own| own == byte)
                .unwrap_or_default()
        };
        let head = body.as_bytes()[..10].iter();
        let bits = head.fold(0u64, |bits, byte| bits << 5 | value(byte) as u64);
        let account = bits >> 2 & 0x7fff_ffff_ff80;
        if account >> 7 <= ACCOUNT_MAX {
            return format!("AKIA{body}");
        }
    }
}

/// Thirty letters and their CRC-32 in six base62 digits.
fn checked(prefix: &str, letters: &mut Letters<'_>) -> String {
    let body = letters.of(BASE62, 30);
    let mut crc = Crc::new();
    crc.update(body.as_bytes());
    let (mut rest, mut digits) = (crc.sum() as usize, Vec::new());
    for _ in 0..6 {
        digits.insert(0, char::from(BASE62[rest % 62]));
        rest /= 62;
    }
    let digits: String = digits.into_iter().collect();
    format!("{prefix}{body}{digits}")
}

/// An endless row of letters that only the key and the canary's number tell.
struct Letters<'a> {
    key: &'a Key,
    label: String,
    block: u32,
    left: Vec<u8>,
}

impl<'a> Letters<'a> {
    fn new(key: &'a Key, kind: Kind, number: u64) -> Self {
        Self {
            key,
            label: format!("carboy canary {} {number:016x}", kind.name()),
            block: 0,
            left: Vec::new(),
        }
    }

    fn of(&mut self, alphabet: &[u8], count: usize) -> String {
        let letters = (0..count).map(|_| char::from(alphabet[self.below(alphabet.len())]));
        letters.collect()
    }

    /// A number below `limit`, each as likely as the others.
    fn below(&mut self, limit: usize) -> usize {
        let fair = 256 / limit * limit;
        loop {
            let byte = usize::from(self.byte());
            if byte < fair {
                return byte % limit;
            }
        }
    }

    fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.left.pop() {
                return byte;
            }
            let hash = Sha256::new()
                .chain_update(**self.key)
                .chain_update(self.label.as_bytes())
                .chain_update(self.block.to_le_bytes());
            self.left.extend_from_slice(&hash.finalize());
            self.block += 1;
        }
    }
}

fn directory(state: &Path) -> PathBuf {
    state.join("canaries")
}

fn list_path(state: &Path) -> PathBuf {
    directory(state).join("minted")
}

fn key_path(state: &Path) -> PathBuf {
    directory(state).join("canary.key")
}

fn read_key(state: &Path) -> Result<Option<Key>> {
    let path = key_path(state);
    let mut file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let about = file.metadata()?;
    ensure!(
        about.permissions().mode() & 0o077 == 0,
        "others may read {}; run chmod 600 on it",
        path.display()
    );
    ensure!(
        about.len() == KEY_BYTES as u64,
        "{} is not a key of {KEY_BYTES} bytes; move it away, and a new one is made",
        path.display()
    );
    let mut key = Key::default();
    file.read_exact(&mut *key)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Some(key))
}

/// Makes the key under a name of its own and links it, so that two runs agree on one whole key.
fn make_key(state: &Path) -> Result<Key> {
    paths::private_dir(&directory(state))?;
    let path = key_path(state);
    let mut key = Key::default();
    getrandom::fill(&mut *key).context("the system has no randomness")?;
    let own = directory(state).join(format!(".key.{:016x}", u64::from_le_bytes(random()?)));
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&own)
        .and_then(|mut file| file.write_all(&*key).and_then(|()| file.sync_all()))
        .and_then(|()| match fs::hard_link(&own, &path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => linked,
        });
    let removed = fs::remove_file(&own);
    made.and(removed)
        .with_context(|| format!("cannot write {}", path.display()))?;
    read_key(state)?.with_context(|| format!("{} is gone", path.display()))
}

fn random() -> Result<[u8; 8]> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).context("the system has no randomness")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use carboy_engine::{Direction, Known, Probe};
    use clap::ValueEnum;

    use super::{For, Kind, key_path, list_path, mint, recognise, with_digit};

    #[test]
    fn what_is_minted_is_recognised_and_nothing_of_it_is_kept() {
        let state = tempfile::tempdir().expect("a directory");
        for kind in Kind::value_variants() {
            let canary = mint(state.path(), *kind, For::New).expect("a canary");
            let mut known = Known::default();
            recognise(state.path(), &mut known).expect("what was minted");
            let probe = Probe::knowing(known);
            for (_, value) in &canary.values {
                let seen = probe.scan(Direction::Inbound, value.as_bytes());
                let seen = seen.expect("the budget covers it");
                assert!(seen.iter().any(|(rule, ..)| *rule == "canary"), "{kind:?}");
                let list = std::fs::read(list_path(state.path())).expect("the list");
                let list = String::from_utf8_lossy(&list);
                assert!(!list.contains(&value[4..12]), "{kind:?}");
            }
        }
        for path in [key_path(state.path()), list_path(state.path())] {
            let mode = std::fs::metadata(&path)
                .expect("a file")
                .permissions()
                .mode();
            assert_eq!(mode & 0o777, 0o600, "{}", path.display());
        }
    }

    #[test]
    fn each_has_the_shape_that_its_provider_gives() {
        let state = tempfile::tempdir().expect("a directory");
        let probe = Probe::default();
        for kind in Kind::value_variants() {
            let canary = mint(state.path(), *kind, For::New).expect("a canary");
            let text: Vec<_> = canary
                .values
                .iter()
                .map(|(name, value)| format!("{name}={}\n", **value))
                .collect();
            let seen = probe.scan(Direction::Outbound, text.concat().as_bytes());
            let seen = seen.expect("the budget covers it");
            let is_known = seen
                .iter()
                .any(|(_, severity, ..)| matches!(*severity, "critical" | "high"));
            assert!(is_known, "{kind:?}: {seen:?}");
        }
    }

    #[test]
    fn short_ones_have_a_digit() {
        assert_eq!(with_digit("ZsoWw_Rxl-IU".to_owned()), "ZsoWw_Rxl-I7");
        assert_eq!(with_digit("Zso4w_Rxl-IU".to_owned()), "Zso4w_Rxl-IU");
    }

    #[test]
    fn no_two_are_alike() {
        let state = tempfile::tempdir().expect("a directory");
        let one = mint(state.path(), Kind::Github, For::New).expect("a canary");
        let other = mint(state.path(), Kind::Github, For::Bottle).expect("a canary");
        assert_ne!(*one.values[0].1, *other.values[0].1);
    }
}
