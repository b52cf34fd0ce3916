//! Which files the TLS of a `DestinationRule` names.

use std::path::PathBuf;

use signet_mesh::{ClientTls, ServerCheck};

/// The files that one TLS names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Files {
    /// Who may have signed the certificate of the server; without it, whom the system trusts.
    pub(super) authorities: Option<PathBuf>,
    /// What was revoked.
    pub(super) revoked: Option<PathBuf>,
    /// What the client shows, if it shows anything.
    pub(super) client: Option<ClientFiles>,
}

/// What a client shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientFiles {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
}

impl Files {
    /// None if it is the TLS of the mesh, or checks nothing.
    pub(super) fn of(tls: &ClientTls) -> Option<Self> {
        let (server, certificate) = match tls {
            ClientTls::Disable | ClientTls::IstioMutual { .. } => return None,
            ClientTls::Simple(server) => (server, None),
            ClientTls::Mutual {
                certificate,
                server,
            } => (server, Some(certificate)),
        };
        let ServerCheck { verify, .. } = server;
        let verify = verify.as_ref()?;
        let path = |text: &str| PathBuf::from(text);
        Some(Self {
            authorities: verify.authorities.as_deref().map(path),
            revoked: verify.revoked.as_deref().map(path),
            client: certificate.map(|certificate| ClientFiles {
                chain: path(&certificate.chain),
                key: path(&certificate.key),
            }),
        })
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        let client = self.client.iter().flat_map(|it| [&it.chain, &it.key]);
        let server = self.authorities.iter().chain(&self.revoked);
        server.chain(client).cloned().collect()
    }
}
