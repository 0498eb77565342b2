//! Turns `rules/*.yaml` into static data, so that starting costs no parsing.

#[path = "build/emit.rs"]
mod emit;
#[path = "build/source.rs"]
mod source;

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    let rules_dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../rules");
    println!("cargo:rerun-if-changed={}", rules_dir.display());
    println!("cargo:rerun-if-changed=build");
    let rules = source::read_all(&rules_dir).unwrap_or_else(|error| panic!("{error}"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::write(out.join("rules.rs"), emit::rules(&rules)).expect("OUT_DIR is writable");
    fs::write(out.join("examples.rs"), emit::examples(&rules)).expect("OUT_DIR is writable");
}
