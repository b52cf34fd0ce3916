//! What a port takes: only mutual TLS, both, or plain bytes.

use std::{fmt, sync::Arc};

use crate::object::ObjectRef;

/// Whether a port asks its clients for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MtlsMode {
    /// Never: what comes is taken as it is.
    Disable,
    /// Of clients that begin mutual TLS; others are taken as they come, without an identity.
    Permissive,
    /// Always: who shows none is not let in.
    Strict,
}

impl fmt::Display for MtlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Disable => "DISABLE",
            Self::Permissive => "PERMISSIVE",
            Self::Strict => "STRICT",
        })
    }
}

/// A mode, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedMode {
    /// What the port takes.
    pub mode: MtlsMode,
    /// The `PeerAuthentication` that decided; `None` if none did, and the default holds.
    pub by: Option<Arc<ObjectRef>>,
}

impl DecidedMode {
    /// What holds where no document says anything.
    pub(super) const DEFAULT: Self = Self {
        mode: MtlsMode::Strict,
        by: None,
    };
}

impl fmt::Display for DecidedMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { mode, by } = self;
        match by.as_deref() {
            None => write!(f, "{mode} by default"),
            Some(ObjectRef { name, file, line }) => {
                write!(f, "{mode} by PeerAuthentication {name} ({file}:{line})")
            }
        }
    }
}
