//! What the rules do with packets, how they are spelled, and how a host is compared with them.

mod flags;
mod packets;
mod spelling;
