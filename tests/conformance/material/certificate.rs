//! Authorities and leaves, good unless the test changes something.

use std::time::{Duration, SystemTime};

use signet_identity::{
    crypto,
    key::{KeyType, PrivateKey},
};

use super::{
    der,
    extension::{CLIENT_AUTH, CRL_SIGN, DIGITAL_SIGNATURE, Extension, KEY_CERT_SIGN, SERVER_AUTH},
};

/// A certificate before it is signed; each part is DER.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    /// `[0]` of version 3; empty is version 1.
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
    /// The algorithm that stands outside of what is signed.
    pub(crate) outer_algorithm: Vec<u8>,
    pub(crate) issuer: Vec<u8>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
}

/// A certificate that signs others, with its key and what stands above it, short of the root.
#[derive(Debug)]
pub(crate) struct Authority {
    pub(crate) der: Vec<u8>,
    pub(crate) key: PrivateKey,
    pub(crate) name: Vec<u8>,
    pub(crate) key_id: Vec<u8>,
    pub(crate) above: Vec<Vec<u8>>,
}

/// A chain, leaf first, and the key of the leaf.
#[derive(Debug)]
pub(crate) struct Svid {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) key: PrivateKey,
}

impl Draft {
    /// Puts an extension in the place of the one of its kind, or at the end.
    pub(crate) fn set(&mut self, extension: Extension) -> &mut Self {
        match self
            .extensions
            .iter_mut()
            .find(|old| old.oid == extension.oid)
        {
            Some(old) => *old = extension,
            None => self.extensions.push(extension),
        }
        self
    }

    /// Puts an extension at the end, even if it is the second of its kind.
    pub(crate) fn add(&mut self, extension: Extension) -> &mut Self {
        self.extensions.push(extension);
        self
    }

    pub(crate) fn remove(&mut self, oid: &str) -> &mut Self {
        self.extensions.retain(|extension| extension.oid != oid);
        self
    }

    /// What is signed.
    pub(crate) fn to_be_signed(&self) -> Vec<u8> {
        let all: Vec<u8> = self
            .extensions
            .iter()
            .flat_map(|one| one.der.clone())
            .collect();
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            der::value(0xa3, &der::sequence(&[&all]))
        };
        let validity = [der::time(self.not_before), der::time(self.not_after)].concat();
        der::sequence(&[
            &self.version,
            &self.serial,
            &self.algorithm,
            &self.issuer,
            &der::sequence(&[&validity]),
            &self.subject,
            &self.spki,
            &extensions,
        ])
    }

    pub(crate) fn signed_by(&self, key: &PrivateKey) -> Vec<u8> {
        self.sealed(&self.to_be_signed(), key)
    }

    /// The certificate around any bytes that are signed.
    pub(crate) fn sealed(&self, to_be_signed: &[u8], key: &PrivateKey) -> Vec<u8> {
        let signature = der::bit_string(&key.sign(to_be_signed).unwrap());
        der::sequence(&[to_be_signed, &self.outer_algorithm, &signature])
    }
}

impl Authority {
    /// A self-signed authority of a trust domain.
    pub(crate) fn root(trust_domain: &str) -> Self {
        Self::root_with(trust_domain, |_| {})
    }

    pub(crate) fn root_with(trust_domain: &str, change: impl FnOnce(&mut Draft)) -> Self {
        let key = key();
        let name = der::common_name(&format!("root of {trust_domain}"));
        let mut draft = authority_draft(&key, trust_domain, Names::own(&name));
        change(&mut draft);
        Self {
            der: draft.signed_by(&key),
            name: draft.subject,
            key_id: key.subject_key_id().to_vec(),
            above: Vec::new(),
            key,
        }
    }

    /// An authority below this one, for the trust domain of the tests.
    pub(crate) fn below(&self, change: impl FnOnce(&mut Draft)) -> Self {
        let key = key();
        let name = der::common_name(&format!(
            "intermediate {}",
            hex::encode(key.subject_key_id())
        ));
        let names = Names {
            issuer: &self.name,
            subject: &name,
        };
        let mut draft = authority_draft(&key, super::OURS, names);
        draft.set(Extension::authority_key_id(&self.key_id));
        change(&mut draft);
        let der = draft.signed_by(&self.key);
        let mut above = vec![der.clone()];
        above.extend(self.above.clone());
        Self {
            der,
            name: draft.subject,
            key_id: key.subject_key_id().to_vec(),
            above,
            key,
        }
    }

    pub(crate) fn leaf(&self, id: &str) -> Svid {
        self.leaf_with(id, |_| {})
    }

    pub(crate) fn leaf_with(&self, id: &str, change: impl FnOnce(&mut Draft)) -> Svid {
        let (mut draft, key) = self.draft(id);
        change(&mut draft);
        self.seal(draft.signed_by(&self.key), key)
    }

    /// A good leaf before it is signed, and its key.
    pub(crate) fn draft(&self, id: &str) -> (Draft, PrivateKey) {
        let key = key();
        let subject = der::common_name("workload");
        let names = Names {
            issuer: &self.name,
            subject: &subject,
        };
        let mut draft = base(&key, names);
        draft
            .set(Extension::key_usage(DIGITAL_SIGNATURE))
            .set(Extension::purposes(&[SERVER_AUTH, CLIENT_AUTH]))
            .set(Extension::no_authority())
            .set(Extension::subject_key_id(&key.subject_key_id()))
            .set(Extension::authority_key_id(&self.key_id))
            .set(Extension::uri(id));
        (draft, key)
    }

    /// A leaf with what stands between it and the root.
    pub(crate) fn seal(&self, leaf: Vec<u8>, key: PrivateKey) -> Svid {
        let mut chain = vec![leaf];
        chain.extend(self.above.clone());
        Svid { chain, key }
    }

    /// The authority itself, as if it were somebody's SVID.
    pub(crate) fn as_svid(&self) -> Svid {
        let mut chain = vec![self.der.clone()];
        chain.extend(self.above.iter().skip(1).cloned());
        Svid {
            chain,
            key: PrivateKey::from_pkcs8(self.key.pkcs8_der()).unwrap(),
        }
    }
}

impl Svid {
    /// The chain as the Workload API carries it.
    pub(crate) fn concatenated(&self) -> Vec<u8> {
        self.chain.concat()
    }

    pub(crate) fn leaf(&self) -> &[u8] {
        &self.chain[0]
    }
}

pub(crate) fn key() -> PrivateKey {
    PrivateKey::generate(KeyType::EcP256).unwrap()
}

pub(crate) fn hours_ago(hours: u64) -> SystemTime {
    now() - Duration::from_secs(hours * 3600)
}

pub(crate) fn in_hours(hours: u64) -> SystemTime {
    now() + Duration::from_secs(hours * 3600)
}

pub(crate) fn minutes_ago(minutes: u64) -> SystemTime {
    now() - Duration::from_secs(minutes * 60)
}

pub(crate) fn in_minutes(minutes: u64) -> SystemTime {
    now() + Duration::from_secs(minutes * 60)
}

fn now() -> SystemTime {
    SystemTime::now()
}

/// Who signs, and who is signed, in DER.
#[derive(Clone, Copy)]
struct Names<'n> {
    issuer: &'n [u8],
    subject: &'n [u8],
}

impl<'n> Names<'n> {
    /// One that signs itself.
    fn own(name: &'n [u8]) -> Self {
        Self {
            issuer: name,
            subject: name,
        }
    }
}

fn authority_draft(key: &PrivateKey, trust_domain: &str, names: Names<'_>) -> Draft {
    let mut draft = base(key, names);
    draft
        .set(Extension::key_usage(KEY_CERT_SIGN | CRL_SIGN))
        .set(Extension::authority(None))
        .set(Extension::subject_key_id(&key.subject_key_id()))
        .set(Extension::uri(&format!("spiffe://{trust_domain}")));
    draft
}

fn base(key: &PrivateKey, names: Names<'_>) -> Draft {
    let mut serial = crypto::random::<16>().unwrap();
    serial[0] = serial[0] & 0x7f | 0x40;
    Draft {
        version: der::value(0xa0, &der::integer(&[2])),
        serial: der::integer(&serial),
        algorithm: ecdsa_with_sha256(),
        outer_algorithm: ecdsa_with_sha256(),
        issuer: names.issuer.to_vec(),
        not_before: hours_ago(1),
        not_after: in_hours(1),
        subject: names.subject.to_vec(),
        spki: key.spki_der().to_vec(),
        extensions: Vec::new(),
    }
}

fn ecdsa_with_sha256() -> Vec<u8> {
    der::sequence(&[&der::oid("1.2.840.10045.4.3.2")])
}
