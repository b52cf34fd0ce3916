//! The table and the sources tell of the same events.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use super::*;

/// The shipped sources of every crate that logs.
fn sources() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut left: Vec<PathBuf> = ["agent", "cli", "daemon", "proxy", "server"]
        .map(|krate| root.join(krate).join("src"))
        .into();
    let mut texts = Vec::new();
    while let Some(path) = left.pop() {
        if path.is_dir() {
            left.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if !path.to_str().unwrap().contains("tests") {
            texts.push(fs::read_to_string(path).unwrap());
        }
    }
    texts
}

/// The names that events are given: `info!(name: "…"`.
fn named() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for text in sources() {
        for macro_ in ["error!", "warn!", "info!", "debug!", "trace!"] {
            for called in text.split(&format!("{macro_}(")).skip(1) {
                if let Some(rest) = called.trim_start().strip_prefix("name: \"") {
                    names.insert(rest.split('"').next().unwrap().to_owned());
                }
            }
        }
    }
    names
}

#[test]
fn every_event_that_the_table_names_is_in_our_sources_and_no_other_has_a_name() {
    let table: BTreeSet<_> = EVENTS.iter().map(|event| event.name.to_owned()).collect();
    assert_eq!(table, named());
}

#[test]
fn the_table_is_sorted_so_that_events_are_found() {
    assert!(EVENTS.is_sorted_by(|a, b| a.name < b.name));
    for event in EVENTS {
        assert_eq!(find(event.name).unwrap().name, event.name);
    }
    assert!(find("nothing").is_none());
}

#[test]
fn no_field_is_renamed_twice() {
    for names in EVENTS.iter().map(|event| event.fields).chain([FIELDS]) {
        let ours: BTreeSet<_> = names.iter().map(|name| name.ours()).collect();
        assert_eq!(ours.len(), names.len());
    }
}
