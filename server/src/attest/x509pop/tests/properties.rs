//! Whatever an agent sends, nobody is attested but the node whose certificate and key these are.

use std::sync::LazyLock;

use proptest::{collection::vec, option, prelude::*};

use super::*;

/// One node for all cases, and its answer to a challenge of nines.
struct Node {
    world: World,
    response: Vec<u8>,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let world = world(KeyType::EcP256);
    let challenge = json!({ "ecdsa_signature": { "nonce": BASE64_STANDARD.encode(SENT) } });
    Node {
        response: answer(&world.key, &challenge),
        world,
    }
});

const SENT: Nonce = [9; NONCE];

impl Node {
    fn begin(&self, payload: &[u8]) -> Result<Evidence, AttestError> {
        let World {
            pop, trust_domain, ..
        } = &self.world;
        pop.begin(payload, trust_domain, noon())
    }

    fn finish(&self, response: &[u8]) -> Result<Attested, AttestError> {
        let pending = PendingPop {
            nonce: SENT,
            spki_der: self.world.key.spki_der().to_vec(),
            attested: someone(),
        };
        pending.finish(response)
    }
}

fn malformed<T>(outcome: &Result<T, AttestError>) -> bool {
    matches!(outcome, Err(AttestError::Malformed(Malformed::Pop(_))))
}

fn refused<T>(outcome: &Result<T, AttestError>) -> bool {
    matches!(outcome, Err(AttestError::Refused(_)))
}

fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..80)
}

/// A nonce that is as long as it has to be, as often as not.
fn nonce() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), NONCE), bytes()]
}

/// `text` with another byte at one place.
fn changed(text: &[u8], at: prop::sample::Index, mask: u8) -> Vec<u8> {
    let mut text = text.to_vec();
    let at = at.index(text.len());
    text[at] ^= mask;
    text
}

#[test]
fn the_node_of_the_properties_is_attested() {
    assert!(NODE.begin(&payload(&NODE.world.chain)).is_ok());
    assert!(NODE.finish(&NODE.response).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_malformed(bytes: Vec<u8>) {
        prop_assert!(malformed(&NODE.begin(&bytes).map(drop)));
        prop_assert!(malformed(&NODE.finish(&bytes)));
    }

    #[test]
    fn a_chain_of_any_bytes_leads_nowhere(chain in vec(bytes(), 0..8)) {
        let outcome = NODE.begin(&payload(&chain)).map(drop);
        let judged = if chain.is_empty() { malformed(&outcome) } else { refused(&outcome) };
        prop_assert!(judged, "{outcome:?}");
    }

    #[test]
    fn a_changed_payload_is_refused_or_that_of_the_same_node(
        at: prop::sample::Index,
        mask in 1..=u8::MAX,
    ) {
        let changed = changed(&payload(&NODE.world.chain), at, mask);
        match NODE.begin(&changed) {
            Ok(Evidence::Challenged { pending, .. }) => {
                let Pending::X509Pop(pending) = *pending;
                let fingerprint = hex::encode(crypto::sha1(&NODE.world.chain[0]));
                prop_assert!(pending.attested.agent_id.path().ends_with(&fingerprint));
                prop_assert_eq!(&pending.spki_der, NODE.world.key.spki_der());
            }
            Ok(Evidence::Accepted(_)) => panic!("accepted without a proof"),
            Err(error) => {
                let outcome = Err::<(), _>(error);
                prop_assert!(malformed(&outcome) || refused(&outcome), "{outcome:?}");
            }
        }
    }

    #[test]
    fn a_chain_with_a_bit_changed_is_no_chain(
        of in 0..2_usize,
        at: prop::sample::Index,
        bit in 0..8_u8,
    ) {
        let mut chain = NODE.world.chain.clone();
        chain[of] = changed(&chain[of], at, 1 << bit);
        let outcome = NODE.begin(&payload(&chain)).map(drop);
        prop_assert!(refused(&outcome), "{outcome:?}");
    }

    #[test]
    fn a_changed_response_is_refused_or_says_the_same(
        at: prop::sample::Index,
        mask in 1..=u8::MAX,
    ) {
        let changed = changed(&NODE.response, at, mask);
        let outcome = NODE.finish(&changed);
        if outcome.is_ok() {
            let proof = |json: &[u8]| {
                let json: Value = serde_json::from_slice(json).unwrap();
                json["ecdsa_signature"].clone()
            };
            prop_assert_eq!(proof(&changed), proof(&NODE.response));
        } else {
            prop_assert!(malformed(&outcome) || refused(&outcome), "{outcome:?}");
        }
    }

    #[test]
    fn a_made_up_response_is_malformed_or_no_proof(
        rsa in option::of((nonce(), bytes())),
        ecdsa in option::of((nonce(), bytes(), bytes())),
    ) {
        let response = json!({
            "rsa_signature": rsa.as_ref().map(|(nonce, signature)| json!({
                "nonce": base64(nonce), "signature": base64(signature),
            })),
            "ecdsa_signature": ecdsa.as_ref().map(|(nonce, r, s)| json!({
                "nonce": base64(nonce), "r": base64(r), "s": base64(s),
            })),
        });
        let nonce = match (&rsa, &ecdsa) {
            (Some((nonce, _)), None) | (None, Some((nonce, ..))) => Some(nonce),
            (None, None) | (Some(_), Some(_)) => None,
        };
        let outcome = NODE.finish(response.to_string().as_bytes());
        if nonce.is_some_and(|nonce| nonce.len() == NONCE) {
            prop_assert!(matches!(outcome, Err(AttestError::Refused(Refused::Proof))));
        } else {
            prop_assert!(malformed(&outcome), "{outcome:?}");
        }
    }
}
