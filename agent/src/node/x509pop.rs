//! Attestation by a certificate that the node already has: the agent shows it and proves that it
//! holds its key, by a signature over a nonce from each side.

use std::{fs, io, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::pki_types::CertificateDer;
use serde::{Deserialize, Serialize};
use signet_identity::{
    crypto,
    key::{KeyError, NonceSignature, PrivateKey},
    x509,
};
use zeroize::Zeroizing;

use crate::certificate;

/// Where the node's certificate and key are; read for each attempt, because they get renewed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct X509Pop {
    /// PEM file with the key.
    pub(crate) private_key_path: PathBuf,
    /// PEM file with the certificate, perhaps followed by intermediates.
    pub(crate) certificate_path: PathBuf,
    /// PEM file with further intermediates.
    pub(crate) intermediates_path: Option<PathBuf>,
}

/// The proof at hand: what to show and what to sign with.
#[derive(Debug)]
pub(super) struct Proof {
    pub(super) payload: Vec<u8>,
    key: PrivateKey,
}

/// Why the node's certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum X509PopError {
    #[error("reading {0}")]
    Read(PathBuf, #[source] io::Error),
    #[error("{0} holds no usable private key: {1}")]
    Key(PathBuf, KeyError),
    #[error("{0} holds no usable certificate: {1}")]
    Certificate(PathBuf, String),
    #[error("the key in {0} does not belong to the certificate in {1}")]
    OtherKey(PathBuf, PathBuf),
    #[error("the certificate in {0} may not make signatures: its key usage lacks digitalSignature")]
    Usage(PathBuf),
    #[error("the server's challenge makes no sense: {0}")]
    Challenge(String),
    #[error("signing the server's nonce")]
    Sign(#[from] KeyError),
}

impl X509Pop {
    /// Reads the files and checks that they belong together.
    pub(super) fn proof(&self) -> Result<Proof, X509PopError> {
        let text = Zeroizing::new(read(&self.private_key_path)?);
        let key = PrivateKey::from_pem(&text)
            .map_err(|error| X509PopError::Key(self.private_key_path.clone(), error))?;
        let mut chain = certificates(&self.certificate_path)?;
        if let Some(path) = &self.intermediates_path {
            chain.extend(certificates(path)?);
        }
        self.check_leaf(&chain, &key)?;
        let certificates = chain.iter().map(|c| STANDARD.encode(c)).collect();
        let payload = serde_json::to_vec(&Payload { certificates });
        let payload = payload.map_err(|error| X509PopError::Challenge(error.to_string()))?;
        Ok(Proof { payload, key })
    }

    fn check_leaf(
        &self,
        chain: &[CertificateDer<'_>],
        key: &PrivateKey,
    ) -> Result<(), X509PopError> {
        let path = &self.certificate_path;
        let unreadable = |what: &str| X509PopError::Certificate(path.clone(), what.to_owned());
        let leaf = chain.first().ok_or_else(|| unreadable("it is empty"))?;
        let public = x509::public_key(leaf).map_err(|e| unreadable(&e.to_string()))?;
        if public != key.spki_der() {
            let key_path = self.private_key_path.clone();
            return Err(X509PopError::OtherKey(key_path, path.clone()));
        }
        if !certificate::may_sign(leaf).map_err(|e| unreadable(&e.to_string()))? {
            return Err(X509PopError::Usage(path.clone()));
        }
        Ok(())
    }
}

impl Proof {
    /// Answers the server's challenge: a signature over its nonce followed by one of ours.
    pub(super) fn respond(&self, challenge: &[u8]) -> Result<Vec<u8>, X509PopError> {
        let nonce = server_nonce(challenge)?;
        let ours = crypto::random::<32>()?;
        let message = [nonce.as_slice(), &ours].concat();
        let nonce = STANDARD.encode(ours);
        let response = match self.key.sign_nonce(&message)? {
            NonceSignature::Rsa(signature) => Response {
                rsa_signature: Some(RsaSignature {
                    nonce,
                    signature: STANDARD.encode(signature),
                }),
                ecdsa_signature: None,
            },
            NonceSignature::Ecdsa { r, s } => Response {
                rsa_signature: None,
                ecdsa_signature: Some(EcdsaSignature {
                    nonce,
                    r: STANDARD.encode(r),
                    s: STANDARD.encode(s),
                }),
            },
        };
        serde_json::to_vec(&response).map_err(|error| X509PopError::Challenge(error.to_string()))
    }
}

#[derive(Serialize)]
struct Payload {
    certificates: Vec<String>,
}

#[derive(Deserialize)]
struct Challenge {
    rsa_signature: Option<ServerNonce>,
    ecdsa_signature: Option<ServerNonce>,
}

#[derive(Deserialize)]
struct ServerNonce {
    nonce: String,
}

#[derive(Serialize)]
struct Response {
    rsa_signature: Option<RsaSignature>,
    ecdsa_signature: Option<EcdsaSignature>,
}

#[derive(Serialize)]
struct RsaSignature {
    nonce: String,
    signature: String,
}

#[derive(Serialize)]
struct EcdsaSignature {
    nonce: String,
    r: String,
    s: String,
}

fn server_nonce(challenge: &[u8]) -> Result<Vec<u8>, X509PopError> {
    let refused = |what: String| X509PopError::Challenge(what);
    let challenge: Challenge =
        serde_json::from_slice(challenge).map_err(|error| refused(error.to_string()))?;
    let nonce = match (challenge.rsa_signature, challenge.ecdsa_signature) {
        (Some(nonce), None) | (None, Some(nonce)) => nonce.nonce,
        (Some(_), Some(_)) | (None, None) => {
            return Err(refused("not exactly one kind of signature".to_owned()));
        }
    };
    let nonce = STANDARD.decode(nonce);
    let nonce = nonce.map_err(|error| refused(format!("nonce: {error}")))?;
    // A server that chooses the whole message could have anything signed.
    if nonce.len() != NONCE {
        return Err(refused(format!("a nonce of {} bytes", nonce.len())));
    }
    Ok(nonce)
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, X509PopError> {
    let text = read(path)?;
    x509::chain_from_pem(&text)
        .map_err(|error| X509PopError::Certificate(path.clone(), error.to_string()))
}

fn read(path: &PathBuf) -> Result<String, X509PopError> {
    fs::read_to_string(path).map_err(|error| X509PopError::Read(path.clone(), error))
}

const NONCE: usize = 32;

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::{collection::vec, option, prelude::*};
    use rcgen::{CertificateParams, KeyPair, KeyUsagePurpose};
    use serde_json::{Value, json};
    use signet_identity::crypto::verify_nonce;
    use tempfile::TempDir;

    use super::*;

    fn written(usages: Vec<KeyUsagePurpose>) -> (TempDir, X509Pop) {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.key_usages = usages;
        let certificate = params.self_signed(&key).unwrap();
        let files = X509Pop {
            private_key_path: directory.path().join("key.pem"),
            certificate_path: directory.path().join("cert.pem"),
            intermediates_path: None,
        };
        fs::write(&files.private_key_path, key.serialize_pem()).unwrap();
        fs::write(&files.certificate_path, certificate.pem()).unwrap();
        (directory, files)
    }

    fn good() -> (TempDir, X509Pop) {
        written(vec![KeyUsagePurpose::DigitalSignature])
    }

    fn bytes(value: &Value) -> Vec<u8> {
        STANDARD.decode(value.as_str().unwrap()).unwrap()
    }

    #[test]
    fn the_response_proves_possession_of_the_shown_certificates_key() {
        let (_directory, files) = good();
        let proof = files.proof().unwrap();
        let payload: Value = serde_json::from_slice(&proof.payload).unwrap();
        let leaf = bytes(&payload["certificates"][0]);
        let nonce = [7; NONCE];
        let challenge = json!({
            "rsa_signature": null,
            "ecdsa_signature": { "nonce": STANDARD.encode(nonce) },
        });
        let response = proof.respond(challenge.to_string().as_bytes()).unwrap();
        let response: Value = serde_json::from_slice(&response).unwrap();
        assert!(response["rsa_signature"].is_null());
        let response = &response["ecdsa_signature"];
        let signature = NonceSignature::Ecdsa {
            r: bytes(&response["r"]),
            s: bytes(&response["s"]),
        };
        let message = [nonce.to_vec(), bytes(&response["nonce"])].concat();
        let spki = x509::public_key(&leaf).unwrap();
        verify_nonce(&spki, &message, &signature).unwrap();
    }

    #[test]
    fn challenges_that_make_no_sense_are_not_signed() {
        let (_directory, files) = good();
        let proof = files.proof().unwrap();
        let nonce = |n: usize| json!({ "nonce": STANDARD.encode(vec![0; n]) });
        for challenge in [
            json!({}),
            json!({ "ecdsa_signature": nonce(31) }),
            json!({ "ecdsa_signature": nonce(1000) }),
            json!({ "ecdsa_signature": { "nonce": "%" } }),
            json!({ "ecdsa_signature": nonce(32), "rsa_signature": nonce(32) }),
        ] {
            let refused = proof.respond(challenge.to_string().as_bytes());
            assert!(
                matches!(refused, Err(X509PopError::Challenge(_))),
                "{challenge}"
            );
        }
    }

    static PROOF: LazyLock<Proof> = LazyLock::new(|| good().1.proof().unwrap());

    /// Of 32 bytes as often as not.
    fn nonce() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![vec(any::<u8>(), NONCE), vec(any::<u8>(), 0..80)]
    }

    proptest! {
        #[test]
        fn nothing_is_signed_for_any_bytes(bytes: Vec<u8>) {
            let outcome = PROOF.respond(&bytes);
            prop_assert!(matches!(outcome, Err(X509PopError::Challenge(_))));
        }

        #[test]
        fn what_is_signed_is_one_nonce_of_32_bytes_and_32_of_ours(
            rsa in option::of(nonce()),
            ecdsa in option::of(nonce()),
        ) {
            let asked = |nonce: &Vec<u8>| json!({ "nonce": STANDARD.encode(nonce) });
            let challenge = json!({
                "rsa_signature": rsa.as_ref().map(asked),
                "ecdsa_signature": ecdsa.as_ref().map(asked),
            });
            let outcome = PROOF.respond(challenge.to_string().as_bytes());
            let nonce = match (rsa, ecdsa) {
                (Some(nonce), None) | (None, Some(nonce)) if nonce.len() == NONCE => nonce,
                _ => {
                    prop_assert!(matches!(outcome, Err(X509PopError::Challenge(_))));
                    return Ok(());
                }
            };
            let response: Value = serde_json::from_slice(&outcome.unwrap()).unwrap();
            let response = &response["ecdsa_signature"];
            let ours = bytes(&response["nonce"]);
            prop_assert_eq!(ours.len(), 32);
            let (r, s) = (bytes(&response["r"]), bytes(&response["s"]));
            let signature = NonceSignature::Ecdsa { r, s };
            let signed = verify_nonce(PROOF.key.spki_der(), &[nonce, ours].concat(), &signature);
            prop_assert!(signed.is_ok());
        }
    }

    #[test]
    fn files_that_do_not_fit_are_named() {
        let (_directory, mut files) = good();
        let (_other_directory, other) = good();
        files.private_key_path = other.private_key_path;
        assert!(matches!(files.proof(), Err(X509PopError::OtherKey(..))));

        let (_directory, no_usage) = written(vec![KeyUsagePurpose::KeyAgreement]);
        assert!(matches!(no_usage.proof(), Err(X509PopError::Usage(_))));

        let (_directory, empty) = good();
        fs::write(&empty.certificate_path, "").unwrap();
        let error = empty.proof().unwrap_err().to_string();
        assert!(error.contains("cert.pem"), "{error}");
        fs::remove_file(&empty.private_key_path).unwrap();
        let error = empty.proof().unwrap_err().to_string();
        assert!(error.contains("key.pem"), "{error}");
    }
}
