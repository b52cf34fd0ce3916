//! Who is at the other end of an inbound connection, as the handshake proved it.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;
use signet_identity::{TrustDomain, crypto, tls, x509::Leaf};
use thiserror::Error;
use tokio_rustls::server::TlsStream;

use crate::read_ahead::ReadAhead;

/// The verified client of a connection.
#[derive(Debug)]
pub(crate) struct Peer {
    /// The client's certificate, read.
    pub(crate) leaf: Leaf,
    /// The chain it presented.
    pub(crate) chain: Vec<CertificateDer<'static>>,
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Our address on this connection.
    pub(crate) local: SocketAddr,
    /// The server name it asked for.
    pub(crate) sni: Option<String>,
    /// Our trust domain when we met it.
    pub(crate) met_by: Option<TrustDomain>,
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
        met_by: Option<TrustDomain>,
    ) -> anyhow::Result<Self> {
        let (stream, session) = stream.get_ref();
        let socket = stream.socket();
        let chain = session.peer_certificates().ok_or(Unproven)?;
        Ok(Self {
            leaf: tls::peer_leaf(Some(chain))?.ok_or(Unproven)?,
            chain: chain.iter().map(|der| der.clone().into_owned()).collect(),
            address: socket.peer_addr()?,
            local: socket.local_addr()?,
            sni: session.server_name().map(str::to_owned),
            met_by,
        })
    }

    /// The SHA-256 of the client's certificate, in hexadecimal.
    pub(crate) fn certificate_hash(&self) -> String {
        let leaf = self.chain.first().map(AsRef::as_ref).unwrap_or_default();
        crypto::sha256(leaf)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}
