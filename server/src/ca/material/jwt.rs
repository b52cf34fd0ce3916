//! A JWT authority: a key with a name.

use std::time::SystemTime;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use signet_daemon::log::Moment;
use signet_identity::{
    bundle::{Bundle, JwtAuthority},
    crypto,
    key::{KeyError, KeyType},
};
use tracing::info;

use super::{
    super::{
        Authorities, RotationSettings, X509Error,
        signer::Signer,
        slots::{Authority, Lifetime, Slot, Slots},
        whole_seconds,
    },
    Material, MaterialError, Remembered,
};

/// What a JWT authority is made of.
#[derive(Debug)]
pub(in crate::ca) struct JwtMaterial {
    signer: Signer,
}

impl Material for JwtMaterial {
    fn key_id(slot: Slot) -> &'static str {
        match slot {
            Slot::A => "JWT-Signer-A",
            Slot::B => "JWT-Signer-B",
        }
    }

    fn key_type(settings: &RotationSettings) -> KeyType {
        settings.jwt_key_type
    }

    fn slots(authorities: &Authorities) -> &Slots<Self> {
        &authorities.jwt
    }

    fn slots_mut(authorities: &mut Authorities) -> &mut Slots<Self> {
        &mut authorities.jwt
    }

    fn authority(
        signer: Signer,
        slot: Slot,
        settings: &RotationSettings,
        now: SystemTime,
    ) -> Result<Authority<Self>, MaterialError> {
        let issued_at = whole_seconds(now);
        let not_after = issued_at.checked_add(settings.ca_ttl);
        Ok(Authority {
            id: random_key_id()?,
            slot,
            lifetime: Lifetime {
                issued_at,
                not_after: not_after.ok_or(X509Error::NoLifetime)?,
            },
            material: Self { signer },
        })
    }

    fn signer(&self) -> &Signer {
        &self.signer
    }

    fn publish(authority: &Authority<Self>, bundle: &mut Bundle) {
        bundle.jwt_authorities.push(JwtAuthority {
            key_id: authority.id.clone(),
            spki_der: authority.material.signer.spki_der().to_vec(),
            expires_at: Some(authority.lifetime.not_after),
            tainted: false,
        });
    }

    fn remembered(&self) -> Remembered {
        Remembered {
            public: self.signer.spki_der().to_vec(),
            chain: Vec::new(),
            roots: Vec::new(),
        }
    }

    fn recalled(
        authority_id: &str,
        _remembered: Remembered,
        signer: Signer,
        bundle: &Bundle,
    ) -> Option<Self> {
        let known = bundle.jwt_authority(authority_id)?;
        (known.spki_der == signer.spki_der()).then_some(Self { signer })
    }

    fn log_prepared(authority: &Authority<Self>) {
        info!(
            name: "jwt_key_prepared",
            authority_id = %authority.id,
            slot = ?authority.slot,
            issued_at = %Moment(authority.lifetime.issued_at),
            expires_at = %Moment(authority.lifetime.not_after),
            "prepared a JWT authority"
        );
    }

    fn log_activated(authority: &Authority<Self>, _settings: &RotationSettings, _now: SystemTime) {
        info!(
            name: "jwt_key_activated",
            authority_id = authority.id,
            slot = ?authority.slot,
            issued_at = %Moment(authority.lifetime.issued_at),
            expires_at = %Moment(authority.lifetime.not_after),
            "activated a JWT authority"
        );
    }
}

/// 32 random letters and digits, as SPIRE names its JWT keys.
fn random_key_id() -> Result<String, KeyError> {
    let mut id = String::new();
    while id.len() < KEY_ID {
        let text = BASE64_URL_SAFE_NO_PAD.encode(crypto::random::<32>()?);
        id.extend(text.chars().filter(char::is_ascii_alphanumeric));
    }
    id.truncate(KEY_ID);
    Ok(id)
}

const KEY_ID: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_are_letters_and_digits() {
        let id = random_key_id().unwrap();
        assert_eq!(id.len(), 32);
        assert!(id.chars().all(|letter| letter.is_ascii_alphanumeric()));
    }
}
