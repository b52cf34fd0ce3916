//! What this machine can do at best: the primitives that a figure stands on, measured on one
//! thread in the same run.

use anyhow::Context as _;
use signet_identity::{
    crypto::{self, Hash, Scheme},
    key::{KeyType, PrivateKey},
};

use crate::meter::own_cost;

/// Processor time in µs of cryptographic primitives with P-256 keys.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crypto {
    pub(crate) verify: f64,
    pub(crate) sign: f64,
    /// The server's part of the key exchange that our TLS prefers.
    pub(crate) exchange: f64,
}

impl Crypto {
    /// One signature over as many bytes as a certificate has, and its verification.
    pub(crate) fn measure() -> anyhow::Result<Self> {
        let key = PrivateKey::generate(KeyType::EcP256)?;
        let message = [7; CERTIFICATE];
        let signature = key.sign(&message)?;
        let scheme = Scheme::Ecdsa(Hash::Sha256);
        let sign = own_cost(|| Ok(key.sign(&message)?))?;
        let verify = own_cost(|| {
            Ok(crypto::verify(
                key.spki_der(),
                scheme,
                &message,
                &signature,
            )?)
        })?;
        let provider = crypto::provider();
        let group = provider.kx_groups.first().context("a group")?;
        let client = group.start()?;
        let share = client.pub_key();
        let exchange = own_cost(|| Ok(group.start_and_complete(share)?))?;
        Ok(Self {
            verify,
            sign,
            exchange,
        })
    }
}

/// About what is signed of an X509-SVID.
const CERTIFICATE: usize = 430;
