//! The endpoints among which a call has to go to one.

use std::time::Duration;

/// The endpoints of a destination, by their places.
pub trait Candidates {
    /// How many there are.
    fn count(&self) -> usize;

    /// The share of one; 0 if it does not come into question now.
    fn weight(&self, place: usize) -> u64;

    /// How many calls it has in progress.
    fn active(&self, place: usize) -> usize;

    /// How long it takes to answer, lately, if that is known; asked for only where endpoints are
    /// chosen by it.
    fn latency(&self, place: usize) -> Option<Duration>;
}
