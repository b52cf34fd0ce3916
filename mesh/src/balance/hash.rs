//! The hash of keys and endpoints.

use twox_hash::XxHash64;

/// An endpoint, by what a table knows it.
#[derive(Debug, Clone, Copy)]
pub struct TableEndpoint<'n> {
    /// By which it is found again: its address and port.
    pub name: &'n str,
    /// Its share of all keys.
    pub weight: u32,
}

/// Envoy's hash, xxHash of 64 bits.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    hash_with(0, bytes)
}

/// Another one for each seed.
pub(super) fn hash_with(seed: u64, bytes: &[u8]) -> u64 {
    XxHash64::oneshot(seed, bytes)
}
