//! What the streams of a delegate say about one snapshot of the cache.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use signet_identity::{entry::Entry, id};
use signet_proto::spire::api::{
    agent::delegatedidentity::v1::{
        SubscribeToJwtBundlesResponse, SubscribeToX509BundlesResponse,
        SubscribeToX509sviDsResponse, X509svidWithKey,
    },
    types::{self, X509svid},
};

use crate::{
    api::follow::{Patience, Step},
    cache::{Bundles, WorkloadBundle, WorkloadIdentity, WorkloadUpdate},
    upstream::JwtSvid,
};

/// `SubscribeToX509SVIDs`; nothing yet while no SVID is signed. A workload without an identity
/// has an empty list.
pub(super) fn x509_svids(
    update: &WorkloadUpdate,
    _: Patience,
) -> Step<SubscribeToX509sviDsResponse> {
    let entries = update.entries.iter().filter(|entry| may_be_given(entry));
    let identities = update.identities.iter();
    let given: Vec<&Arc<WorkloadIdentity>> = identities
        .filter(|identity| may_be_given(&identity.entry))
        .collect();
    if given.is_empty() && entries.count() > 0 {
        return Step::Wait;
    }
    let federated: BTreeSet<String> = given
        .iter()
        .flat_map(|identity| &identity.entry.federates_with)
        .filter(|domain| update.bundles.federated.contains_key(*domain))
        .map(|domain| domain.id_string())
        .collect();
    Step::Send(SubscribeToX509sviDsResponse {
        x509_svids: given
            .into_iter()
            .map(|identity| x509_svid(identity))
            .collect(),
        federates_with: federated.into_iter().collect(),
    })
}

/// `SubscribeToX509Bundles`: every bundle of this node.
pub(super) fn x509_bundles(bundles: &Bundles, _: Patience) -> Step<SubscribeToX509BundlesResponse> {
    Step::Send(SubscribeToX509BundlesResponse {
        ca_certificates: by_domain(bundles, WorkloadBundle::x509_der),
    })
}

/// `SubscribeToJWTBundles`: every bundle of this node.
pub(super) fn jwt_bundles(bundles: &Bundles, _: Patience) -> Step<SubscribeToJwtBundlesResponse> {
    Step::Send(SubscribeToJwtBundlesResponse {
        bundles: by_domain(bundles, WorkloadBundle::jwks),
    })
}

/// An identity with rights at the server is its workload's own matter.
pub(super) fn may_be_given(entry: &Entry) -> bool {
    !entry.rights.admin && !entry.rights.downstream
}

pub(super) fn jwt_svid(entry: &Entry, svid: JwtSvid) -> types::Jwtsvid {
    types::Jwtsvid {
        id: Some(id::to_proto(&entry.spiffe_id)),
        expires_at: seconds(svid.expires_at),
        issued_at: seconds(svid.issued_at),
        token: svid.token,
        hint: entry.hint.clone(),
    }
}

fn x509_svid(identity: &WorkloadIdentity) -> X509svidWithKey {
    let entry = &identity.entry;
    X509svidWithKey {
        x509_svid: Some(X509svid {
            cert_chain: identity.chain.iter().map(|der| der.to_vec()).collect(),
            id: Some(id::to_proto(&entry.spiffe_id)),
            expires_at: seconds(identity.not_after),
            hint: entry.hint.clone(),
        }),
        x509_svid_key: identity.key_der.to_vec(),
    }
}

fn by_domain(
    bundles: &Bundles,
    form: impl Fn(&WorkloadBundle) -> &Bytes,
) -> HashMap<String, Vec<u8>> {
    let federated = bundles.federated.values();
    std::iter::once(&bundles.own)
        .chain(federated)
        .map(|bundle| {
            let domain = bundle.bundle().trust_domain.id_string();
            (domain, form(bundle).to_vec())
        })
        .collect()
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
