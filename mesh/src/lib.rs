//! What policies and routes of the mesh mean: parse, validate, decide. No I/O, no clock, no async.
//!
//! The kinds are Istio's, with Istio's names and semantics. Parsing accepts all of what it is given
//! or refuses it with file, line and remedy; deciding cannot fail. Where Istio's behaviour would
//! leave a hole (values that can be dodged by a port in the `Host` header, an unreadable path, an
//! empty list that means "everyone"), the safe reading is taken, and the module that does so says
//! it.
//!
//! ```
//! use signet_mesh::{Model, Request, Source, Workload};
//!
//! let text = r#"
//! apiVersion: security.istio.io/v1
//! kind: AuthorizationPolicy
//! metadata: { name: orders, namespace: shop }
//! spec:
//!   rules:
//!   - from: [{ source: { principals: ["example.org/web"] } }]
//!     to: [{ operation: { ports: ["8080"] } }]
//! "#;
//! let source = Source { name: "orders.yaml".to_owned(), text: text.to_owned() };
//! let model = Model::parse(&[source]).expect("the policy is valid");
//! let workload = Workload { namespace: "shop".to_owned(), labels: Default::default() };
//! let policy = model.for_workload(&workload, "istio-system").policy;
//!
//! let web: signet_identity::SpiffeId = "spiffe://example.org/web".parse().expect("a SPIFFE ID");
//! let request = Request {
//!     trust_domain: Some(web.trust_domain()),
//!     source: Some(&web),
//!     source_ip: [10, 0, 0, 1].into(),
//!     remote_ip: None,
//!     destination_ip: [10, 0, 0, 2].into(),
//!     destination_port: 8080,
//!     sni: None,
//!     http: None,
//! };
//! assert!(policy.decide(&request).is_permitted());
//! ```
// What comes from outside must not be able to stop a daemon: no index, no slice of a text.
#![cfg_attr(not(test), warn(clippy::indexing_slicing, clippy::string_slice))]

mod authorization;
mod balance;
pub mod breaker;
mod cidr;
mod destination;
mod model;
mod object;
mod path;
mod pattern;
mod peer_authentication;
mod problem;
mod read;
mod request_authentication;
mod route;
mod service;
mod telemetry;

pub use authorization::{
    Action, Asked, Decision, Denied, DeniedWhy, EgressPolicies, Explanation, Http, NearMiss,
    NoProxy, NotRecorded, Noted, Outcome, Permit, PermitWhy, Policies, PolicyTrace,
    RecordedDecision, Request, RuleRef, RuleTrace, Token, TrustedProxies, WorkloadPolicy,
};
pub use balance::{
    CallKey, Candidates, Groups, HashCall, HashTable, Home, Keyed, Lot, PeakEwma, Site,
    TableEndpoint, pick,
};
pub use destination::{
    Balancing, CheckedHealth, ClientCertificate, ClientTls, ConnectionPool, ConsistentHash,
    CookieAttribute, DestinationPart, DestinationRule, DestinationRules, Distribution,
    HashAlgorithm, HashCookie, HashKey, HealthCheck, HealthQuestion, Http2Keepalive, HttpPool,
    LoadBalancer, LocalOrigin, LocalityBalancing, LocalityPattern, LocalityShare, MadeCookie,
    OutlierDetection, PriorityLabel, RecentRequests, RegionOf, RetryBudget, ServerCheck, Subset,
    TcpKeepalive, TcpPool, TrafficPolicy, Upgrade, Verify, Warmup, WorkloadDestinations,
};
pub use model::{
    Arrival, CallExplanation, Called, CalledEndpoint, ClusterName, Connected, Connecting,
    ConnectionCourse, Course, Destined, Model, NotCalled, Peer, Share, WorkloadModel,
};
pub use object::{Kind, ObjectName, ObjectRef, Workload};
pub use path::{HttpPath, PathError};
pub use peer_authentication::{
    DecidedMode, MtlsMode, PeerAuthentications, WorkloadPeerAuthentication,
};
pub use problem::{DocumentError, Warning};
pub use read::{HostName, Locality, Percent, Source, StringMatch, SubjectAltName, WholeRegex};
pub use request_authentication::{
    FoundToken, IssuerKeys, JwksUri, JwtRule, RemoteKeys, RequestAuthentications, TokenError,
    TokenPlace, Untellable, WorkloadRequestAuthentication,
};
pub use route::{
    Abort, AbortStatus, AttemptAnswer, AttemptOutcome, ConnectionCall, Cors, CorsDecision, Delay,
    Destination, DirectResponse, Fault, Forward, HeaderChanges, HeaderOperations, HttpAction,
    HttpCall, HttpDecision, HttpMatch, HttpRoute, Mirror, PassedOver, Redirect, RetryCondition,
    RetryPolicy, Rewrite, Routed, RoutedConnection, Scheme, TcpRoute, TlsRoute, To,
    UnmatchedPreflights, VirtualService, VirtualServices, WeightedDestination,
    WeightedDestinations, WorkloadRoutes, host_and_port,
};
pub use service::{
    Address, AfterAnswer, Endpoint, FamilyAnswer, Location, LookedUp, LookupPace, NameAnswer,
    NameNews, Protocol, Resolution, Service, ServicePort, Services, WorkloadServices,
};
pub use telemetry::{
    AccessLog, CustomTag, LogFilter, Metric, Metrics, Side, TagOverride, Telemetries, Tracing,
    WorkloadTelemetry,
};
