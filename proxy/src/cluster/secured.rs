//! By what TLS an endpoint is called, and what makes it another than that of others.

use std::sync::Arc;

use rustls::{ClientConfig, pki_types::ServerName};
use signet_identity::{
    SpiffeId,
    tls::{self, OutsideName},
};
use signet_mesh::{Called, ClientTls, HostName, Peer, ServerCheck, SubjectAltName};

use crate::{
    config::Protocol,
    flow::{End, Routing, whole},
    outside::{Material, Outside},
    pool::Secure,
    reauthorize::Sources,
};

/// By what the TLS of endpoints differs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tls {
    with: With,
    protocol: Protocol,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum With {
    /// The identity of the mesh, and one of these at the other end.
    Mesh(Vec<SpiffeId>),
    /// Files that say this.
    Files {
        digest: [u8; 32],
        server_name: ServerName<'static>,
        names: Vec<OutsideName>,
    },
}

/// The TLS of one endpoint, and what it is made of.
#[derive(Clone, Debug)]
pub(super) struct Secured {
    pub(super) tls: Tls,
    /// None of the mesh.
    material: Option<Arc<Material>>,
}

impl Secured {
    /// Who of the mesh has to be there; nobody if it is not of the mesh.
    pub(super) fn expected(&self) -> &[SpiffeId] {
        match &self.tls.with {
            With::Mesh(ids) => ids,
            With::Files { .. } => &[],
        }
    }

    /// Whether it is by the identities of the mesh, and not by files.
    pub(super) fn is_of_mesh(&self) -> bool {
        match self.tls.with {
            With::Mesh(_) => true,
            With::Files { .. } => false,
        }
    }

    /// The TLS by which `peer` shows who it is; none if anybody may be there.
    ///
    /// # Errors
    /// It is not known who has to be there.
    pub(super) fn of(
        peer: Peer,
        called: Called<'_>,
        policy: Option<&ClientTls>,
        protocol: Protocol,
        outside: &Outside,
    ) -> Result<Option<Self>, End> {
        match (peer, policy) {
            (Peer::Anybody, _) => Ok(None),
            (Peer::OneOf(expect), _) => Ok(Some(Self {
                tls: Tls {
                    with: With::Mesh(expect),
                    protocol,
                },
                material: None,
            })),
            (Peer::OfFiles, Some(tls)) => Self::by_files(called, tls, protocol, outside).map(Some),
            (Peer::OfFiles, None) => Err(not_known(called, "says no files")),
        }
    }

    fn by_files(
        called: Called<'_>,
        tls: &ClientTls,
        protocol: Protocol,
        outside: &Outside,
    ) -> Result<Self, End> {
        let check = match tls {
            ClientTls::Simple(check) | ClientTls::Mutual { server: check, .. } => check,
            ClientTls::Disable | ClientTls::IstioMutual { .. } => {
                return Err(not_known(called, "names no files"));
            }
        };
        let material = outside.of(tls);
        // A thread may have a model that is past.
        let material = material.ok_or_else(|| not_known(called, "names files that are past"))?;
        let server_name = server_name(called, check)?;
        let with = With::Files {
            digest: material.digest(),
            names: names(called, check, &server_name)?,
            server_name,
        };
        Ok(Self {
            tls: Tls { with, protocol },
            material: Some(material),
        })
    }

    /// What connections are made with.
    ///
    /// # Errors
    /// The library refuses it.
    pub(super) fn secure(&self, sources: &Sources) -> Result<Secure, End> {
        let alpn = self.tls.protocol.alpn();
        let refused = |error: tls::TlsError| End::Routing(Routing::NoCluster(whole(&error)));
        let secure = |config: Arc<ClientConfig>, server_name| Secure {
            config,
            server_name,
        };
        match (&self.tls.with, &self.material) {
            (
                With::Files {
                    names, server_name, ..
                },
                Some(material),
            ) => {
                let config = material.config(names.clone(), alpn).map_err(refused)?;
                Ok(secure(config, Some(server_name.clone())))
            }
            (With::Mesh(expect), _) => {
                let (identity, trust) = (sources.identity.clone(), sources.trust.clone());
                let expect = tls::Expect::Exactly(expect.clone());
                let config = tls::client_config(Some(identity), trust, expect, alpn);
                Ok(secure(config.map_err(refused)?, None))
            }
            (With::Files { .. }, None) => Err(refused(tls::TlsError::NobodyExpected)),
        }
    }
}

/// The name that the client asks for: that of the rule, or else the host that it calls.
fn server_name(called: Called<'_>, check: &ServerCheck) -> Result<ServerName<'static>, End> {
    let host = &called.service.host;
    let name = match (&check.sni, host) {
        (Some(sni), _) => sni.to_string(),
        (None, HostName::Exact(name)) => name.to_string(),
        (None, HostName::Below(_)) => {
            let why = "stands for many hosts, so its TLS needs an `sni`";
            return Err(not_known(called, why));
        }
    };
    let named = ServerName::try_from(name);
    named.map_err(|_invalid| not_known(called, "has no name that TLS could ask for"))
}

/// Which names may stand in the certificate of the server.
fn names(
    called: Called<'_>,
    check: &ServerCheck,
    server_name: &ServerName<'static>,
) -> Result<Vec<OutsideName>, End> {
    let of_rule = check.verify.as_ref().map(|verify| &*verify.names);
    let listed = match of_rule {
        Some([]) | None => &*called.service.subject_alt_names,
        Some(names) => names,
    };
    let named = listed.iter().map(|name| match name {
        SubjectAltName::Id(id) => Ok(OutsideName::Id(id.clone())),
        SubjectAltName::Dns(name) => dns(called, name),
    });
    let mut names: Vec<_> = named.collect::<Result<_, _>>()?;
    if names.is_empty() {
        let ServerName::DnsName(name) = server_name else {
            let why = "has no name that a certificate could have";
            return Err(not_known(called, why));
        };
        names.push(OutsideName::Dns(name.clone()));
    }
    Ok(names)
}

fn dns(called: Called<'_>, name: &str) -> Result<OutsideName, End> {
    let name = name.to_owned().try_into();
    let name = name.map(OutsideName::Dns);
    name.map_err(|_invalid| not_known(called, "has a name that no certificate has"))
}

fn not_known(called: Called<'_>, why: &str) -> End {
    let why = format!("{} {why}", called.service.host);
    End::Routing(Routing::NoCluster(why.into()))
}
