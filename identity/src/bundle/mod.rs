//! Bundles: the authorities of one trust domain, as SPIRE's messages, as PEM, and as the SPIFFE
//! bundle document.

mod document;
mod jwk;

pub use document::Read;

use std::time::{Duration, SystemTime};

use rustls_pki_types::CertificateDer;
use signet_proto::spire::api::types;
use spiffe::TrustDomain;

use crate::{
    crypto::public_key_kind,
    id::{self, IdError},
    unix,
    x509::{self, Authority, PemError, ProfileError},
};

/// The authorities of one trust domain.
#[derive(Debug, Clone, PartialEq)]
pub struct Bundle {
    /// Whose they are.
    pub trust_domain: TrustDomain,
    /// Who may sign X509-SVIDs.
    pub x509_authorities: Vec<X509Authority>,
    /// Who may sign JWT-SVIDs.
    pub jwt_authorities: Vec<JwtAuthority>,
    /// How often to look for news.
    pub refresh_hint: Option<Duration>,
    /// Grows with every change.
    pub sequence: u64,
}

/// A certificate of a bundle. As a rule it may sign X509-SVIDs; others are kept as they came and
/// verify nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct X509Authority {
    /// The certificate.
    pub der: CertificateDer<'static>,
    /// Whether SVIDs below it have to be replaced.
    pub tainted: bool,
}

/// A key that may sign JWT-SVIDs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtAuthority {
    /// Its name, the `kid` of what it signs.
    pub key_id: String,
    /// The key as `SubjectPublicKeyInfo`.
    pub spki_der: Vec<u8>,
    /// When it ends; `None` when nobody said.
    pub expires_at: Option<SystemTime>,
    /// Whether what it signed has to be replaced.
    pub tainted: bool,
}

/// Why a bundle could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// Not a trust domain.
    #[error("invalid trust domain: {0}")]
    TrustDomain(#[source] IdError),
    /// What is no certificate.
    #[error("X.509 authority {number} is unusable: {source}")]
    X509Authority {
        /// Counted from one.
        number: usize,
        /// What is wrong with it.
        source: ProfileError,
    },
    /// Not PEM certificates.
    #[error("the bundle is unreadable: {0}")]
    Pem(#[from] PemError),
    /// A JWT key without a name.
    #[error("JWT authority {0} has no key ID")]
    NoKeyId(usize),
    /// Two JWT keys of one name.
    #[error("two JWT authorities have the key ID {0:?}; each needs its own")]
    SameKeyId(String),
    /// A JWT key that cannot be used.
    #[error("the public key of JWT authority {0:?} is malformed or of an unsupported kind")]
    JwtKey(String),
    /// A time or span that cannot be represented.
    #[error("{field} of the bundle is out of range: {value}")]
    Range {
        /// Which of them.
        field: &'static str,
        /// What was given.
        value: i64,
    },
    /// Not a bundle document.
    #[error("the bundle document is unreadable: {0}")]
    Document(String),
}

impl Bundle {
    /// A bundle without authorities.
    pub fn empty(trust_domain: TrustDomain) -> Self {
        Self {
            trust_domain,
            x509_authorities: Vec::new(),
            jwt_authorities: Vec::new(),
            refresh_hint: None,
            sequence: 0,
        }
    }

    /// Reads SPIRE's message. Every certificate has to be readable; as with SPIRE, one that is no
    /// authority is kept.
    ///
    /// # Errors
    /// Something in the message is malformed or out of range; then nothing of it is taken.
    pub fn from_proto(bundle: &types::Bundle) -> Result<Self, BundleError> {
        let trust_domain =
            id::parse_trust_domain(&bundle.trust_domain).map_err(BundleError::TrustDomain)?;
        let x509 = bundle.x509_authorities.iter();
        let x509 = x509.map(|authority| X509Authority {
            der: CertificateDer::from(authority.asn1.clone()),
            tainted: authority.tainted,
        });
        let jwt = bundle.jwt_authorities.iter().map(JwtAuthority::from_proto);
        let hint = u64::try_from(bundle.refresh_hint).map_err(|_negative| BundleError::Range {
            field: "the refresh hint",
            value: bundle.refresh_hint,
        })?;
        Ok(Self {
            trust_domain,
            x509_authorities: readable(x509)?,
            jwt_authorities: distinct(jwt.collect::<Result<_, _>>()?)?,
            refresh_hint: (hint > 0).then(|| Duration::from_secs(hint)),
            sequence: bundle.sequence_number,
        })
    }

    /// SPIRE's message, with the fields that `mask` asks for, all of them without one.
    pub fn to_proto(&self, mask: Option<&types::BundleMask>) -> types::Bundle {
        let wants = |field: fn(&types::BundleMask) -> bool| mask.is_none_or(field);
        let mut bundle = types::Bundle {
            trust_domain: self.trust_domain.to_string(),
            ..types::Bundle::default()
        };
        if wants(|mask| mask.x509_authorities) {
            bundle.x509_authorities = self
                .x509_authorities
                .iter()
                .map(X509Authority::to_proto)
                .collect();
        }
        if wants(|mask| mask.jwt_authorities) {
            bundle.jwt_authorities = self
                .jwt_authorities
                .iter()
                .map(JwtAuthority::to_proto)
                .collect();
        }
        if wants(|mask| mask.refresh_hint) {
            bundle.refresh_hint = self.hint_seconds().unwrap_or(0);
        }
        if wants(|mask| mask.sequence_number) {
            bundle.sequence_number = self.sequence;
        }
        bundle
    }

    /// Reads the X.509 authorities of `trust_domain` from PEM, with any other certificate in it.
    ///
    /// # Errors
    /// The text is not PEM certificates.
    pub fn from_pem(trust_domain: TrustDomain, text: &str) -> Result<Self, BundleError> {
        let certificates = x509::chain_from_pem(text)?.into_iter();
        let authorities = certificates.map(|der| X509Authority {
            der,
            tainted: false,
        });
        Ok(Self {
            x509_authorities: readable(authorities)?,
            ..Self::empty(trust_domain)
        })
    }

    /// The X.509 authorities as PEM.
    pub fn to_pem(&self) -> String {
        x509::chain_to_pem(self.x509_authorities.iter().map(|authority| &authority.der))
    }

    /// Leaves out the certificates that are no authority.
    #[must_use]
    pub fn without_others(mut self) -> Self {
        self.x509_authorities
            .retain(|authority| authority.details().is_ok());
        self
    }

    /// The JWT authority of this name.
    pub fn jwt_authority(&self, key_id: &str) -> Option<&JwtAuthority> {
        self.jwt_authorities
            .iter()
            .find(|authority| authority.key_id == key_id)
    }

    /// Whether the two differ in anything but their sequence number.
    pub fn same_content(&self, other: &Self) -> bool {
        self.trust_domain == other.trust_domain
            && self.x509_authorities == other.x509_authorities
            && self.jwt_authorities == other.jwt_authorities
            && self.refresh_hint == other.refresh_hint
    }

    /// The refresh hint in whole seconds, rounded up (SPIFFE bundle §4.1.2).
    fn hint_seconds(&self) -> Option<i64> {
        let hint = self.refresh_hint?;
        let whole = hint
            .as_secs()
            .saturating_add(u64::from(hint.subsec_nanos() > 0));
        Some(i64::try_from(whole).unwrap_or(i64::MAX))
    }
}

impl X509Authority {
    /// Takes a certificate that is an authority of any PKI: other implementations' bundles have
    /// some without a key usage. Whether it is trusted for SVIDs is [`crate::trust::Trust`]'s
    /// question, which is stricter.
    ///
    /// # Errors
    /// The certificate is malformed, or no authority.
    pub fn parse(der: CertificateDer<'static>, tainted: bool) -> Result<Self, ProfileError> {
        x509::check_issuer(&der)?;
        Ok(Self { der, tainted })
    }

    /// What the certificate says.
    ///
    /// # Errors
    /// The certificate is malformed, or no authority.
    pub fn details(&self) -> Result<Authority, ProfileError> {
        x509::check_issuer(&self.der)
    }

    fn to_proto(&self) -> types::X509Certificate {
        types::X509Certificate {
            asn1: self.der.to_vec(),
            tainted: self.tainted,
        }
    }
}

impl JwtAuthority {
    /// Reads SPIRE's message.
    ///
    /// # Errors
    /// The time of its end cannot be represented.
    pub fn from_proto(key: &types::JwtKey) -> Result<Self, BundleError> {
        let expires_at = match key.expires_at {
            0 => None,
            value => Some(unix::time(value).ok_or(BundleError::Range {
                field: "the expiry of a JWT authority",
                value,
            })?),
        };
        Ok(Self {
            key_id: key.key_id.clone(),
            spki_der: key.public_key.clone(),
            expires_at,
            tainted: key.tainted,
        })
    }

    /// SPIRE's message.
    pub fn to_proto(&self) -> types::JwtKey {
        types::JwtKey {
            public_key: self.spki_der.clone(),
            key_id: self.key_id.clone(),
            expires_at: self.expires_at.map_or(0, unix::seconds),
            tainted: self.tainted,
        }
    }
}

/// The public key of a JWK of any issuer; `None` when it is of another kind or broken.
pub(crate) fn public_key_of_jwk(
    jwk: &serde_json::Map<String, serde_json::Value>,
) -> Option<Vec<u8>> {
    jwk::to_any_spki(jwk)
}

/// Certificates, each once. One value may hold several, one after the other.
fn readable(
    authorities: impl Iterator<Item = X509Authority>,
) -> Result<Vec<X509Authority>, BundleError> {
    let mut readable: Vec<X509Authority> = Vec::new();
    for (index, X509Authority { der, tainted }) in authorities.enumerate() {
        let unusable = |source| BundleError::X509Authority {
            number: index + 1,
            source,
        };
        let certificates = x509::split(&der).map_err(unusable)?;
        if certificates.is_empty() {
            return Err(unusable(ProfileError::Malformed));
        }
        for der in certificates {
            x509::public_key(&der).map_err(unusable)?;
            match readable.iter_mut().find(|known| known.der == der) {
                Some(known) => known.tainted |= tainted,
                None => readable.push(X509Authority { der, tainted }),
            }
        }
    }
    Ok(readable)
}

/// Keys that can be used, each under a name of its own.
fn distinct(authorities: Vec<JwtAuthority>) -> Result<Vec<JwtAuthority>, BundleError> {
    for (index, authority) in authorities.iter().enumerate() {
        if authority.key_id.is_empty() {
            return Err(BundleError::NoKeyId(index + 1));
        }
        if public_key_kind(&authority.spki_der).is_none() {
            return Err(BundleError::JwtKey(authority.key_id.clone()));
        }
        let mut earlier = authorities.iter().take(index);
        if earlier.any(|other| other.key_id == authority.key_id) {
            return Err(BundleError::SameKeyId(authority.key_id.clone()));
        }
    }
    Ok(authorities)
}

#[cfg(test)]
mod tests;
