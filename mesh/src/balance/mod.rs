//! Which of the endpoints of a destination gets a call.

mod candidates;
mod key;
mod maglev;
mod near;
mod pick;
mod ring;
mod table;
mod warm;

pub use candidates::Candidates;
pub use key::{CallKey, HashCall};
pub use near::{Groups, Home, Site};
pub use pick::{Keyed, Lot, pick};
pub use table::{HashTable, TableEndpoint};

#[cfg(test)]
mod tests;
