//! Policies for services (`targetRefs`), which are enforced where the services are called: by the
//! proxy of each caller, with its own SPIFFE ID as the source.
//!
//! Istio enforces them at a waypoint, which here is nobody. What stands at the caller keeps it from
//! mistakes; whom the callee can rely on are the policies of its own proxy.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use rpds::RedBlackTreeMapSync;
use signet_identity::SpiffeId;

use super::{
    action::Action,
    condition::Test,
    decision::{Decision, Denied},
    explain::Explanation,
    policy::Policy,
    recorded::RecordedDecision,
    request::{Http, Request},
    workload::WorkloadPolicy,
};
use crate::{
    object::{Change, ObjectName, Objects},
    problem::Problems,
    read::{
        table::{self, Schema, Table},
        yaml::Node,
    },
};

/// What may be called, by service.
#[derive(Debug, Clone)]
pub struct EgressPolicies(RedBlackTreeMapSync<ObjectName, WorkloadPolicy>);

/// What a workload calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Calls<'a> {
    /// Who calls; `None` while it has no identity.
    pub(crate) caller: Option<&'a SpiffeId>,
    pub(crate) service: &'a ObjectName,
    /// The port of the service.
    pub(crate) port: u16,
    pub(crate) http: Option<Http<'a>>,
}

impl EgressPolicies {
    /// Follows a change that is already in `policies`.
    pub(super) fn change(&mut self, policies: &Objects<Policy>, change: &Change<Policy>) {
        let services = change.all().flat_map(|policy| targeted(policy));
        let mut of_services: BTreeMap<ObjectName, Vec<Arc<Policy>>> =
            services.map(|service| (service, Vec::new())).collect();
        let namespaces = of_services.keys().map(ObjectName::namespace);
        let namespaces: BTreeSet<Box<str>> = namespaces.map(Into::into).collect();
        for policy in namespaces.iter().flat_map(|it| policies.of_namespace(it)) {
            for service in targeted(policy) {
                if let Some(of_service) = of_services.get_mut(&service) {
                    of_service.push(Arc::clone(policy));
                }
            }
        }
        for (service, policies) in of_services {
            if policies.is_empty() {
                self.0.remove_mut(&service);
            } else {
                self.0.insert_mut(service, WorkloadPolicy::new(policies));
            }
        }
    }

    /// Whether everything may be called.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn check(&self, calls: Calls<'_>) -> Result<(), Denied> {
        let Some(policy) = self.0.get(calls.service) else {
            return Ok(());
        };
        match policy.decide(&calls.request()) {
            Decision::Permit(_) => Ok(()),
            Decision::Denied(denied) => Err(denied),
        }
    }

    /// The decision on a recorded call; `None` if no policy is for the service.
    pub(crate) fn decide_recorded(&self, calls: Calls<'_>) -> Option<RecordedDecision> {
        let policy = self.0.get(calls.service)?;
        Some(policy.decide_recorded(&calls.request()))
    }

    pub(crate) fn explain(&self, calls: Calls<'_>) -> Option<Explanation> {
        let policy = self.0.get(calls.service)?;
        Some(policy.explain(&calls.request()))
    }
}

impl Default for EgressPolicies {
    fn default() -> Self {
        Self(RedBlackTreeMapSync::new_sync())
    }
}

/// The services that a policy is for.
fn targeted(policy: &Policy) -> impl Iterator<Item = ObjectName> {
    let names = policy.targets.iter();
    names.map(|name| ObjectName::new(policy.name.namespace(), name))
}

impl<'a> Calls<'a> {
    /// No rule of such a policy asks for addresses.
    fn request(self) -> Request<'a> {
        Request {
            trust_domain: self.caller.map(SpiffeId::trust_domain),
            source: self.caller,
            source_ip: Ipv4Addr::LOCALHOST.into(),
            remote_ip: None,
            destination_ip: Ipv4Addr::LOCALHOST.into(),
            destination_port: self.port,
            sni: None,
            http: self.http,
        }
    }
}

/// Reads `spec.targetRefs`: the names of services of the policy's namespace.
pub(super) fn targets(spec: &Table<'_>, problems: &mut Problems) -> Vec<Box<str>> {
    let Some(list) = spec.get("targetRefs") else {
        return Vec::new();
    };
    if spec.has("selector") {
        let what = "spec.targetRefs cannot stand beside selector";
        problems.error(list.line, what, "keep one of them");
    }
    let location = spec.name("targetRefs");
    let nodes = table::list(list, &location, problems);
    if nodes.is_empty() {
        let what = format!("{location} is an empty list, so it is for nothing");
        problems.error(list.line, what, REMEDY);
    }
    let each = nodes.iter().enumerate();
    each.filter_map(|(index, node)| target(node, &format!("{location}[{index}]"), problems))
        .collect()
}

fn target(node: &Node, location: &str, problems: &mut Problems) -> Option<Box<str>> {
    let table = Table::open(node, location, TARGET, problems);
    for (key, only) in [("group", "networking.istio.io"), ("kind", "ServiceEntry")] {
        let node = table.need(key, REMEDY, problems)?;
        let text = table::text(node, &table.name(key), problems)?;
        if text != only {
            let what = format!("{} {text:?} is not supported", table.name(key));
            let remedy =
                format!("write {only}, or select workloads with `selector.matchLabels` instead");
            problems.error(node.line, what, remedy);
        }
    }
    let node = table.need("name", REMEDY, problems)?;
    table::text(node, &table.name("name"), problems).map(Into::into)
}

/// What a policy for services cannot be, or ask: it would be taken for more than it is.
pub(super) fn refuse(policy: &Policy, problems: &mut Problems) {
    if policy.targets.is_empty() {
        return;
    }
    let decides = matches!(policy.action, Action::Allow | Action::Deny);
    if !decides || policy.dry_run {
        let what = format!(
            "AuthorizationPolicy {} is for a service, and what callers enforce can neither be \
             tried nor audited, nor is anybody asked",
            policy.name
        );
        problems.error(policy.line, what, "write ALLOW or DENY, and no dry run");
    }
    let conditions = policy.rules.iter().flat_map(|rule| rule.conditions());
    for condition in conditions.filter(|it| !is_known_at_caller(&it.test)) {
        let what = format!(
            "{} is not known where a service is called, and there the policy is enforced",
            condition.field
        );
        problems.error(condition.line, what, "remove it");
    }
}

fn is_known_at_caller(test: &Test) -> bool {
    match test {
        Test::Principal(_)
        | Test::Namespace(_)
        | Test::ServiceAccount(_)
        | Test::TrustDomain(_)
        | Test::Port(_)
        | Test::Host(_)
        | Test::Method(_)
        | Test::Path(_)
        | Test::Header(..) => true,
        Test::SourceIp(_)
        | Test::RemoteIp(_)
        | Test::DestinationIp(_)
        | Test::Sni(_)
        | Test::RequestPrincipal(_)
        | Test::Audience(_)
        | Test::Presenter(_)
        | Test::Claim(..) => false,
    }
}

/// A policy for a service that is not there would deny nothing.
pub(super) fn check(policy: &Policy, known: impl Fn(&ObjectName) -> bool, problems: &mut Problems) {
    for service in targeted(policy) {
        if !known(&service) {
            problems.enter(&policy.file);
            let what = format!(
                "AuthorizationPolicy {} is for ServiceEntry {service}, which there is none of",
                policy.name
            );
            problems.error(
                policy.line,
                what,
                "name a ServiceEntry of its own namespace",
            );
        }
    }
}

const REMEDY: &str = "write `- { group: networking.istio.io, kind: ServiceEntry, name: … }`";

const TARGET: Schema = Schema {
    read: &["group", "kind", "name"],
    bookkeeping: &[],
    not_yet: &[(
        "namespace",
        "put the policy into the namespace of the ServiceEntry",
    )],
};
