//! A JWT-SVID as the server hands it out.

use std::{fmt, time::SystemTime};

/// A JWT-SVID.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct JwtSvid {
    /// The token in compact form; a secret.
    pub(crate) token: String,
    /// When it was issued.
    pub(crate) issued_at: SystemTime,
    /// When it ends.
    pub(crate) expires_at: SystemTime,
}

impl JwtSvid {
    /// When it is time to ask for another.
    pub(crate) fn half_life(&self) -> SystemTime {
        let life = self.expires_at.duration_since(self.issued_at);
        self.issued_at + life.unwrap_or_default() / 2
    }
}

impl fmt::Debug for JwtSvid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtSvid")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
