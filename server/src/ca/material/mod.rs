//! What the authorities of each kind are made of, and all in which the kinds differ: where their
//! keys are, how they are made, published, remembered and spoken of. The rotation and the journal
//! know no kinds.

mod jwt;
mod x509;

pub(super) use jwt::JwtMaterial;
pub(super) use x509::X509Material;

use std::{fmt::Debug, time::SystemTime};

use rustls::pki_types::CertificateDer;
use signet_identity::{
    bundle::Bundle,
    key::{KeyError, KeyType},
    x509::ProfileError,
};

use super::{
    Authorities, RotationSettings, X509Error,
    signer::Signer,
    slots::{Authority, Slot, Slots},
};

/// What an authority of one kind is made of.
pub(super) trait Material: Debug + Send + Sync + Sized + 'static {
    /// Under which id the key manager has the key of a slot.
    fn key_id(slot: Slot) -> &'static str;

    /// The type of key that the configuration asks for.
    fn key_type(settings: &RotationSettings) -> KeyType;

    /// The slots of this kind.
    fn slots(authorities: &Authorities) -> &Slots<Self>;

    /// The slots of this kind, to be changed.
    fn slots_mut(authorities: &mut Authorities) -> &mut Slots<Self>;

    /// Makes an authority of a new key.
    fn authority(
        signer: Signer,
        slot: Slot,
        settings: &RotationSettings,
        now: SystemTime,
    ) -> Result<Authority<Self>, MaterialError>;

    /// What it signs with.
    fn signer(&self) -> &Signer;

    /// Adds to the bundle what its signatures are verified with.
    fn publish(authority: &Authority<Self>, bundle: &mut Bundle);

    /// What the journal keeps.
    fn remembered(&self) -> Remembered;

    /// The material of before, unless the key is another one or the bundle does not vouch for it.
    fn recalled(
        authority_id: &str,
        remembered: Remembered,
        signer: Signer,
        bundle: &Bundle,
    ) -> Option<Self>;

    /// Says that the authority was made.
    fn log_prepared(authority: &Authority<Self>);

    /// Says that the authority signs from now on.
    fn log_activated(authority: &Authority<Self>, settings: &RotationSettings, now: SystemTime);
}

/// Why a key makes no authority.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MaterialError {
    /// The certificate could not be made, or cannot be used.
    #[error("the new authority's certificate cannot be made")]
    X509(#[from] X509Error),
    /// The certificate does not keep the profile.
    #[error("the new authority's certificate is not fit for the bundle")]
    Profile(#[from] ProfileError),
    /// There is no randomness.
    #[error("no key id can be made")]
    Random(#[from] KeyError),
}

/// What is remembered of an authority's material: all but its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    /// The certificate, or the public key of a JWT authority.
    pub(super) public: Vec<u8>,
    /// The chain of an X.509 authority that is not its own root.
    pub(super) chain: Vec<CertificateDer<'static>>,
    /// The roots above that chain.
    pub(super) roots: Vec<CertificateDer<'static>>,
}
