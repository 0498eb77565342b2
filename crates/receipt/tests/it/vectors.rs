//! Logs and verdicts kept in `tests/data`, for other implementations to be measured by.
//!
//! `vectors.json` names each log, the key, and the expected outcome. `CARBOY_BLESS=1` writes the
//! closed log anew; the others are made from it by hand-listed edits.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::world::{log, signer, verify};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

#[test]
fn the_writer_still_writes_the_same_bytes() {
    let log = log(7);
    if std::env::var_os("CARBOY_BLESS").is_some() {
        fs::write(data("closed.jsonl"), &log).expect("the vector is written");
    }
    let kept = fs::read(data("closed.jsonl")).expect("the vector is there");
    assert_eq!(
        String::from_utf8_lossy(&kept),
        String::from_utf8_lossy(&log)
    );
}

#[test]
fn each_vector_has_its_outcome() {
    let index = fs::read(data("vectors.json")).expect("the index is there");
    let index: Value = serde_json::from_slice(&index).expect("the index is JSON");
    let key = index["key"].as_str().expect("the index names a key");
    let key = key.parse().expect("the key is hexadecimal");
    assert_eq!(key, signer().public_key());
    let vectors = index["vectors"]
        .as_array()
        .expect("the index lists vectors");
    assert!(vectors.len() >= 10);
    for vector in vectors {
        let name = vector["file"].as_str().expect("a vector has a file");
        let log = fs::read(data(name)).expect("a vector's file is there");
        let allow_open = vector["allow_open"].as_bool().unwrap_or(false);
        let options = carboy_receipt::Verify {
            key: Some(key),
            allow_open,
        };
        let found = verify(&log, options).err().map(|fault| fault.line);
        assert_eq!(found, vector["bad_line"].as_u64(), "{name}");
    }
}
