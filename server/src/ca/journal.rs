//! What the server remembers of its authorities, so that it goes on with them after a restart.
//!
//! The journal holds no keys: those are the key manager's. An authority comes back only if the
//! key manager still has its key, the bundle still has it, and it has not expired.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use signet_identity::bundle::Bundle;

use super::{
    Authorities, JwtMaterial, KeyManager, X509Material,
    material::Remembered,
    signer::Signer,
    slots::{Authority, Lifetime, Next, Slot, Slots},
};

/// One server's authorities, as stored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    x509: Vec<Record>,
    jwt: Vec<Record>,
}

/// One authority; its key is under the slot's id in the key manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    id: String,
    slot: StoredSlot,
    state: State,
    issued_at: u64,
    not_after: u64,
    /// The certificate, or the public key of a JWT authority, in base64.
    public: String,
    /// Of an X.509 authority that is not its own root: the chain below each SVID, and the roots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    chain: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    roots: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum StoredSlot {
    A,
    B,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Prepared,
    Active,
    Old,
}

/// What decides whether an authority comes back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Present<'a> {
    pub(super) keys: &'a KeyManager,
    pub(super) bundle: &'a Bundle,
    pub(super) now: SystemTime,
}

impl Document {
    pub(super) fn of(authorities: &Authorities) -> Self {
        Self {
            x509: records(&authorities.x509, X509Material::remembered),
            jwt: records(&authorities.jwt, JwtMaterial::remembered),
        }
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// Whether this is the journal of the server that has these keys.
    pub(super) fn belongs_to(&self, keys: &KeyManager) -> bool {
        self.x509.iter().any(|record| {
            let key = keys.key(x509_key_id(record.slot.into()));
            key.is_some_and(|key| hex::encode(key.subject_key_id()) == record.id)
        })
    }

    /// Whether all authorities ended before this time.
    pub(super) fn ended_before(&self, time: SystemTime) -> bool {
        let mut records = self.x509.iter().chain(&self.jwt);
        records.all(|record| record.not_after < seconds(time))
    }

    /// The authorities that are still usable.
    pub(super) fn restore(&self, present: Present<'_>) -> Authorities {
        Authorities {
            x509: restore(&self.x509, present, |record| present.x509(record)),
            jwt: restore(&self.jwt, present, |record| present.jwt(record)),
        }
    }
}

impl Present<'_> {
    fn x509(&self, record: &Record) -> Option<X509Material> {
        let signer = self.keys.key(x509_key_id(record.slot.into()))?;
        // Refuses a key that is not the certificate's.
        let material = X509Material::recalled(record.remembered()?, signer).ok()?;
        material.is_published(self.bundle).then_some(material)
    }

    fn jwt(&self, record: &Record) -> Option<JwtMaterial> {
        let signer = self.keys.key(jwt_key_id(record.slot.into()))?;
        let known = self.bundle.jwt_authorities.iter();
        let known = known.into_iter().find(|known| known.key_id == record.id)?;
        let same = |signer: &Signer| known.spki_der == signer.spki_der();
        let signer = Some(signer).filter(same)?;
        Some(JwtMaterial { signer })
    }
}

/// Under which id the key manager has the key of an X.509 authority.
pub(super) fn x509_key_id(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "x509-CA-A",
        Slot::B => "x509-CA-B",
    }
}

/// Under which id the key manager has the key of a JWT authority.
pub(super) fn jwt_key_id(slot: Slot) -> &'static str {
    match slot {
        Slot::A => "JWT-Signer-A",
        Slot::B => "JWT-Signer-B",
    }
}

impl Record {
    fn remembered(&self) -> Option<Remembered> {
        let certificates = |encoded: &[String]| {
            let decode = |one: &String| BASE64_STANDARD.decode(one).map(CertificateDer::from);
            encoded.iter().map(decode).collect::<Result<_, _>>().ok()
        };
        Some(Remembered {
            public: BASE64_STANDARD.decode(&self.public).ok()?,
            chain: certificates(&self.chain)?,
            roots: certificates(&self.roots)?,
        })
    }
}

fn records<M>(slots: &Slots<M>, remembered: impl Fn(&M) -> Remembered) -> Vec<Record> {
    let active = slots.active.as_ref().map(|active| (active, State::Active));
    let next = match &slots.next {
        Next::Empty => None,
        Next::Prepared(next) => Some((next, State::Prepared)),
        Next::Old(old) => Some((old, State::Old)),
    };
    let record = |(authority, state): (&Arc<Authority<M>>, State)| {
        let remembered = remembered(&authority.material);
        Record {
            id: authority.id.clone(),
            slot: authority.slot.into(),
            state,
            issued_at: seconds(authority.lifetime.issued_at),
            not_after: seconds(authority.lifetime.not_after),
            public: BASE64_STANDARD.encode(remembered.public),
            chain: encoded(&remembered.chain),
            roots: encoded(&remembered.roots),
        }
    };
    active.into_iter().chain(next).map(record).collect()
}

fn encoded(certificates: &[CertificateDer<'static>]) -> Vec<String> {
    let certificates = certificates.iter();
    certificates
        .map(|one| BASE64_STANDARD.encode(one))
        .collect()
}

fn restore<M>(
    records: &[Record],
    present: Present<'_>,
    material: impl Fn(&Record) -> Option<M>,
) -> Slots<M> {
    let mut slots = Slots::empty();
    for record in records {
        let lifetime = Lifetime {
            issued_at: UNIX_EPOCH + Duration::from_secs(record.issued_at),
            not_after: UNIX_EPOCH + Duration::from_secs(record.not_after),
        };
        if lifetime.not_after <= present.now {
            continue;
        }
        let Some(material) = material(record) else {
            continue;
        };
        let authority = Arc::new(Authority {
            id: record.id.clone(),
            slot: record.slot.into(),
            lifetime,
            material,
        });
        match record.state {
            State::Active => slots.active = Some(authority),
            State::Prepared => slots.next = Next::Prepared(authority),
            State::Old => slots.next = Next::Old(authority),
        }
    }
    slots
}

fn seconds(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

impl From<Slot> for StoredSlot {
    fn from(slot: Slot) -> Self {
        match slot {
            Slot::A => Self::A,
            Slot::B => Self::B,
        }
    }
}

impl From<StoredSlot> for Slot {
    fn from(slot: StoredSlot) -> Self {
        match slot {
            StoredSlot::A => Self::A,
            StoredSlot::B => Self::B,
        }
    }
}
