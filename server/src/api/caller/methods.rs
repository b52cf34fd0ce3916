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

/// Whether `method` is served on the local socket and nowhere else.
pub(crate) fn only_local(method: &str) -> bool {
    allowed(method) == LOCAL
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
        let mut methods = methods_of("spire.api.server.");
        methods.append(&mut methods_of("signet.server."));
        assert!(methods.len() > 50, "{methods:?}");
        for path in methods {
            assert_ne!(allowed(&path), NOBODY, "{path}");
        }
    }

    #[test]
    fn each_method_is_open_to_whom_spire_opens_it_and_to_nobody_else() {
        let mut listed = 0;
        for (service, methods, open_to) in SPIRE {
            for method in methods.split(' ') {
                let path = format!("/spire.api.server.{service}/{method}");
                for kind in [
                    Kind::Any,
                    Kind::Agent,
                    Kind::Downstream,
                    Kind::Admin,
                    Kind::Local,
                ] {
                    let open = allowed(&path).to(kind);
                    assert_eq!(open, open_to.contains(&kind), "{path} for {kind:?}");
                }
                listed += 1;
            }
        }
        assert_eq!(
            listed,
            methods_of("spire.api.server.").len(),
            "a row is missing"
        );
        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.health.v1.Health/Watch",
        ] {
            assert_eq!(allowed(path), LOCAL, "{path}");
        }
        assert_eq!(methods_of("signet."), ["/signet.server.sync.v1.Sync/Watch"]);
        assert_eq!(allowed("/signet.server.sync.v1.Sync/Watch"), AGENT);
    }

    /// The paths of all methods of the packages that begin so.
    fn methods_of(packages: &str) -> Vec<String> {
        let files = FileDescriptorSet::decode(signet_proto::DESCRIPTORS).unwrap();
        let mut paths = Vec::new();
        for file in files.file {
            let package = file.package().to_owned();
            if !package.starts_with(packages) {
                continue;
            }
            for service in &file.service {
                let names = service
                    .method
                    .iter()
                    .map(prost_types::MethodDescriptorProto::name);
                paths.extend(names.map(|name| format!("/{package}.{}/{name}", service.name())));
            }
        }
        paths
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

    /// A service, its methods, and to whom SPIRE opens them.
    type Row = (&'static str, &'static str, &'static [Kind]);

    const SPIRE: [Row; 16] = [
        ("agent.v1.Agent", "AttestAgent", &[Kind::Any]),
        ("agent.v1.Agent", "RenewAgent PostStatus", &[Kind::Agent]),
        (
            "agent.v1.Agent",
            "CountAgents ListAgents GetAgent DeleteAgent BanAgent CreateJoinToken",
            &[Kind::Admin, Kind::Local],
        ),
        ("bundle.v1.Bundle", "GetBundle", &[Kind::Any]),
        (
            "bundle.v1.Bundle",
            "GetFederatedBundle",
            &[Kind::Agent, Kind::Admin, Kind::Local],
        ),
        (
            "bundle.v1.Bundle",
            "PublishJWTAuthority PublishWITAuthority",
            &[Kind::Downstream],
        ),
        (
            "bundle.v1.Bundle",
            "CountBundles AppendBundle ListFederatedBundles BatchCreateFederatedBundle \
                 BatchUpdateFederatedBundle BatchSetFederatedBundle BatchDeleteFederatedBundle",
            &[Kind::Admin, Kind::Local],
        ),
        (
            "entry.v1.Entry",
            "GetAuthorizedEntries SyncAuthorizedEntries",
            &[Kind::Agent],
        ),
        (
            "entry.v1.Entry",
            "CountEntries ListEntries GetEntry BatchCreateEntry BatchUpdateEntry BatchDeleteEntry",
            &[Kind::Admin, Kind::Local],
        ),
        (
            "svid.v1.SVID",
            "BatchNewX509SVID NewJWTSVID BatchNewWITSVID",
            &[Kind::Agent],
        ),
        ("svid.v1.SVID", "NewDownstreamX509CA", &[Kind::Downstream]),
        (
            "svid.v1.SVID",
            "MintX509SVID MintJWTSVID MintWITSVID",
            &[Kind::Admin, Kind::Local],
        ),
        (
            "trustdomain.v1.TrustDomain",
            "ListFederationRelationships GetFederationRelationship \
                 BatchCreateFederationRelationship BatchUpdateFederationRelationship \
                 BatchDeleteFederationRelationship RefreshBundle",
            &[Kind::Admin, Kind::Local],
        ),
        (
            "localauthority.v1.LocalAuthority",
            "GetX509AuthorityState PrepareX509Authority ActivateX509Authority \
                 TaintX509Authority RevokeX509Authority GetJWTAuthorityState PrepareJWTAuthority \
                 ActivateJWTAuthority TaintJWTAuthority RevokeJWTAuthority GetWITAuthorityState \
                 PrepareWITAuthority ActivateWITAuthority TaintWITAuthority RevokeWITAuthority \
                 TaintX509UpstreamAuthority RevokeX509UpstreamAuthority",
            &[Kind::Admin, Kind::Local],
        ),
        (
            "logger.v1.Logger",
            "GetLogger SetLogLevel ResetLogLevel",
            &[Kind::Local],
        ),
        ("debug.v1.Debug", "GetInfo", &[Kind::Local]),
    ];
}
