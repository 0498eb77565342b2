//! Turns `rules/*.yaml` and Unicode's tables into static data, so that starting costs no parsing.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/fold.rs"]
mod fold;
#[path = "build/gate.rs"]
mod gate;
#[path = "build/require.rs"]
mod require;
#[path = "build/setting.rs"]
mod setting;
#[path = "build/source.rs"]
mod source;

use source::Direction;
use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let rules_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    println!("cargo:rerun-if-changed={}", rules_dir.display());
    println!("cargo:rerun-if-changed=build");
    let rules = source::read_all(&rules_dir).unwrap_or_else(|error| panic!("{error}"));
    let published = source::read_published(&rules_dir).unwrap_or_else(|error| panic!("{error}"));
    let outbound = gate::build(&rules, Direction::Outbound);
    let inbound = gate::build(&rules, Direction::Inbound);
    let fold = fold::build();
    write("rules.rs", emit::rules(&rules));
    write("published.rs", emit::published(&published));
    write("examples.rs", emit::examples(&rules));
    let gates = [
        format!("const ROW: usize = {};\n", gate::ROW),
        format!("const SLOTS: usize = {};\n", gate::SLOTS),
        emit::gate("OUTBOUND", "outbound.bin", &outbound),
        emit::gate("INBOUND", "inbound.bin", &inbound),
    ];
    write("gate.rs", gates.concat());
    write("outbound.bin", outbound.table);
    write("inbound.bin", inbound.table);
    write("fold.rs", emit::fold(&fold));
    write("fold-pages.bin", fold.pages);
    write("fold-entries.bin", fold.entries);
}

fn write(name: &str, content: impl AsRef<[u8]>) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join(name), content).expect("OUT_DIR is writable");
}
