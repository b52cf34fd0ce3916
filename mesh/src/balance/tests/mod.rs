//! Tests of balancing.

mod keys;
mod near;
mod peak_ewma;
mod picks;
mod tables;
mod warm;

use http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;
use crate::destination::{
    Balancing, ConsistentHash, CookieAttribute, HashAlgorithm, HashCookie, HashKey, MadeCookie,
};

/// Without a key.
fn lot(turn: u64, random: u64) -> Lot<'static> {
    let key = None;
    Lot { turn, random, key }
}

/// Numbers that look random, always the same ones.
fn numbers() -> impl Iterator<Item = u64> {
    std::iter::successors(Some(0x9e37_79b9_7f4a_7c15_u64), |number| {
        let mut next = *number;
        next ^= next << 13;
        next ^= next >> 7;
        next ^= next << 17;
        Some(next)
    })
}
