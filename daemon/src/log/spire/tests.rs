//! The table of SPIRE's words is sound.

use std::collections::BTreeSet;

use super::*;

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
