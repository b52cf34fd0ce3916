//! Replays the corpus: the inputs to start from, and every input that once failed.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests, and the helpers of tests"
)]

use std::{fs, path::Path};

use signet_fuzz::TARGETS;

#[test]
fn every_target_takes_every_input_of_its_corpus() {
    for (name, target) in TARGETS {
        for (_, input) in corpus(name) {
            target(&input);
        }
    }
}

/// A fuzzer that starts from a valid input reaches what stands behind the checks.
#[test]
fn the_world_of_the_validators_is_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let token = fs::read(folder.join("world/token.jwt")).unwrap();
    let leaf = fs::read(folder.join("world/leaf.der")).unwrap();
    assert!(corpus("jwt").iter().any(|(_, input)| *input == token));
    assert!(
        corpus("chain")
            .iter()
            .any(|(_, input)| input.starts_with(&leaf))
    );
    assert!(signet_fuzz::accepts_its_world());
}

/// The names and bytes of a target's inputs; there is at least one.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let inputs: Vec<_> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|file| file.unwrap().path())
        .map(|path| (path.display().to_string(), fs::read(&path).unwrap()))
        .collect();
    assert!(!inputs.is_empty(), "{target} has no corpus");
    inputs
}
