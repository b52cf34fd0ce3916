//! A new process takes over the ports of the running one, so that a proxy is replaced while it is
//! called: the new one asks as soon as it has an identity and a model, the running one hands it the
//! listening sockets, and drains when the new one says that it accepts. Until then it goes on as
//! before, whatever becomes of the new one.
//!
//! They meet on a Unix socket of their user, and neither speaks to anybody else.

mod give;
mod take;

use std::time::Duration;

use anyhow::Context as _;
use signet_daemon::socket::{Inheritance, UnixSocket};

pub(crate) use give::{Giver, Offer};
pub(crate) use take::take_over;

use crate::config::Config;

/// Opens the socket on which the next process asks, or goes on with that of the former. Must be
/// called inside the runtime.
///
/// # Errors
/// It is in use, or not to be had.
pub(crate) fn listen(
    config: &Config,
    inheritance: &mut Inheritance,
) -> anyhow::Result<Option<UnixSocket>> {
    let Some(path) = &config.hand_over else {
        return Ok(None);
    };
    let inherited = inheritance.unix(path);
    let inherited = inherited.context("handOver: what was handed over cannot be used")?;
    let socket = match inherited {
        Some(socket) => socket,
        None => UnixSocket::bind(path, OWNER_ONLY).context("handOver")?,
    };
    Ok(Some(socket))
}

const OWNER_ONLY: u32 = 0o600;

/// What the new process begins with: another version of this would be another word.
const GREETING: [u8; 20] = *b"signet hand-over v1\n";
/// The new process accepts connections.
const READY: u8 = b'R';
/// The former one drains, and has left its sockets.
const LEFT: u8 = b'L';
/// For each step but the long one.
const STEP: Duration = Duration::from_secs(5);
/// From the sockets to the word that the new process accepts on them.
const UNTIL_READY: Duration = Duration::from_secs(30);
