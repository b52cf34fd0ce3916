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
    Authorities, KeyManager,
    material::{Material, Remembered, X509Material},
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
            x509: records(&authorities.x509),
            jwt: records(&authorities.jwt),
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
            let key = keys.key(X509Material::key_id(record.slot.into()));
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
            x509: restore(&self.x509, present),
            jwt: restore(&self.jwt, present),
        }
    }
}

impl Record {
    /// The authority, unless it has ended, its key is gone, or the bundle does not vouch for it.
    fn restored<M: Material>(&self, present: Present<'_>) -> Option<Authority<M>> {
        let lifetime = Lifetime {
            issued_at: time(self.issued_at)?,
            not_after: time(self.not_after)?,
        };
        if lifetime.not_after <= present.now {
            return None;
        }
        let slot = self.slot.into();
        let signer = present.keys.key(M::key_id(slot))?;
        Some(Authority {
            id: self.id.clone(),
            slot,
            lifetime,
            material: M::recalled(&self.id, self.remembered()?, signer, present.bundle)?,
        })
    }

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

fn records<M: Material>(slots: &Slots<M>) -> Vec<Record> {
    let active = slots.active.as_ref().map(|active| (active, State::Active));
    let next = match &slots.next {
        Next::Empty => None,
        Next::Prepared(next) => Some((next, State::Prepared)),
        Next::Old(old) => Some((old, State::Old)),
    };
    let record = |(authority, state): (&Arc<Authority<M>>, State)| {
        let remembered = authority.material.remembered();
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

fn restore<M: Material>(records: &[Record], present: Present<'_>) -> Slots<M> {
    let mut slots = Slots::empty();
    for record in records {
        let Some(authority) = record.restored(present).map(Arc::new) else {
            continue;
        };
        match record.state {
            State::Active => slots.active = Some(authority),
            State::Prepared => slots.next = Next::Prepared(authority),
            State::Old => slots.next = Next::Old(authority),
        }
    }
    slots
}

/// None beyond what the system's clock can show: no server has written that.
fn time(seconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::testing::trust_domain;

    #[test]
    fn an_authority_of_a_time_that_no_clock_shows_does_not_come_back() {
        let record = Record {
            id: "a".to_owned(),
            slot: StoredSlot::A,
            state: State::Active,
            issued_at: u64::MAX,
            not_after: u64::MAX,
            public: String::new(),
            chain: Vec::new(),
            roots: Vec::new(),
        };
        let damaged = Document {
            x509: vec![record],
            jwt: Vec::new(),
        };
        let restored = damaged.restore(Present {
            keys: &KeyManager::memory(),
            bundle: &Bundle::empty(trust_domain()),
            now: UNIX_EPOCH,
        });
        assert!(restored.x509.active.is_none());
    }
}
