//! The data plane: what a pair of proxies costs between a client and an application.
//!
//! Each proxy has one thread, and the load and the application have one each. Processor
//! time is read per process. Beside each figure stands what the same work costs at least:
//! the handshake or the records in memory, and a hop of the same libraries with nothing
//! of ours in it.

pub(crate) mod bulk;
pub(crate) mod hop;
pub(crate) mod http;
mod limits;
mod load;
mod pair;
pub(crate) mod peers;
mod runtime;
mod steps;
pub(crate) mod tcp;
mod upstream;
