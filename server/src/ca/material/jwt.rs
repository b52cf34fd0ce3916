//! A JWT authority: a key with a name.

use super::{super::signer::Signer, Remembered};

/// What a JWT authority is made of.
#[derive(Debug)]
pub(in crate::ca) struct JwtMaterial {
    pub(in crate::ca) signer: Signer,
}

impl JwtMaterial {
    /// What the journal keeps.
    pub(in crate::ca) fn remembered(&self) -> Remembered {
        Remembered {
            public: self.signer.spki_der().to_vec(),
            chain: Vec::new(),
            roots: Vec::new(),
        }
    }
}
