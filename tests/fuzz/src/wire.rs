//! What is read of a connection before any library reads it, and what its messages say.

use std::collections::HashSet;

use prost::Message as _;
use signet_daemon::socket::Authority;
use signet_identity::{
    bundle::Bundle,
    workload_api::X509Context,
    x509::{self, concatenated},
};
use signet_proto::workload::X509SvidResponse;

/// The authorities of requests are mended the same however the bytes come, once and for all, and by
/// nothing but hyphens. The first byte says in pieces of which size they come.
pub(crate) fn authority(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let mut whole = bytes.to_vec();
    Authority::default().mend(&mut whole);
    let mut again = whole.clone();
    Authority::default().mend(&mut again);
    assert_eq!(again, whole);
    let mut pieces = bytes.to_vec();
    let mut authority = Authority::default();
    for piece in pieces.chunks_mut(usize::from(*size).max(1)) {
        authority.mend(piece);
    }
    assert_eq!(pieces, whole);
    let mut changes = bytes.iter().zip(&whole);
    assert!(changes.all(|(before, after)| before == after || *after == b'-'));
}

/// A message of the Workload API is refused, or read to its last certificate: every SVID is that of
/// the ID it is said to be, its key is its certificate's, and nothing is left out of a bundle.
pub(crate) fn workload_api(data: &[u8]) {
    let Ok(response) = X509SvidResponse::decode(data) else {
        return;
    };
    let Ok(context) = X509Context::read(&response) else {
        return;
    };
    let mut hints = HashSet::new();
    let stated = response.svids.iter();
    let stated: Vec<_> = stated
        .filter(|svid| svid.hint.is_empty() || hints.insert(&svid.hint))
        .collect();
    assert_eq!(context.svids().count(), stated.len());
    for (svid, stated) in context.svids().zip(stated) {
        let chain = svid.identity.chain();
        assert_eq!(svid.identity.id().to_string(), stated.spiffe_id);
        assert_eq!(concatenated(chain), stated.x509_svid);
        let leaf = chain.first().expect("a leaf");
        let checked = x509::check_svid_leaf(leaf).expect("an SVID");
        assert_eq!(&checked.id, svid.identity.id());
        assert_eq!(x509::public_key(leaf).expect("a key"), svid.key.spki_der());
        assert_eq!(der(&svid.bundle), stated.bundle);
        assert_eq!(svid.hint, stated.hint);
    }
    assert_eq!(context.federated.len(), response.federated_bundles.len());
    for (domain, bundle) in &context.federated {
        assert_eq!(der(bundle), response.federated_bundles[&domain.id_string()]);
    }
    let _ = context.trust();
}

fn der(bundle: &Bundle) -> Vec<u8> {
    concatenated(bundle.x509_authorities.iter().map(|one| &one.der))
}

/// Whether the message to start from is one that is read.
pub(crate) fn message_is_read() -> bool {
    let message = &include_bytes!("../corpus/workload_api/seed-federated")[..];
    X509SvidResponse::decode(message).is_ok_and(|message| X509Context::read(&message).is_ok())
}
