//! How a flow ends: whose fault it was, and Envoy's flag for it (`%RESPONSE_FLAGS%`).

use std::{fmt, sync::Arc};

use signet_mesh::{Asked, Denied, DeniedWhy, RuleRef};

/// How a connection or a request ended.
#[derive(Clone, Debug)]
pub(crate) enum End {
    /// As both sides wanted.
    Complete,
    /// By the client.
    Downstream(Downstream),
    /// By what the proxy enforces.
    Policy(Policy),
    /// By the routes and services of the mesh.
    Routing(Routing),
    /// By the next hop.
    Upstream(Upstream),
    /// By the proxy itself.
    Shutdown(Shutdown),
}

/// What a client did, or did not do.
#[derive(Clone, Debug)]
pub(crate) enum Downstream {
    /// It has let go before the end.
    Gone,
    /// It has not proven a SPIFFE ID.
    NotAuthenticated(Arc<str>),
    /// Its request cannot be judged or carried.
    Malformed(Arc<str>),
    /// It asked for something that is not supported.
    NotSupported(&'static str),
    /// Its connection broke.
    Broken(Arc<str>),
    /// Neither side has said anything for too long.
    Silent,
    /// The connection has lived for as long as it may.
    Aged,
}

/// What the proxy enforces.
#[derive(Clone, Debug)]
pub(crate) enum Policy {
    /// No rule permits it.
    Denied(Arc<Denial>),
    /// Its identity has asked as much as it may for now.
    RateLimited,
    /// It came with a token that is not good.
    BadToken(Arc<str>),
    /// A change of the policies ended what was permitted before.
    Withdrawn(Arc<str>),
    /// A change of trust ended it: the client's authority is withdrawn.
    Distrusted(Arc<str>),
}

/// A refusal by policy.
#[derive(Clone, Debug)]
pub(crate) struct Denial {
    /// Why, as its client may be told it.
    why: Arc<str>,
    /// What stays the same however it is said: the rule that denied it, or came nearest to permit
    /// it.
    id: Arc<str>,
    /// The policy that denied it; none if no ALLOW permitted it.
    policy: Option<Arc<str>>,
    /// Envoy's flag for it.
    flag: &'static str,
}

/// Why a request goes nowhere.
#[derive(Clone, Debug)]
pub(crate) enum Routing {
    /// No service of the mesh has its host.
    NoService(Arc<str>),
    /// No document names what it calls, and it is not passed on: Istio's `BlackHoleCluster`.
    BlackHole(Arc<str>),
    /// None of the routes of its host takes it.
    NoRoute(Arc<str>),
    /// Where its route leads cannot be called.
    NoCluster(Arc<str>),
    /// Its service is nowhere.
    NoEndpoint(Arc<str>),
    /// Its service has as many requests as it may have.
    Overloaded(Arc<str>),
    /// A fault of its route answered in the place of its service.
    Fault,
    /// The proxy holds as much memory as it may.
    OutOfMemory,
}

/// What the next hop did, or did not do.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    /// There is no connection to be had.
    Unreachable(Arc<str>),
    /// It broke the connection.
    Broken(Arc<str>),
    /// It did not answer in time.
    Timeout(Arc<str>),
}

/// Why the proxy cannot go on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shutdown {
    /// It was told to stop, or its port is removed.
    Stopping,
    /// Its own identity is withdrawn.
    Identity,
}

impl End {
    /// Envoy's flag; it has none for what went well, nor for what its own RBAC denies.
    pub(super) fn flag(&self) -> &'static str {
        match self {
            Self::Policy(Policy::RateLimited) => "RL",
            Self::Policy(Policy::Denied(denial)) => denial.flag,
            // Of a request. That of a connection is another.
            Self::Routing(Routing::BlackHole(_)) => "-",
            Self::Complete | Self::Policy(_) => "-",
            Self::Downstream(Downstream::Gone | Downstream::Broken(_)) => "DC",
            Self::Downstream(
                Downstream::NotAuthenticated(_)
                | Downstream::Malformed(_)
                | Downstream::NotSupported(_),
            ) => "DPE",
            Self::Downstream(Downstream::Silent) => "SI",
            Self::Downstream(Downstream::Aged) => "DT",
            Self::Routing(Routing::NoService(_) | Routing::NoRoute(_)) => "NR",
            Self::Routing(Routing::NoCluster(_)) => "NC",
            Self::Routing(Routing::NoEndpoint(_)) => "UH",
            Self::Routing(Routing::Overloaded(_)) => "UO",
            Self::Routing(Routing::Fault) => "FI",
            Self::Routing(Routing::OutOfMemory) => "OM",
            Self::Upstream(Upstream::Unreachable(_)) => "UF",
            Self::Upstream(Upstream::Broken(_)) => "UC",
            Self::Upstream(Upstream::Timeout(_)) => "UT",
            Self::Shutdown(_) => "LR",
        }
    }

    /// Whether nothing was carried because somebody had no right to it.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Downstream(Downstream::NotAuthenticated(_)) | Self::Policy(_) => true,
            Self::Complete
            | Self::Downstream(_)
            | Self::Routing(_)
            | Self::Upstream(_)
            | Self::Shutdown(_) => false,
        }
    }

    /// The reason alone, as a client may be told it.
    pub(crate) fn why(&self) -> &str {
        match self {
            Self::Complete => "complete",
            Self::Policy(Policy::RateLimited) => "its identity has asked as much as it may for now",
            Self::Downstream(Downstream::Gone) => "it has let go",
            Self::Downstream(Downstream::NotSupported(why)) => why,
            Self::Downstream(Downstream::Silent) => "idle for too long",
            Self::Downstream(Downstream::Aged) => "it has lived for as long as it may",
            Self::Policy(Policy::Denied(denial)) => &denial.why,
            Self::Downstream(
                Downstream::NotAuthenticated(why)
                | Downstream::Malformed(why)
                | Downstream::Broken(why),
            )
            | Self::Policy(
                Policy::BadToken(why) | Policy::Withdrawn(why) | Policy::Distrusted(why),
            )
            | Self::Upstream(
                Upstream::Unreachable(why) | Upstream::Broken(why) | Upstream::Timeout(why),
            ) => why,
            Self::Routing(
                Routing::NoService(why)
                | Routing::BlackHole(why)
                | Routing::NoRoute(why)
                | Routing::NoCluster(why)
                | Routing::NoEndpoint(why)
                | Routing::Overloaded(why),
            ) => why,
            Self::Routing(Routing::Fault) => "a fault that its route asks for",
            Self::Routing(Routing::OutOfMemory) => "the proxy holds as much memory as it may",
            Self::Shutdown(Shutdown::Stopping) => "the proxy is stopping",
            Self::Shutdown(Shutdown::Identity) => "the proxy's own identity is withdrawn",
        }
    }

    /// What denied it, if a policy did, in words that stay the same.
    pub(super) fn denial(&self) -> Option<&str> {
        match self {
            Self::Policy(Policy::Denied(denial)) => Some(denial.id()),
            Self::Complete
            | Self::Downstream(_)
            | Self::Policy(_)
            | Self::Routing(_)
            | Self::Upstream(_)
            | Self::Shutdown(_) => None,
        }
    }

    /// A request that has no single meaning.
    pub(crate) fn malformed(why: impl fmt::Display) -> Self {
        Self::Downstream(Downstream::Malformed(why.to_string().into()))
    }
}

impl Denial {
    /// What is told of it to its client is `why`.
    pub(crate) fn new(denied: &Denied, why: String) -> Arc<Self> {
        let rule = |rule: &RuleRef| format!("{}[{}]", rule.policy(), rule.index());
        let (id, policy) = match denied.why() {
            DeniedWhy::Rule(by) => (format!("deny:{}", rule(by)), Some(by.policy())),
            DeniedWhy::NotAsked(asked) => return Self::of_provider(asked, why),
            DeniedWhy::NoAllowMatched { nearest, .. } => match nearest {
                Some(miss) => (format!("no-allow:{}", rule(&miss.rule)), None),
                None => ("no-allow".to_owned(), None),
            },
        };
        Arc::new(Self {
            why: why.into(),
            id: id.into(),
            policy: policy.map(|name| name.to_string().into()),
            flag: "-",
        })
    }

    /// One of a provider that is asked; what is told of it to the client is `why`.
    pub(crate) fn of_provider(asked: &Asked, why: String) -> Arc<Self> {
        let (policy, index) = (asked.rule.policy(), asked.rule.index());
        Arc::new(Self {
            why: why.into(),
            id: format!("custom:{policy}[{index}]:{}", asked.provider).into(),
            policy: Some(policy.to_string().into()),
            flag: "UAEX",
        })
    }

    /// One that no policy has decided: the proxy itself does not carry it, and says `why`.
    pub(crate) fn of_proxy(id: &'static str, why: String) -> Arc<Self> {
        Arc::new(Self {
            why: why.into(),
            id: id.into(),
            policy: None,
            flag: "-",
        })
    }

    /// What stays the same however it is said.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// The policy, for metrics.
    pub(super) fn policy(&self) -> &str {
        self.policy.as_deref().unwrap_or("none")
    }

    /// As if a policy had decided it.
    #[cfg(test)]
    pub(crate) fn of_test(why: &str) -> Arc<Self> {
        Arc::new(Self {
            why: why.into(),
            id: "deny:shop/test[0]".into(),
            policy: Some("shop/test".into()),
            flag: "-",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self {
            Self::Complete => return f.write_str("ended"),
            Self::Downstream(Downstream::NotAuthenticated(_)) => "refused, not authenticated",
            Self::Downstream(Downstream::Malformed(_) | Downstream::NotSupported(_)) => "refused",
            Self::Downstream(Downstream::Gone | Downstream::Broken(_)) => "broken by the client",
            Self::Policy(Policy::Denied(_) | Policy::BadToken(_) | Policy::RateLimited) => "denied",
            Self::Routing(_) => "not routed",
            Self::Downstream(Downstream::Silent | Downstream::Aged)
            | Self::Policy(Policy::Withdrawn(_) | Policy::Distrusted(_))
            | Self::Shutdown(_) => "cut",
            Self::Upstream(Upstream::Unreachable(_) | Upstream::Timeout(_)) => "failed",
            Self::Upstream(Upstream::Broken(_)) => "broken",
        };
        write!(f, "{how}: {}", self.why())
    }
}

/// An error with its causes, each said once.
pub(crate) fn whole(error: &dyn std::error::Error) -> Arc<str> {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !why.ends_with(&text) {
            why = format!("{why}: {text}");
        }
        source = cause.source();
    }
    why.into()
}
