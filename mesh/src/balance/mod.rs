//! Which of the endpoints of a destination gets a call.

mod candidates;
mod hash;
mod key;
mod maglev;
mod near;
mod peak_ewma;
mod pick;
mod ring_hash;
mod table;
mod warm;

pub use candidates::Candidates;
pub use hash::TableEndpoint;
pub use key::{CallKey, HashCall};
pub use near::{Groups, Home, Site};
pub use peak_ewma::PeakEwma;
pub use pick::{Keyed, Lot, pick};
pub use table::HashTable;

#[cfg(test)]
mod tests;
