//! What each stream of the Workload API says about one snapshot of the cache.
//!
//! Every message has the whole state (SPIFFE Workload API §4.3). Nothing large is copied here:
//! chains, keys and bundles are the cache's own bytes.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use bytes::Bytes;
use signet_identity::{TrustDomain, entry::Entry};
use signet_proto::workload::{JwtBundlesResponse, X509BundlesResponse, X509Svid, X509SvidResponse};
use zeroize::Zeroizing;

use crate::{
    api::follow::{Patience, Step},
    cache::{WorkloadBundle, WorkloadIdentity, WorkloadUpdate},
};

/// Who may see bundles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verifiers {
    /// Workloads with an identity.
    Identified,
    /// Everybody on this node; a process without an identity sees the own trust domain's only.
    Anyone,
}

/// `FetchX509SVID`.
pub(super) fn x509_svids(update: &WorkloadUpdate, patience: Patience) -> Step<X509SvidResponse> {
    if update.entries.is_empty() {
        return Step::Deny;
    }
    let all = update.identities.len() >= update.entries.len();
    if update.identities.is_empty() || (!all && patience == Patience::ForAll) {
        return Step::Wait;
    }
    let own = update.bundles.own.x509_der();
    let hinted = first_of_each_hint(&update.identities, |identity| &identity.entry);
    let federated = visible(
        update,
        update.identities.iter().map(|identity| &identity.entry),
    );
    Step::Send(X509SvidResponse {
        svids: hinted.map(|identity| x509_svid(identity, own)).collect(),
        crl: Vec::new(),
        federated_bundles: x509_map(federated.into_iter()),
    })
}

/// `FetchX509Bundles`.
pub(super) fn x509_bundles(
    update: &WorkloadUpdate,
    verifiers: Verifiers,
) -> Step<X509BundlesResponse> {
    let Some(bundles) = all_visible(update, verifiers) else {
        return Step::Deny;
    };
    Step::Send(X509BundlesResponse {
        crl: Vec::new(),
        bundles: x509_map(bundles),
    })
}

/// `FetchJWTBundles`.
pub(super) fn jwt_bundles(
    update: &WorkloadUpdate,
    verifiers: Verifiers,
) -> Step<JwtBundlesResponse> {
    let Some(bundles) = all_visible(update, verifiers) else {
        return Step::Deny;
    };
    Step::Send(JwtBundlesResponse {
        // A bundle without keys is said too: it means that no token of that domain is valid now.
        bundles: bundles
            .map(|bundle| (key_of(bundle), bundle.jwks().clone()))
            .collect(),
    })
}

/// Keeps the first of the items that share a hint; the cache has the oldest entry first
/// (SPIFFE Workload API §5.2.1: hints are unique in a response).
pub(super) fn first_of_each_hint<T>(
    items: &[T],
    entry: impl Fn(&T) -> &Arc<Entry>,
) -> impl Iterator<Item = &T> {
    let mut seen = HashSet::new();
    items.iter().filter(move |item| {
        let hint = &entry(item).hint;
        hint.is_empty() || seen.insert(hint.clone())
    })
}

fn x509_svid(identity: &Arc<WorkloadIdentity>, bundle: &Bytes) -> X509Svid {
    X509Svid {
        spiffe_id: identity.entry.spiffe_id.to_string(),
        x509_svid: identity.chain_der.clone(),
        x509_svid_key: Bytes::from_owner(Key(Arc::clone(&identity.key_der))),
        bundle: bundle.clone(),
        hint: identity.entry.hint.clone(),
    }
}

/// The own bundle and the federated ones of the workload's entries; `None` for one who may see
/// none.
fn all_visible(
    update: &WorkloadUpdate,
    verifiers: Verifiers,
) -> Option<impl Iterator<Item = &WorkloadBundle>> {
    if update.entries.is_empty() && verifiers == Verifiers::Identified {
        return None;
    }
    let own = std::iter::once(update.bundles.own.as_ref());
    Some(own.chain(visible(update, update.entries.iter())))
}

/// The federated bundles that these entries name.
fn visible<'a>(
    update: &'a WorkloadUpdate,
    entries: impl Iterator<Item = &'a Arc<Entry>>,
) -> Vec<&'a WorkloadBundle> {
    let named: BTreeSet<&TrustDomain> = entries.flat_map(|entry| &entry.federates_with).collect();
    named
        .into_iter()
        .filter_map(|trust_domain| update.bundles.federated.get(trust_domain))
        .map(Arc::as_ref)
        .collect()
}

fn x509_map<'a>(bundles: impl Iterator<Item = &'a WorkloadBundle>) -> HashMap<String, Bytes> {
    bundles
        // A value is mandatory (§4.5); a domain without X.509 authorities is left out, and so not
        // trusted.
        .filter(|bundle| !bundle.x509_der().is_empty())
        .map(|bundle| (key_of(bundle), bundle.x509_der().clone()))
        .collect()
}

/// A trust domain's SPIFFE ID, `spiffe://example.org`.
fn key_of(bundle: &WorkloadBundle) -> String {
    bundle.bundle().trust_domain.id_string()
}

/// Lets a message refer to a key where it lies, so that no copy escapes being wiped.
struct Key(Arc<Zeroizing<Vec<u8>>>);

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}
