//! Turns `rules/*.yaml` and Unicode's tables into static data, so that starting costs no parsing.

#[path = "build/clue.rs"]
mod clue;
#[path = "build/emit.rs"]
mod emit;
#[path = "build/fold.rs"]
mod fold;
#[path = "build/gate.rs"]
mod gate;
#[path = "src/injection/letter.rs"]
mod letter;
#[path = "src/views/misspelt.rs"]
mod misspelt;
#[path = "src/injection/opening.rs"]
mod opening;
#[path = "build/reach.rs"]
mod reach;
#[path = "build/require.rs"]
mod require;
#[path = "build/score.rs"]
mod score;
#[path = "build/setting.rs"]
mod setting;
#[path = "build/source.rs"]
mod source;
#[path = "build/trie.rs"]
mod trie;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::ZlibEncoder;

use gate::Gates;

fn main() {
    let rules_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    println!("cargo:rerun-if-changed={}", rules_dir.display());
    println!("cargo:rerun-if-changed=build");
    let mut rules = source::read_all(&rules_dir).unwrap_or_else(|error| panic!("{error}"));
    let clues = clue::read(&rules_dir.join("views/clues.yaml"));
    let clues = clues.unwrap_or_else(|error| panic!("{error}"));
    write("lexicon.rs", clues.lexicon());
    write("examples.rs", emit::examples(&rules));
    rules.extend(clues.patterns());
    let published = source::read_published(&rules_dir).unwrap_or_else(|error| panic!("{error}"));
    let model = score::model(&rules_dir.join("scored"), &mut rules);
    let model = model.unwrap_or_else(|error| panic!("{error}"));
    let cues = model.cues;
    write("score.rs", model.statics);
    write("trie.bin", model.trie);
    write("openings.bin", model.openings);
    let Gates {
        plain,
        wide,
        literal_len_max,
    } = gate::build(&rules, cues);
    let fold = fold::build();
    write("rules.rs", emit::rules(&rules));
    write("published.rs", emit::published(&published));
    let gates = [
        format!("const SLOTS: usize = {};\n", gate::SLOTS),
        format!("const HEAD_LEN_MAX: usize = {};\n", gate::HEAD_LEN_MAX),
        format!("const LITERAL_LEN_MAX: usize = {literal_len_max};\n"),
        format!("static FOLD: [u8; 256] = {:?};\n", folds()),
        emit::gate("PLAIN", "plain.bin", &plain),
        emit::gate("WIDE", "wide.bin", &wide),
    ];
    write("gate.rs", gates.concat());
    write("plain.bin", packed(&bytes(&plain.table)));
    write("wide.bin", packed(&bytes(&wide.table)));
    write("fold.rs", emit::fold(&fold));
    write("fold-pages.bin", fold.pages);
    write("fold-entries.bin", fold.entries);
}

fn folds() -> Vec<u8> {
    (0..=255).map(gate::fold).collect()
}

fn bytes(table: &[u16]) -> Vec<u8> {
    table.iter().flat_map(|next| next.to_le_bytes()).collect()
}

fn packed(table: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::best());
    let written = packed.write_all(table).and_then(|()| packed.finish());
    written.expect("memory takes all")
}

fn write(name: &str, content: impl AsRef<[u8]>) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join(name), content).expect("OUT_DIR is writable");
}
