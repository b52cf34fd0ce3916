//! What was trusted stays trusted: authorities, and what they have signed.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, SystemTime},
};

use signet_identity::{
    bundle::Bundle,
    jwt::{self, JwtError},
    trust::{Trust, Usage},
    x509,
};

use super::client::AUDIENCE;

/// All that was ever seen of the trust domain.
#[derive(Default)]
pub(super) struct Trusted {
    sequence: u64,
    x509: BTreeSet<Vec<u8>>,
    jwt: BTreeSet<String>,
    chains: Vec<Vec<Vec<u8>>>,
    tokens: Vec<String>,
}

impl Trusted {
    /// Remembers what was issued.
    pub(super) fn issued(&mut self, chain: Vec<Vec<u8>>, token: String) {
        self.chains.push(chain);
        self.tokens.push(token);
    }

    /// The bundle went on from what it was, and verifies everything that is still valid.
    pub(super) fn holds(&mut self, bundle: &Bundle) {
        assert!(bundle.sequence >= self.sequence, "the bundle went back");
        self.sequence = bundle.sequence;
        let x509 = bundle.x509_authorities.iter();
        let x509: BTreeSet<Vec<u8>> = x509.map(|authority| authority.der.to_vec()).collect();
        let jwt = bundle.jwt_authorities.iter();
        let jwt: BTreeSet<String> = jwt.map(|authority| authority.key_id.clone()).collect();
        // Authorities that ended stay for a day.
        assert!(x509.is_superset(&self.x509), "an X.509 authority is gone");
        assert!(jwt.is_superset(&self.jwt), "a JWT authority is gone");
        (self.x509, self.jwt) = (x509, jwt);
        self.verifies(bundle);
    }

    fn verifies(&mut self, bundle: &Bundle) {
        let now = SystemTime::now();
        let trust = Trust::new([bundle]);
        self.chains.retain(|chain| {
            let leaf = x509::check_svid_leaf(&chain[0]).unwrap();
            leaf.not_after > now + SOON
        });
        for chain in &self.chains {
            let chain: Vec<_> = chain.iter().map(|der| der.clone().into()).collect();
            trust.verify(&chain, Usage::Client, now).unwrap();
        }
        let bundle = Arc::new(bundle.clone());
        self.tokens.retain(|token| {
            let find = |_: &_| Some(Arc::clone(&bundle));
            match jwt::validate(token, AUDIENCE, find, now) {
                Ok(_) => true,
                Err(JwtError::Expired) => false,
                Err(error) => panic!("a token that was issued before is refused: {error}"),
            }
        });
    }
}

/// What ends while it is looked at is not looked at.
const SOON: Duration = Duration::from_secs(1);
