//! Who calls, and what they may do. Decided from the connection and the directory alone: no
//! database is asked.

mod layer;
pub(crate) mod log;
mod methods;
mod shares;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use signet_daemon::socket::Peer;
use signet_identity::{SpiffeId, x509::Leaf};
use signet_proto::spire::api::types::permission_denied_details::Reason;

pub(crate) use layer::Authorize;
use methods::{Kind, allowed};

use crate::{directory::Directory, live::SharedLive, store::Agent};

/// Who is at the other end of a connection. The listeners put this (or a [`Peer`]) on each
/// request.
#[derive(Clone, Debug)]
pub(crate) struct TlsPeer {
    pub(crate) address: SocketAddr,
    /// The leaf of the client's verified chain, if it showed one.
    pub(crate) leaf: Option<Arc<Leaf>>,
}

/// Who calls, as far as it matters to the method that is called.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// A process on this machine that could open the admin socket.
    Local(Peer),
    /// Somebody, for a method that is open to everybody.
    Anyone(IpAddr),
    /// An attested agent whose certificate is the current one.
    Agent(Identified),
    /// A workload that may ask for downstream authorities.
    Downstream(Identified),
    /// An administrator.
    Admin(Identified),
}

/// A caller with an SVID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identified {
    pub(crate) id: SpiffeId,
    pub(crate) address: IpAddr,
}

impl Caller {
    /// Who makes this request, as the authorization layer found out.
    pub(crate) fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get()
    }

    /// The calling agent.
    pub(crate) fn agent(&self) -> Option<&SpiffeId> {
        match self {
            Self::Agent(agent) => Some(&agent.id),
            Self::Local(_) | Self::Anyone(_) | Self::Downstream(_) | Self::Admin(_) => None,
        }
    }

    /// The address that rate limits count by; the local socket has none.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Self::Local(_) => None,
            Self::Anyone(address) => Some(*address),
            Self::Agent(caller) | Self::Downstream(caller) | Self::Admin(caller) => {
                Some(caller.address)
            }
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(peer) => write!(f, "process {} of user {}", peer.pid, peer.uid),
            Self::Anyone(address) => write!(f, "somebody at {address}"),
            Self::Agent(caller) => write!(f, "agent {} at {}", caller.id, caller.address),
            Self::Downstream(caller) => write!(f, "downstream {} at {}", caller.id, caller.address),
            Self::Admin(caller) => write!(f, "admin {} at {}", caller.id, caller.address),
        }
    }
}

/// The address that rate limits count this request by.
pub(crate) fn source<T>(request: &tonic::Request<T>) -> Option<IpAddr> {
    Caller::of(request).and_then(Caller::address)
}

/// The rules of the server.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) live: SharedLive,
    pub(crate) directory: Directory,
}

/// A call that may proceed.
#[derive(Clone, Debug)]
struct Granted {
    caller: Caller,
    /// The renewed certificate that an agent uses for the first time.
    promote: Option<Promotion>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Promotion {
    agent: SpiffeId,
    serial: String,
}

/// A call that is refused; agents are told why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Denied(Option<Reason>);

impl Rules {
    /// Whether the configuration in force makes it an administrator.
    fn lists(&self, id: &SpiffeId) -> bool {
        self.live.borrow().admin_ids.contains(&id.to_string())
    }

    fn local(method: &str, peer: Peer) -> Result<Granted, Denied> {
        let allowed = allowed(method);
        if allowed.to(Kind::Local) || allowed.to(Kind::Any) {
            return Ok(granted(Caller::Local(peer)));
        }
        Err(Denied(None))
    }

    fn remote(&self, method: &str, peer: &TlsPeer, now: SystemTime) -> Result<Granted, Denied> {
        let allowed = allowed(method);
        let address = peer.address.ip().to_canonical();
        if allowed.to(Kind::Any) {
            return Ok(granted(Caller::Anyone(address)));
        }
        let Some(leaf) = &peer.leaf else {
            return Err(Denied(None));
        };
        let caller = Identified {
            id: leaf.id.clone(),
            address,
        };
        // The handshake saw a valid certificate; the connection may have outlived it.
        if leaf.not_after <= now {
            let reason = allowed.to(Kind::Agent).then_some(Reason::AgentExpired);
            return Err(Denied(reason));
        }
        let rights = self.directory.rights_of(&leaf.id, now);
        if allowed.to(Kind::Admin) && (rights.admin || self.lists(&leaf.id)) {
            return Ok(granted(Caller::Admin(caller)));
        }
        if allowed.to(Kind::Downstream) && rights.downstream {
            return Ok(granted(Caller::Downstream(caller)));
        }
        if !allowed.to(Kind::Agent) {
            return Err(Denied(None));
        }
        let agent = self.directory.agent(&leaf.id);
        let promote = check_agent(agent.as_deref(), leaf)?;
        Ok(Granted {
            caller: Caller::Agent(caller),
            promote,
        })
    }
}

fn granted(caller: Caller) -> Granted {
    Granted {
        caller,
        promote: None,
    }
}

/// Whether the agent is attested, not banned, and calls with its newest certificate.
fn check_agent(agent: Option<&Agent>, leaf: &Leaf) -> Result<Option<Promotion>, Denied> {
    let Some(agent) = agent else {
        return Err(Denied(Some(Reason::AgentNotAttested)));
    };
    if agent.banned {
        return Err(Denied(Some(Reason::AgentBanned)));
    }
    let serial = leaf.serial.to_string();
    if agent.serial == serial {
        return Ok(None);
    }
    match &agent.renewed {
        Some(renewed) if renewed.serial == serial => Ok(Some(Promotion {
            agent: agent.id.clone(),
            serial,
        })),
        Some(_) | None => Err(Denied(Some(Reason::AgentNotActive))),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use signet_identity::{selector::Selectors, x509::Serial};

    use super::*;
    use crate::{
        config::LimitSwitches,
        directory::testing::{self, TestDirectory},
        live::Live,
        store::Renewed,
    };

    const LIST: &str = "/spire.api.server.agent.v1.Agent/ListAgents";
    const RENEW: &str = "/spire.api.server.agent.v1.Agent/RenewAgent";
    const BUNDLE: &str = "/spire.api.server.bundle.v1.Bundle/GetBundle";
    const DOWNSTREAM: &str = "/spire.api.server.svid.v1.SVID/NewDownstreamX509CA";

    async fn rules(admin_ids: &[&str]) -> (TestDirectory, Rules) {
        let world = TestDirectory::new().await;
        let rules = Rules {
            live: Live::fixed(admin_ids, LimitSwitches::ON),
            directory: world.directory.clone(),
        };
        (world, rules)
    }

    /// Somebody who shows an SVID with this id and serial 1, good for an hour.
    fn peer(id: &str) -> TlsPeer {
        let leaf = Leaf {
            id: SpiffeId::new(id).unwrap(),
            serial: Serial::from_bytes(&[1]),
            not_before: UNIX_EPOCH,
            not_after: testing::now() + Duration::from_secs(3600),
            authority_key_id: None,
        };
        TlsPeer {
            address: ([192, 0, 2, 1], 4000).into(),
            leaf: Some(Arc::new(leaf)),
        }
    }

    fn refusal(outcome: Result<Granted, Denied>) -> Option<Reason> {
        outcome.expect_err("refused").0
    }

    #[tokio::test]
    async fn an_svid_that_has_expired_during_the_connection_is_good_for_nothing() {
        const ADMIN: &str = "spiffe://example.org/admin";
        const AGENT: &str = "spiffe://example.org/spire/agent/x";
        let (world, rules) = rules(&[ADMIN]).await;
        world.attest(testing::agent("/spire/agent/x", &[])).await;
        let (now, later) = (testing::now(), testing::now() + Duration::from_secs(3600));
        assert!(rules.remote(RENEW, &peer(AGENT), now).is_ok());
        let refused = refusal(rules.remote(RENEW, &peer(AGENT), later));
        assert_eq!(refused, Some(Reason::AgentExpired));
        assert!(rules.remote(LIST, &peer(ADMIN), now).is_ok());
        assert_eq!(refusal(rules.remote(LIST, &peer(ADMIN), later)), None);
        assert!(rules.remote(BUNDLE, &peer(AGENT), later).is_ok());
    }

    #[tokio::test]
    async fn another_trust_domain_has_no_agents_and_only_the_administrators_that_are_listed() {
        let (world, rules) = rules(&["spiffe://other.test/admin"]).await;
        world.attest(testing::agent("/spire/agent/x", &[])).await;
        let mut admin = testing::entry("e", "/spire/agent/x", "/admin");
        admin.rights.admin = true;
        admin.rights.downstream = true;
        let written = world.store.store.create_entry(admin).await.unwrap();
        world.directory.seen(written).await;
        let now = testing::now();
        let own = peer("spiffe://example.org/admin");
        assert!(rules.remote(LIST, &own, now).is_ok());
        assert!(rules.remote(DOWNSTREAM, &own, now).is_ok());
        let listed = peer("spiffe://other.test/admin");
        assert!(rules.remote(LIST, &listed, now).is_ok());
        assert!(rules.remote(DOWNSTREAM, &listed, now).is_err());
        for id in [
            "spiffe://other.test/spire/agent/x",
            "spiffe://other.test/admin/2",
            "spiffe://another.test/admin",
        ] {
            let outcomes = [LIST, DOWNSTREAM].map(|method| rules.remote(method, &peer(id), now));
            assert!(outcomes.iter().all(Result::is_err), "{id}");
            let refused = refusal(rules.remote(RENEW, &peer(id), now));
            assert_eq!(refused, Some(Reason::AgentNotAttested), "{id}");
        }
    }

    fn agent() -> Agent {
        Agent {
            id: SpiffeId::new("spiffe://example.org/spire/agent/x").unwrap(),
            attestation_type: "join_token".to_owned(),
            serial: "7".to_owned(),
            not_after: UNIX_EPOCH,
            renewed: Some(Renewed {
                serial: "8".to_owned(),
                not_after: UNIX_EPOCH,
            }),
            selectors: Selectors::default(),
            can_reattest: false,
            version: String::new(),
            banned: false,
        }
    }

    fn leaf(serial: u8) -> Leaf {
        Leaf {
            id: agent().id,
            serial: Serial::from_bytes(&[serial]),
            not_before: UNIX_EPOCH,
            not_after: UNIX_EPOCH + Duration::from_secs(100),
            authority_key_id: None,
        }
    }

    #[test]
    fn an_agent_calls_with_its_current_certificate_or_the_renewed_one() {
        assert_eq!(check_agent(Some(&agent()), &leaf(7)), Ok(None));
        let promotion = check_agent(Some(&agent()), &leaf(8)).unwrap().unwrap();
        assert_eq!(promotion.serial, "8");
    }

    #[test]
    fn an_agent_that_is_unknown_replaced_or_banned_is_told_so() {
        let refused = |agent: Option<&Agent>, serial| {
            let Denied(reason) = check_agent(agent, &leaf(serial)).unwrap_err();
            reason.unwrap()
        };
        assert_eq!(refused(None, 7), Reason::AgentNotAttested);
        assert_eq!(refused(Some(&agent()), 6), Reason::AgentNotActive);
        let mut banned = agent();
        banned.banned = true;
        assert_eq!(refused(Some(&banned), 7), Reason::AgentBanned);
    }
}
