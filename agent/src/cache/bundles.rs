//! The bundles of this node, encoded once for all streams of the Workload API.

use std::{collections::BTreeMap, iter, sync::Arc};

use bytes::Bytes;
use signet_identity::{TrustDomain, bundle::Bundle, x509};
use tracing::debug;

/// The own bundle and those of federated trust domains, at one moment.
#[derive(Clone, Debug)]
pub(crate) struct Bundles {
    /// The bundle of the agent's own trust domain.
    pub(crate) own: Arc<WorkloadBundle>,
    /// Every federated bundle that some entry of this node names.
    pub(crate) federated: BTreeMap<TrustDomain, Arc<WorkloadBundle>>,
}

/// A bundle with its encoded forms.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadBundle {
    bundle: Arc<Bundle>,
    x509_der: Bytes,
    jwks: Bytes,
}

impl Bundles {
    /// Only the own bundle.
    pub(crate) fn new(own: &Bundle) -> Self {
        Self {
            own: Arc::new(WorkloadBundle::new(own.clone())),
            federated: BTreeMap::new(),
        }
    }

    /// The bundle of a trust domain, own or federated.
    pub(crate) fn find(&self, trust_domain: &TrustDomain) -> Option<&Arc<WorkloadBundle>> {
        if self.own.bundle.trust_domain == *trust_domain {
            return Some(&self.own);
        }
        self.federated.get(trust_domain)
    }

    /// Takes in changed bundles and drops others; says whether anything differs now. A bundle that
    /// did not change keeps its pointer, so that subscribers can tell.
    pub(super) fn update(&mut self, changed: Vec<Bundle>, removed: &[TrustDomain]) -> bool {
        let mut differs = false;
        for trust_domain in removed {
            differs |= self.federated.remove(trust_domain).is_some();
        }
        for bundle in changed {
            differs |= self.put(bundle);
        }
        differs
    }

    pub(super) fn log_what_differs_from(&self, before: &Self) {
        for (trust_domain, bundle) in self.all() {
            match before.find(trust_domain) {
                Some(same) if Arc::ptr_eq(same, bundle) => {}
                Some(_other) => {
                    debug!(
                        name: "bundle_updated",
                        %trust_domain,
                        "changed bundle of {trust_domain}",
                    );
                }
                None => debug!(name: "bundle_added", %trust_domain, "new bundle of {trust_domain}"),
            }
        }
        for (trust_domain, _) in before.all() {
            if self.find(trust_domain).is_none() {
                debug!(name: "bundle_removed", %trust_domain, "no more bundle of {trust_domain}");
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (&TrustDomain, &Arc<WorkloadBundle>)> {
        let own = (&self.own.bundle.trust_domain, &self.own);
        iter::once(own).chain(&self.federated)
    }

    fn put(&mut self, bundle: Bundle) -> bool {
        let current = self.find(&bundle.trust_domain);
        if current.is_some_and(|current| *current.bundle == bundle) {
            return false;
        }
        let trust_domain = bundle.trust_domain.clone();
        let fresh = Arc::new(WorkloadBundle::new(bundle));
        if trust_domain == self.own.bundle.trust_domain {
            self.own = fresh;
        } else {
            self.federated.insert(trust_domain, fresh);
        }
        true
    }
}

impl WorkloadBundle {
    fn new(bundle: Bundle) -> Self {
        let roots = bundle.x509_authorities.iter();
        let x509_der = x509::concatenated(roots.map(|authority| &authority.der));
        let jwks = bundle.to_jwks();
        Self {
            bundle: Arc::new(bundle),
            x509_der: x509_der.into(),
            jwks: jwks.into_bytes().into(),
        }
    }

    /// The bundle itself.
    pub(crate) fn bundle(&self) -> &Arc<Bundle> {
        &self.bundle
    }

    /// The X.509 authorities, concatenated DER; empty if there are none.
    pub(crate) fn x509_der(&self) -> &Bytes {
        &self.x509_der
    }

    /// The JWT authorities as a JWKS document; without keys if there are none.
    pub(crate) fn jwks(&self) -> &Bytes {
        &self.jwks
    }
}
