//! Who may call what: the one table of the API's methods. A method that is not in it is refused
//! to everybody.

/// The kinds of callers that a method is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowed(u8);

/// One kind of caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Everybody, identified or not.
    Any,
    /// An attested agent.
    Agent,
    /// A workload whose entry says `downstream`.
    Downstream,
    /// An administrator with an SVID.
    Admin,
    /// Whoever can open the local admin socket.
    Local,
}

impl Allowed {
    /// Whether callers of this kind may call.
    pub(crate) fn to(self, kind: Kind) -> bool {
        self.0 & kind.bit() != 0
    }

    const fn and(self, kind: Kind) -> Self {
        Self(self.0 | kind.bit())
    }
}

impl Kind {
    const fn bit(self) -> u8 {
        match self {
            Self::Any => 1,
            Self::Agent => 2,
            Self::Downstream => 4,
            Self::Admin => 8,
            Self::Local => 16,
        }
    }
}

/// Whether `method` is one of ours at all.
pub(crate) fn known(method: &str) -> bool {
    allowed(method) != NOBODY
}

/// To whom `method` (the path of the request) is open; nobody if it is unknown.
pub(crate) fn allowed(method: &str) -> Allowed {
    let Some((service, name)) = method
        .strip_prefix('/')
        .and_then(|path| path.split_once('/'))
    else {
        return NOBODY;
    };
    match service {
        "spire.api.server.agent.v1.Agent" => agent(name),
        "spire.api.server.bundle.v1.Bundle" => bundle(name),
        "spire.api.server.entry.v1.Entry" => entry(name),
        "spire.api.server.svid.v1.SVID" => svid(name),
        "spire.api.server.trustdomain.v1.TrustDomain"
        | "spire.api.server.localauthority.v1.LocalAuthority" => ADMINS,
        "spire.api.server.logger.v1.Logger"
        | "spire.api.server.debug.v1.Debug"
        | "grpc.health.v1.Health" => LOCAL,
        "signet.server.sync.v1.Sync" => AGENT,
        _ => NOBODY,
    }
}

fn agent(method: &str) -> Allowed {
    match method {
        "AttestAgent" => ANY,
        "RenewAgent" | "PostStatus" => AGENT,
        "CountAgents" | "ListAgents" | "GetAgent" | "DeleteAgent" | "BanAgent"
        | "CreateJoinToken" => ADMINS,
        _ => NOBODY,
    }
}

fn bundle(method: &str) -> Allowed {
    match method {
        "GetBundle" => ANY,
        "GetFederatedBundle" => ADMINS.and(Kind::Agent),
        "PublishJWTAuthority" | "PublishWITAuthority" => DOWNSTREAM,
        "CountBundles"
        | "AppendBundle"
        | "ListFederatedBundles"
        | "BatchCreateFederatedBundle"
        | "BatchUpdateFederatedBundle"
        | "BatchSetFederatedBundle"
        | "BatchDeleteFederatedBundle" => ADMINS,
        _ => NOBODY,
    }
}

fn entry(method: &str) -> Allowed {
    match method {
        "GetAuthorizedEntries" | "SyncAuthorizedEntries" => AGENT,
        "CountEntries" | "ListEntries" | "GetEntry" | "BatchCreateEntry" | "BatchUpdateEntry"
        | "BatchDeleteEntry" => ADMINS,
        _ => NOBODY,
    }
}

fn svid(method: &str) -> Allowed {
    match method {
        "BatchNewX509SVID" | "NewJWTSVID" | "BatchNewWITSVID" => AGENT,
        "NewDownstreamX509CA" => DOWNSTREAM,
        "MintX509SVID" | "MintJWTSVID" | "MintWITSVID" => ADMINS,
        _ => NOBODY,
    }
}

const NOBODY: Allowed = Allowed(0);
const ANY: Allowed = NOBODY.and(Kind::Any);
const AGENT: Allowed = NOBODY.and(Kind::Agent);
const DOWNSTREAM: Allowed = NOBODY.and(Kind::Downstream);
const LOCAL: Allowed = NOBODY.and(Kind::Local);
const ADMINS: Allowed = LOCAL.and(Kind::Admin);

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use prost_types::FileDescriptorSet;

    use super::*;

    #[test]
    fn every_method_of_every_server_service_is_in_the_table() {
        let files = FileDescriptorSet::decode(signet_proto::DESCRIPTORS).unwrap();
        let mut seen = 0;
        for file in files.file {
            let package = file.package().to_owned();
            if !package.starts_with("spire.api.server.") && !package.starts_with("signet.server.") {
                continue;
            }
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/{package}.{}/{}", service.name(), method.name());
                    assert_ne!(allowed(&path), NOBODY, "{path}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 50, "{seen}");
    }

    #[test]
    fn what_is_not_in_the_table_is_open_to_nobody() {
        for path in [
            "",
            "/",
            "/spire.api.server.agent.v1.Agent/",
            "/spire.api.server.agent.v1.Agent/Attestagent",
            "spire.api.server.agent.v1.Agent/AttestAgent",
            "/spire.api.server.entry.v1.Entry/ListEntries/",
            "/other.Service/Method",
        ] {
            assert_eq!(allowed(path), NOBODY, "{path}");
        }
    }

    #[test]
    fn only_attestation_and_the_bundle_are_open_to_everybody() {
        let agent = allowed("/spire.api.server.agent.v1.Agent/AttestAgent");
        let bundle = allowed("/spire.api.server.bundle.v1.Bundle/GetBundle");
        assert!(agent.to(Kind::Any) && bundle.to(Kind::Any));
        let delete = allowed("/spire.api.server.agent.v1.Agent/DeleteAgent");
        assert!(!delete.to(Kind::Any) && !delete.to(Kind::Agent) && delete.to(Kind::Admin));
        let level = allowed("/spire.api.server.logger.v1.Logger/SetLogLevel");
        assert!(level.to(Kind::Local) && !level.to(Kind::Admin));
    }
}
