//! What the proxy of a client makes of a connection on which no requests can be seen, with
//! everything that led to it.

use std::fmt;

use signet_identity::{SpiffeId, TrustDomain};

use super::{
    WorkloadModel,
    called::{Called, NotCalled, Peer},
    connected::{Connecting, Way},
    explain::{Destined, Share},
    told::{At, write_destined},
};
use crate::{
    authorization::{Calls, Explanation},
    object::ObjectRef,
    route::WeightedDestination,
    service::Resolution,
};

/// What [`WorkloadModel::explain_connection`] answers.
#[derive(Debug, Clone)]
pub enum ConnectionCourse<'m> {
    /// Nothing is there, or no connection can go there.
    Nowhere(NotCalled),
    /// Nothing routes it, so it goes to the service that is called.
    Unrouted(Result<Destined<'m>, NotCalled>),
    /// It goes where its client called (resolution NONE).
    WhereCalled {
        /// What is called.
        called: Called<'m>,
        /// Who has to be there.
        peer: Result<Peer, NotCalled>,
    },
    /// It goes to a destination of its route.
    Routed {
        /// Whose route it is.
        virtual_service: &'m ObjectRef,
        /// Each destination, of which a connection gets one.
        shares: Vec<Share<'m>>,
    },
}

impl WorkloadModel {
    /// What becomes of a connection of this workload, decided by the same functions by which
    /// proxies decide; `own` is its trust domain.
    pub fn explain_connection<'m>(
        &'m self,
        call: &Connecting<'_>,
        own: &TrustDomain,
    ) -> ConnectionCourse<'m> {
        let routed = match self.way(call, 0) {
            Err(why) => return ConnectionCourse::Nowhere(why),
            Ok(Way::Routed(routed)) => routed,
            Ok(Way::Unrouted(connected)) => {
                let called = connected.called;
                return match called.service.resolution {
                    Resolution::None => ConnectionCourse::WhereCalled {
                        called,
                        peer: self.peer_at(called, call.address, own),
                    },
                    Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin => {
                        ConnectionCourse::Unrouted(self.destined(called, own))
                    }
                };
            }
        };
        let share = |weighted: &'m WeightedDestination| {
            let called = self.of_bytes(&weighted.destination, call.port);
            Share {
                weighted,
                total: routed.destinations.total(),
                destined: called.and_then(|called| self.destined(called, own)),
            }
        };
        ConnectionCourse::Routed {
            virtual_service: routed.virtual_service,
            shares: routed.destinations.iter().map(share).collect(),
        }
    }

    /// What policies for a service say of bytes to it; `None` if none is for it.
    pub fn explain_may_connect(
        &self,
        called: Called<'_>,
        caller: Option<&SpiffeId>,
    ) -> Option<Explanation> {
        self.egress.explain(Calls {
            caller,
            service: &called.service.name,
            port: called.port.number,
            http: None,
        })
    }
}

impl<'m> ConnectionCourse<'m> {
    /// What it reaches, each once; nothing if it goes nowhere.
    pub fn reached(&self) -> Vec<Called<'m>> {
        let there = |destined: &Result<Destined<'m>, NotCalled>| {
            let destined = destined.as_ref().ok()?;
            (!destined.endpoints.is_empty()).then_some(destined.called)
        };
        let all: Vec<Called<'m>> = match self {
            Self::Nowhere(_) => Vec::new(),
            Self::Unrouted(destined) => there(destined).into_iter().collect(),
            Self::WhereCalled { called, peer } => peer.iter().map(|_| *called).collect(),
            Self::Routed { shares, .. } => shares
                .iter()
                .filter_map(|share| there(&share.destined))
                .collect(),
        };
        let mut seen = Vec::new();
        let is_new = |called: &Called<'m>| {
            let name = (&called.service.name, called.port.number);
            let is_new = !seen.contains(&name);
            seen.push(name);
            is_new
        };
        all.into_iter().filter(is_new).collect()
    }
}

impl fmt::Display for ConnectionCourse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nowhere(why) => writeln!(f, "it goes nowhere: {why}"),
            Self::Unrouted(destined) => {
                writeln!(
                    f,
                    "no VirtualService routes it: it goes to the service it calls"
                )?;
                write_destined(f, destined)
            }
            Self::WhereCalled { called, peer } => {
                writeln!(f, "it goes where it called: cluster {}", called.name())?;
                match peer {
                    Ok(peer) => writeln!(f, "    there: {peer}"),
                    Err(why) => writeln!(f, "  it goes nowhere: {why}"),
                }
            }
            Self::Routed {
                virtual_service,
                shares,
            } => {
                writeln!(f, "sent on by VirtualService {}", At(virtual_service))?;
                shares.iter().try_for_each(|share| write!(f, "{share}"))
            }
        }
    }
}
