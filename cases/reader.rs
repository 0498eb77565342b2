//! Reads the corpus. The tests of every crate that runs it include this file.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use carboy_engine::{Asked, Known, Policy, Preset};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseFile {
    /// What cases expect that do not say.
    #[serde(default)]
    expect: String,
    cases: Vec<Case>,
}

/// One case as written. `README.md` tells what its keys mean.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "no crate's adapters need all of it")]
pub(crate) struct Case {
    /// The file it is in, below `cases`.
    #[serde(skip)]
    pub(crate) file: String,
    pub(crate) name: String,
    #[serde(default = "balanced")]
    pub(crate) policy: String,
    #[serde(default = "http_request")]
    pub(crate) crossing: String,
    pub(crate) url: Option<String>,
    #[serde(default)]
    pub(crate) urls: Vec<String>,
    pub(crate) target: Option<String>,
    pub(crate) method: Option<String>,
    #[serde(default)]
    pub(crate) headers: Vec<String>,
    pub(crate) body: Option<String>,
    pub(crate) body_base64: Option<String>,
    pub(crate) body_gen: Option<Generated>,
    #[serde(default = "once")]
    pub(crate) times: u64,
    #[serde(default)]
    pub(crate) every: u64,
    #[serde(default)]
    pub(crate) known: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) canaries: BTreeMap<String, String>,
    pub(crate) resolve: Option<Vec<IpAddr>>,
    #[serde(default)]
    pub(crate) expect: String,
    pub(crate) rule: Option<String>,
    pub(crate) surface: Option<String>,
    pub(crate) remedy: Option<String>,
    #[serde(default)]
    pub(crate) findings: Vec<String>,
    pub(crate) shadow: Option<String>,
    pub(crate) resolves: Option<bool>,
    #[serde(default)]
    pub(crate) tls: bool,
}

fn balanced() -> String {
    "balanced".into()
}

fn http_request() -> String {
    "http-request".into()
}

fn once() -> u64 {
    1
}

/// Every case of every file, in the order of the files' names.
pub(crate) fn all() -> Vec<Case> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../cases");
    let entries = [dir.clone(), dir.join("benign")]
        .into_iter()
        .flat_map(|dir| std::fs::read_dir(dir).expect("the corpus"));
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|own| own == "yaml"));
    paths.sort();
    let read = |path: &PathBuf| {
        let file = path.strip_prefix(&dir).expect("it was listed there");
        let file = file.display().to_string();
        let cases = read(path).into_iter();
        cases.map(move |case| Case {
            file: file.clone(),
            ..case
        })
    };
    paths.iter().flat_map(read).collect()
}

fn read(path: &Path) -> Vec<Case> {
    let text = std::fs::read_to_string(path)
        .expect("a file")
        .replace("<>", "");
    let file: CaseFile =
        serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut cases = file.cases;
    for case in &mut cases {
        if case.expect.is_empty() {
            assert!(!file.expect.is_empty(), "{} expects nothing", case.name);
            case.expect.clone_from(&file.expect);
        }
        if let Some(last) = case.urls.last() {
            case.url = Some(last.clone());
            case.times = case.urls.len() as u64;
        }
    }
    cases
}

/// The path of an absolute URL.
#[allow(dead_code, reason = "no crate's adapters need all of it")]
pub(crate) fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find('/').map_or("/", |at| &rest[at..]);
    path.split(['?', '#']).next().unwrap_or_default()
}

impl Case {
    /// The policy that judges.
    pub(crate) fn parsed_policy(&self) -> Policy {
        match Preset::named(&self.policy) {
            Some(preset) => Policy::preset(preset),
            None => Policy::parse(&self.policy, &self.name).expect("a case's policy parses"),
        }
    }

    /// The values that the engine knows.
    pub(crate) fn knowledge(&self) -> Known {
        let mut known = Known::default();
        for (name, value) in &self.known {
            let is_kept = known.add(name, value.as_bytes(), Asked::ByName);
            assert!(is_kept, "{}: {name} is too plain", self.name);
        }
        for (name, value) in &self.canaries {
            assert!(known.add_canary(name, value.as_bytes()), "{}", self.name);
        }
        known
    }

    /// Cases with the same text here are judged by engines that are alike.
    pub(crate) fn engine_key(&self) -> String {
        format!("{}{:?}{:?}", self.policy, self.known, self.canaries)
    }

    /// The URL of a crossing, counted from 0. `{n}` in it is that number.
    #[allow(dead_code, reason = "no crate's adapters need all of it")]
    pub(crate) fn url_at(&self, index: u64) -> Option<String> {
        let own = self.urls.get(index as usize).or(self.url.as_ref());
        own.map(|url| Self::filled(url, index))
    }

    /// A text of the case in the crossing of this number: `{n}` is the number, `{noise}` symbols by lot,
    /// `{text}` some words in base64.
    #[allow(dead_code, reason = "no crate's adapters need all of it")]
    pub(crate) fn filled(text: &str, index: u64) -> String {
        const SYMBOLS: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
        if !text.contains('{') {
            return text.to_owned();
        }
        let mut lot = Lot(index);
        let mut symbol = || char::from(SYMBOLS[lot.below(SYMBOLS.len() as u64) as usize]);
        let noise: String = (0..24).map(|_| symbol()).collect();
        let mut lot = Lot(index);
        let words: Vec<_> = (0..5).map(|_| lot.word()).collect();
        let words = data_encoding::BASE64URL_NOPAD.encode(words.join(" ").as_bytes());
        text.replace("{n}", &index.to_string())
            .replace("{noise}", &noise)
            .replace("{text}", &words)
    }

    /// The body, as it is or from base64.
    pub(crate) fn body(&self) -> Vec<u8> {
        let decode = |text: &String| {
            let text: String = text.split_whitespace().collect();
            data_encoding::BASE64
                .decode(text.as_bytes())
                .expect("base64")
        };
        let made = self.body_gen.as_ref().map(Generated::bytes);
        let plain = self.body.as_ref().map(|text| match &made {
            Some(made) => text.replace("{gen}", &String::from_utf8_lossy(made)),
            None => text.clone(),
        });
        plain
            .map(String::into_bytes)
            .or_else(|| self.body_base64.as_ref().map(decode))
            .or(made)
            .unwrap_or_default()
    }
}

/// Content that is made, the same each time: what is too large or too binary to write down.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Generated {
    kind: Kind,
    seed: u64,
    size: usize,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// Bytes by lot.
    Noise,
    /// A picture's head, and noise.
    Png,
    Jpeg,
    /// A document's head and tail, and noise between.
    Pdf,
    /// An archive's head, and noise.
    Zip,
    Gzip,
    /// Noise in base64, in one line.
    Base64,
    /// Noise in base64, in lines of 76.
    Mime,
    /// Noise in hexadecimal, in one line.
    Hex,
    /// Words and sentences.
    Prose,
    /// A table: names, days and numbers.
    Csv,
    /// Program text of one line.
    Minified,
}

impl Generated {
    fn bytes(&self) -> Vec<u8> {
        let mut lot = Lot(self.seed);
        let mut noise = |size: usize| -> Vec<u8> { (0..size).map(|_| lot.next() as u8).collect() };
        let framed = |head: &[u8], noise: Vec<u8>, tail: &[u8]| [head, &noise, tail].concat();
        let size = self.size;
        match self.kind {
            Kind::Noise => noise(size),
            Kind::Png => framed(
                b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
                noise(size),
                b"IEND\xaeB`\x82",
            ),
            Kind::Jpeg => framed(b"\xff\xd8\xff\xe0\0\x10JFIF\0", noise(size), b"\xff\xd9"),
            Kind::Pdf => framed(
                b"%PDF-1.7\n1 0 obj\n<< /Filter /FlateDecode >>\nstream\n",
                noise(size),
                b"\nendstream\nendobj\ntrailer\n%%EOF\n",
            ),
            Kind::Zip => framed(b"PK\x03\x04\x14\0\0\0\x08\0", noise(size), b"PK\x05\x06"),
            Kind::Gzip => framed(b"\x1f\x8b\x08\0\0\0\0\0\0\x03", noise(size), b""),
            Kind::Base64 => data_encoding::BASE64.encode(&noise(size)).into_bytes(),
            Kind::Mime => data_encoding::BASE64_MIME.encode(&noise(size)).into_bytes(),
            Kind::Hex => data_encoding::HEXLOWER.encode(&noise(size)).into_bytes(),
            Kind::Prose => lot.words(size, |lot| format!("{} ", lot.word())),
            Kind::Csv => lot.words(size, |lot| {
                let (id, day, sum) = (lot.below(9999), lot.below(28) + 1, lot.below(90_000));
                format!(
                    "{id},{},2026-01-{day:02},{}.{:02}\n",
                    lot.word(),
                    sum / 100,
                    sum % 100
                )
            }),
            Kind::Minified => lot.words(size, |lot| {
                let (word, n) = (lot.word(), lot.below(999));
                format!("function {word}(t,e){{return t.{word}?e[{n}]:!0}}var n{n}=\"{word}\";")
            }),
        }
    }
}

/// Steele, Lea and Flood's SplitMix64.
struct Lot(u64);

impl Lot {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn word(&mut self) -> &'static str {
        const WORDS: [&str; 24] = [
            "render", "the", "windows", "values", "reports", "coppery", "between", "gardens",
            "requests", "a", "measures", "of", "parser", "rivers", "totals", "and", "signals",
            "buttons", "caching", "northern", "papers", "to", "compile", "indexes",
        ];
        WORDS[self.below(WORDS.len() as u64) as usize]
    }

    fn words(&mut self, size: usize, mut piece: impl FnMut(&mut Self) -> String) -> Vec<u8> {
        let mut text = String::new();
        while text.len() < size {
            text.push_str(&piece(self));
        }
        text.into_bytes()
    }
}
