//! Attestation by an X.509 certificate of the node, whose key the agent proves to have.
//!
//! The agent sends its chain; the server checks it against the configured CAs and sends a nonce;
//! the agent signs SHA-256(server nonce ‖ its own nonce) with the leaf's key.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use signet_identity::{
    TrustDomain,
    crypto::{self, PublicKeyKind},
    key::NonceSignature,
    selector::{Selector, Selectors},
    trust::Anchors,
    x509::ProfileError,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use super::{
    AttestError, Attested, Evidence, Malformed, Pending, Reattest, Refused, agent_id, error::Ours,
};

/// Why the configured CAs cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError {
    /// The file cannot be read.
    #[error("NodeAttestor \"x509pop\": cannot read the CA bundle {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file has no usable certificates.
    #[error("NodeAttestor \"x509pop\": the CA bundle {} {what}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// One of the certificates may not sign others.
    #[error(
        "NodeAttestor \"x509pop\": certificate {number} in the CA bundle {} cannot attest nodes: {source}; issue it again as a CA with keyCertSign, or take it out",
        path.display()
    )]
    Authority {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Why.
        source: ProfileError,
    },
}

/// What the configuration says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct X509PopSettings {
    /// Files with CA certificates in PEM.
    pub(crate) ca_bundle_paths: Vec<PathBuf>,
}

/// The attestor: the CAs whose certificates attest nodes.
#[derive(Debug)]
pub(crate) struct X509Pop {
    authorities: Anchors,
}

impl X509Pop {
    /// Reads the CAs.
    pub(crate) fn load(settings: &X509PopSettings) -> Result<Self, PoolError> {
        let mut authorities = Anchors::default();
        for path in &settings.ca_bundle_paths {
            read_bundle(path, &mut authorities)?;
        }
        Ok(Self { authorities })
    }

    /// Checks the chain and asks for the proof.
    pub(super) fn begin(
        &self,
        payload: &[u8],
        trust_domain: &TrustDomain,
        now: SystemTime,
    ) -> Result<Evidence, AttestError> {
        let chain = read_chain(payload)?;
        let Some(leaf) = chain.first() else {
            return Err(Malformed::Pop("payload has no certificate").into());
        };
        let (rest, parsed) = X509Certificate::from_der(leaf).map_err(|_malformed| BAD_LEAF)?;
        if !rest.is_empty() {
            return Err(BAD_LEAF.into());
        }
        let spki_der = parsed.public_key().raw.to_vec();
        let challenge = Challenge::for_key(&parsed)?;
        let issuers = self.authorities.verify_any_purpose(&chain, now);
        let issuers = issuers.map_err(Refused::Untrusted)?;
        let fingerprint = hex::encode(crypto::sha1(leaf));
        let attested = Attested {
            agent_id: agent_id(trust_domain, &format!("{NAME}/{fingerprint}"))?,
            kind: NAME,
            selectors: selectors(&parsed, &issuers, trust_domain)?,
            again: Reattest::Possible,
            token: None,
        };
        let (nonce, challenge) = challenge.message()?;
        Ok(Evidence::Challenged {
            challenge,
            pending: Box::new(Pending::X509Pop(PendingPop {
                nonce,
                spki_der,
                attested,
            })),
        })
    }
}

/// An agent that was asked for the proof.
#[derive(Debug)]
pub(crate) struct PendingPop {
    nonce: Nonce,
    spki_der: Vec<u8>,
    attested: Attested,
}

impl PendingPop {
    /// Checks the proof.
    pub(super) fn finish(self, response: &[u8]) -> Result<Attested, AttestError> {
        let malformed = || Malformed::Pop("challenge response");
        let response: Response = serde_json::from_slice(response).map_err(|_json| malformed())?;
        let (nonce, signature) = match (response.rsa_signature, response.ecdsa_signature) {
            (Some(rsa), None) => (rsa.nonce, NonceSignature::Rsa(rsa.signature.0)),
            (None, Some(ecdsa)) => {
                let (r, s) = (ecdsa.r.0, ecdsa.s.0);
                (ecdsa.nonce, NonceSignature::Ecdsa { r, s })
            }
            (None, None) | (Some(_), Some(_)) => return Err(malformed().into()),
        };
        if nonce.0.len() != NONCE {
            return Err(malformed().into());
        }
        let message = [&self.nonce[..], &nonce.0].concat();
        crypto::verify_nonce(&self.spki_der, &message, &signature)
            .map_err(|_bad_signature| Refused::Proof)?;
        Ok(self.attested)
    }
}

type Nonce = [u8; NONCE];

/// Which proof the leaf's key can give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Challenge {
    Rsa,
    Ecdsa,
}

impl Challenge {
    fn for_key(leaf: &X509Certificate<'_>) -> Result<Self, Refused> {
        let signs = match leaf.key_usage() {
            Ok(Some(usage)) => usage.value.digital_signature(),
            Ok(None) => false,
            Err(_) => return Err(BAD_LEAF),
        };
        if !signs {
            return Err(Refused::Unsuitable("its key usage lacks digitalSignature"));
        }
        match crypto::public_key_kind(leaf.public_key().raw) {
            Some(PublicKeyKind::Rsa { bits }) if bits > MOST_RSA_BITS => {
                Err(Refused::Unsuitable("its RSA key is longer than 8192 bits"))
            }
            Some(PublicKeyKind::Rsa { .. }) => Ok(Self::Rsa),
            Some(PublicKeyKind::EcP256 | PublicKeyKind::EcP384 | PublicKeyKind::EcP521) => {
                Ok(Self::Ecdsa)
            }
            Some(PublicKeyKind::Ed25519) | None => {
                Err(Refused::Unsuitable("its key is neither RSA nor ECDSA"))
            }
        }
    }

    /// A new nonce, and the message that carries it.
    fn message(self) -> Result<(Nonce, Vec<u8>), Ours> {
        let nonce = crypto::random::<NONCE>()?;
        let asked = Some(Asked {
            nonce: BASE64_STANDARD.encode(nonce),
        });
        let message = match self {
            Self::Rsa => Message {
                rsa_signature: asked,
                ecdsa_signature: None,
            },
            Self::Ecdsa => Message {
                rsa_signature: None,
                ecdsa_signature: asked,
            },
        };
        let json = serde_json::to_vec(&message)?;
        Ok((nonce, json))
    }
}

fn read_bundle(path: &Path, authorities: &mut Anchors) -> Result<(), PoolError> {
    let content = |what| PoolError::Content {
        path: path.to_owned(),
        what,
    };
    let text = fs::read(path).map_err(|source| PoolError::Read {
        path: path.to_owned(),
        source,
    })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|_pem| content("is not valid PEM"))?;
    if certificates.is_empty() {
        return Err(content("has no certificate in it"));
    }
    for (certificate, number) in certificates.iter().zip(1..) {
        authorities
            .add(certificate)
            .map_err(|source| PoolError::Authority {
                path: path.to_owned(),
                number,
                source,
            })?;
    }
    Ok(())
}

fn read_chain(payload: &[u8]) -> Result<Vec<CertificateDer<'static>>, AttestError> {
    let evidence: Chain =
        serde_json::from_slice(payload).map_err(|_json| Malformed::Pop("payload"))?;
    if evidence.certificates.len() > 1 + MOST_INTERMEDIATES {
        let what = "it comes with more than four intermediates";
        return Err(Refused::Unsuitable(what).into());
    }
    let chain = evidence.certificates.into_iter();
    Ok(chain.map(|der| CertificateDer::from(der.0)).collect())
}

fn selectors(
    leaf: &X509Certificate<'_>,
    issuers: &[CertificateDer<'_>],
    trust_domain: &TrustDomain,
) -> Result<Selectors, AttestError> {
    let mut values = Vec::new();
    let common_name = leaf.subject().iter_common_name().next();
    if let Some(name) = common_name.and_then(|name| name.as_str().ok()) {
        values.push(format!("subject:cn:{name}"));
    }
    let fingerprints = issuers.iter().map(|ca| hex::encode(crypto::sha1(ca)));
    values.extend(fingerprints.map(|ca| format!("ca:fingerprint:{ca}")));
    let serial: Vec<u8> = leaf
        .raw_serial()
        .iter()
        .copied()
        .skip_while(|byte| *byte == 0)
        .collect();
    values.push(format!("serialnumber:{}", hex::encode(serial)));
    let names = leaf
        .subject_alternative_name()
        .map_err(|_malformed| BAD_LEAF)?;
    let prefix = format!("x509pop://{}/", trust_domain.as_str());
    for name in names.iter().flat_map(|names| &names.value.general_names) {
        let GeneralName::URI(uri) = name else {
            continue;
        };
        let pair = uri
            .strip_prefix(&prefix)
            .and_then(|path| path.split_once('/'));
        values.extend(pair.map(|(key, value)| format!("san:{key}:{value}")));
    }
    let made = values.iter().map(|value| Selector::new(NAME, value));
    Ok(made.collect::<Result<_, _>>().map_err(Ours::from)?)
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<Bytes>,
}

#[derive(Serialize)]
struct Message {
    rsa_signature: Option<Asked>,
    ecdsa_signature: Option<Asked>,
}

#[derive(Serialize)]
struct Asked {
    nonce: String,
}

#[derive(Deserialize)]
struct Response {
    rsa_signature: Option<RsaProof>,
    ecdsa_signature: Option<EcdsaProof>,
}

#[derive(Deserialize)]
struct RsaProof {
    nonce: Bytes,
    signature: Bytes,
}

#[derive(Deserialize)]
struct EcdsaProof {
    nonce: Bytes,
    r: Bytes,
    s: Bytes,
}

/// Bytes that JSON carries as base64.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Bytes(Vec<u8>);

impl TryFrom<String> for Bytes {
    type Error = base64::DecodeError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        BASE64_STANDARD.decode(text).map(Self)
    }
}

const BAD_LEAF: Refused = Refused::Unsuitable("it is malformed");
const NONCE: usize = 32;
const MOST_INTERMEDIATES: usize = 4;
const MOST_RSA_BITS: usize = 8192;
pub(super) const NAME: &str = "x509pop";

#[cfg(test)]
mod tests;
