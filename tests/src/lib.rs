//! The tests that cross rooms. `house.rs` holds the walls between the rooms; `e2e/` runs
//! real processes against each other.
