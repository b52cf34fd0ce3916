//! Who is at the other end of an inbound connection, as its handshake proved it, if there was one.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use signet_identity::{SpiffeId, TrustDomain, crypto, tls, x509::Leaf};
use signet_mesh::{MtlsMode, WorkloadModel};
use thiserror::Error;
use tokio_rustls::server::TlsStream;

use crate::read_ahead::ReadAhead;

/// The client of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// Who it is; none if it came in plaintext.
    pub(crate) proven: Option<Proven>,
    /// Its address.
    pub(crate) address: SocketAddr,
    /// What it reached: our address, and the port of the application.
    pub(crate) local: SocketAddr,
    /// The server name it asked for.
    pub(crate) sni: Option<String>,
    /// Our trust domain when we met it.
    pub(crate) met_by: Option<TrustDomain>,
}

/// What a client has proven.
#[derive(Clone, Debug)]
pub(crate) struct Proven {
    /// Its certificate, read.
    pub(crate) leaf: Leaf,
    /// The chain it presented.
    pub(crate) chain: Vec<CertificateDer<'static>>,
}

/// The handshake ended without a SPIFFE ID; the verifier makes this impossible.
#[derive(Debug, Error)]
#[error("the client proved no SPIFFE ID")]
pub(crate) struct Unproven;

impl Peer {
    /// Reads who the client of a finished handshake is.
    ///
    /// # Errors
    /// No verified SPIFFE ID, or a socket that is gone.
    pub(crate) fn of(
        stream: &TlsStream<ReadAhead>,
        local: SocketAddr,
        met_by: Option<TrustDomain>,
    ) -> anyhow::Result<Self> {
        let (stream, session) = stream.get_ref();
        let socket = stream.socket();
        let chain = session.peer_certificates().ok_or(Unproven)?;
        Ok(Self {
            proven: Some(Proven {
                leaf: tls::peer_leaf(Some(chain))?.ok_or(Unproven)?,
                chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            }),
            address: socket.peer_addr()?,
            local,
            sni: session.server_name().map(str::to_owned),
            met_by,
        })
    }

    /// A client that comes in plaintext, so that it is nobody.
    pub(crate) fn plain(
        address: SocketAddr,
        local: SocketAddr,
        met_by: Option<TrustDomain>,
    ) -> Self {
        Self {
            proven: None,
            address,
            local,
            sni: None,
            met_by,
        }
    }

    /// Who it is, if it has proven it.
    pub(crate) fn id(&self) -> Option<&SpiffeId> {
        self.proven.as_ref().map(|proven| &proven.leaf.id)
    }

    /// Why its port does not take it, as a model has it: it is to prove who it is, or is not to
    /// speak TLS.
    pub(crate) fn objection(&self, model: &WorkloadModel) -> Option<String> {
        let decided = model.peer_authentication.decided(self.local.port());
        match (decided.mode, &self.proven) {
            (MtlsMode::Permissive, _) | (MtlsMode::Strict, Some(_)) | (MtlsMode::Disable, None) => {
                None
            }
            (MtlsMode::Strict, None) => Some(format!(
                "plaintext is not taken any more: the port is {decided}"
            )),
            (MtlsMode::Disable, Some(_)) => Some(format!(
                "mutual TLS is not taken any more: the port is {decided}"
            )),
        }
    }
}

impl Proven {
    /// The SHA-256 of the client's certificate, in hexadecimal.
    pub(crate) fn certificate_hash(&self) -> String {
        let leaf = self.chain.first().map(AsRef::as_ref).unwrap_or_default();
        crypto::sha256(leaf)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
