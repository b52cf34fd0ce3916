//! `FetchX509SVID`.

use signet_proto::workload::{X509SvidRequest, X509SvidResponse};
use tonic::Code;

use super::*;

async fn fetch(api: &Api) -> Streaming<X509SvidResponse> {
    let request = with_header(X509SvidRequest {});
    api.client()
        .fetch_x509svid(request)
        .await
        .unwrap()
        .into_inner()
}

fn ids(response: &X509SvidResponse) -> Vec<&str> {
    response
        .svids
        .iter()
        .map(|svid| svid.spiffe_id.as_str())
        .collect()
}

#[tokio::test]
async fn the_first_message_has_everything_that_a_workload_needs() {
    let api = api().await;
    api.add_signed([entry(1)]);
    let first = next(&mut fetch(&api).await).await;
    let [svid] = first.svids.as_slice() else {
        panic!("one SVID: {first:?}");
    };
    assert_eq!(svid.spiffe_id, "spiffe://example.org/w1");
    assert_eq!(svid.x509_svid, vec![1; 5]);
    assert_eq!(svid.x509_svid_key, vec![1, 0, 1]);
    assert_eq!(svid.bundle, "own root");
}

#[tokio::test]
async fn who_has_no_entry_is_denied_in_the_words_that_clients_know() {
    let api = api().await;
    api.add_signed([entry_of_another_workload()]);
    let request = with_header(X509SvidRequest {});
    let status = api.client().fetch_x509svid(request).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "no identity issued")
    );
}

#[tokio::test]
async fn svids_come_oldest_entry_first() {
    let api = api().await;
    api.add_signed([entry(2), entry(1), entry(3)]);
    let first = next(&mut fetch(&api).await).await;
    let in_order = ["w1", "w2", "w3"].map(|name| format!("spiffe://example.org/{name}"));
    assert_eq!(ids(&first), in_order);
}

#[tokio::test]
async fn a_rotated_svid_and_a_new_entry_arrive_on_the_open_stream() {
    let api = api().await;
    api.add_signed([entry(1)]);
    let mut stream = fetch(&api).await;
    next(&mut stream).await;
    api.sign(&entry(1), 2);
    assert_eq!(next(&mut stream).await.svids[0].x509_svid, vec![2; 5]);
    api.add_signed([entry(2)]);
    assert_eq!(ids(&next(&mut stream).await).len(), 2);
}

#[tokio::test]
async fn what_does_not_concern_the_workload_is_not_sent() {
    let api = api().await;
    api.add_signed([entry(1)]);
    let mut stream = fetch(&api).await;
    next(&mut stream).await;
    api.add_signed([entry_of_another_workload()]);
    api.bundle(foreign_bundle("other.org", b"other root"));
    // Its JWT keys are not part of this stream.
    let other_key = PrivateKey::generate(KeyType::EcP256).unwrap();
    api.bundle(own_bundle(&other_key));
    api.sign(&entry(1), 2);
    assert_eq!(next(&mut stream).await.svids[0].x509_svid, vec![2; 5]);
}

#[tokio::test]
async fn a_withdrawn_identity_leaves_the_message_and_the_last_one_ends_the_stream() {
    let api = api().await;
    api.add_signed([entry(1), entry(2)]);
    let mut stream = fetch(&api).await;
    next(&mut stream).await;
    api.remove(&entry(1));
    assert_eq!(ids(&next(&mut stream).await), ["spiffe://example.org/w2"]);
    api.remove(&entry(2));
    assert_eq!(end(&mut stream).await.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn an_svid_that_is_being_signed_is_waited_for() {
    let api = api().await;
    api.add([entry(1)]);
    let mut stream = fetch(&api).await;
    api.sign(&entry(1), 1);
    assert_eq!(ids(&next(&mut stream).await).len(), 1);
}

#[tokio::test]
async fn the_first_message_waits_for_all_svids_but_not_for_ever() {
    let api = api().await;
    api.add_signed([entry(1)]);
    api.add([entry(2)]);
    let mut stream = fetch(&api).await;
    assert_eq!(ids(&next(&mut stream).await), ["spiffe://example.org/w1"]);
}

#[tokio::test]
async fn of_two_entries_with_one_hint_the_older_is_delivered() {
    let api = api().await;
    let hinted = |number| Entry {
        hint: "internal".to_owned(),
        ..entry(number)
    };
    api.add_signed([hinted(2), hinted(1), entry(3), entry(4)]);
    let first = next(&mut fetch(&api).await).await;
    let in_order = ["w1", "w3", "w4"].map(|name| format!("spiffe://example.org/{name}"));
    assert_eq!(ids(&first), in_order);
}

#[tokio::test]
async fn federated_bundles_are_those_that_the_entry_federates_with() {
    let api = api().await;
    api.bundle(foreign_bundle("other.org", b"other root"));
    api.bundle(foreign_bundle("third.org", b"third root"));
    api.add_signed([Entry {
        federates_with: vec![TrustDomain::new("other.org").unwrap()],
        ..entry(1)
    }]);
    let first = next(&mut fetch(&api).await).await;
    let bundles: Vec<_> = first.federated_bundles.iter().collect();
    assert_eq!(
        bundles,
        [(&"spiffe://other.org".to_owned(), &"other root".into())]
    );
}
