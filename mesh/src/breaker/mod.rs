//! The circuit breaker of a cluster: an endpoint that fails again and again is not tried for a
//! while.
//!
//! ```text
//!            failures in a row             the time is over
//!   Closed ─────────────────────► Open ──────────────────────► HalfOpen
//!     ▲                             ▲                            │   │
//!     │                             └──── the probe failed ──────┘   │
//!     └────────────────────── the probe succeeded ───────────────────┘
//! ```
//!
//! The settings are those of Istio's `outlierDetection`. Where Envoy behaves in a surprising way,
//! this does not:
//!
//! - An endpoint whose time is over is probed by exactly one request, and others follow only if it
//!   succeeds. In Envoy all of them follow at once. A probe that failed makes the next ejection
//!   longer; one that succeeded halves the count by which it grows.
//! - An endpoint is ejected by the outcome that completes the count. The interval only forgives:
//!   each one without an ejection takes one from that count.
//! - One endpoint may be ejected however few there are, but never the last one, unless 100 % may
//!   be. In Envoy 10 %, which is the default, of nine endpoints are none.
//! - A probe of which no result comes is given up after an interval, or at once if it is recorded
//!   as abandoned.
//!
//! Nothing here knows a clock or draws numbers; who asks brings the time and a random number.

mod change;
mod cluster;
mod endpoint;
mod outcome;
mod settings;

pub use change::{Change, Transition};
pub use cluster::{Admission, Breaker, Ticket};
pub use endpoint::State;
pub use outcome::{Outcome, Reason};
pub use settings::Settings;

#[cfg(test)]
mod tests;
