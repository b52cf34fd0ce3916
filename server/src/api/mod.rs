//! The gRPC services. Messages are turned into domain values here and back; what is done with
//! them is done in the rooms below. Who may call what is decided before a handler runs
//! ([`caller`]), and all errors leave through [`status`].

pub(crate) mod agent;
pub(crate) mod bundle;
pub(crate) mod caller;
pub(crate) mod debug;
pub(crate) mod entry;
pub(crate) mod limit;
pub(crate) mod local;
mod matching;
pub(crate) mod page;
pub(crate) mod status;
pub(crate) mod svid;
pub(crate) mod sync;

use signet_identity::SpiffeId;
use tonic::{Request, Status};

use self::caller::Caller;

/// The agent that makes this request. The rules let nobody else reach the methods of agents.
pub(crate) fn calling_agent<T>(request: &Request<T>) -> Result<SpiffeId, Status> {
    Caller::of(request)
        .and_then(Caller::agent)
        .cloned()
        .ok_or_else(|| Status::permission_denied("only an attested agent may call this method"))
}
