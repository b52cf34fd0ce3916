//! The service as clients see it.

use signet_identity::key::{KeyType, PrivateKey};
use signet_proto::spire::api::{
    server::bundle::v1::{
        AppendBundleRequest, BatchCreateFederatedBundleRequest, BatchDeleteFederatedBundleRequest,
        BatchSetFederatedBundleRequest, BatchUpdateFederatedBundleRequest, CountBundlesRequest,
        GetBundleRequest, GetFederatedBundleRequest, ListFederatedBundlesRequest,
        PublishJwtAuthorityRequest, PublishWitAuthorityRequest, bundle_server::Bundle as _,
    },
    types,
};
use tonic::{Code, Request};

use super::BundleService;
use crate::{
    bundles::Bundles,
    directory::testing::{TestDirectory, entry},
};

async fn service() -> (TestDirectory, BundleService) {
    let test = TestDirectory::new().await;
    let bundles = Bundles::new(test.store.store.clone(), test.directory.clone());
    let service = BundleService::new(bundles, test.directory.clone());
    (test, service)
}

fn bundle(trust_domain: &str, sequence_number: u64) -> types::Bundle {
    let trust_domain = trust_domain.to_owned();
    types::Bundle {
        trust_domain,
        sequence_number,
        ..Default::default()
    }
}

fn jwt_key(key_id: &str) -> types::JwtKey {
    let key = PrivateKey::generate(KeyType::EcP256).expect("key");
    let public_key = key.spki_der().to_vec();
    types::JwtKey {
        public_key,
        key_id: key_id.to_owned(),
        ..Default::default()
    }
}

fn code(status: Option<&types::Status>) -> i32 {
    status.expect("a status").code
}

async fn create(service: &BundleService, bundle: Vec<types::Bundle>) -> Vec<i32> {
    let request = BatchCreateFederatedBundleRequest {
        bundle,
        output_mask: None,
    };
    let response = service
        .batch_create_federated_bundle(Request::new(request))
        .await;
    let results = response.expect("create").into_inner().results;
    results
        .iter()
        .map(|result| code(result.status.as_ref()))
        .collect()
}

async fn delete(service: &BundleService, names: &[&str], mode: i32) -> Vec<(i32, String)> {
    let trust_domains = names.iter().map(ToString::to_string).collect();
    let request = BatchDeleteFederatedBundleRequest {
        trust_domains,
        mode,
    };
    let response = service
        .batch_delete_federated_bundle(Request::new(request))
        .await;
    let results = response.expect("delete").into_inner().results.into_iter();
    results
        .map(|result| (code(result.status.as_ref()), result.trust_domain))
        .collect()
}

#[tokio::test]
async fn a_federated_bundle_is_created_once() {
    let (_test, service) = service().await;
    let wanted = vec![
        bundle("a.org", 1),
        bundle("a.org", 2),
        bundle("example.org", 1),
        bundle("A", 1),
    ];
    assert_eq!(create(&service, wanted).await, [0, 6, 3, 3]);
}

#[tokio::test]
async fn federated_bundles_are_set_and_changed_as_the_mask_says() {
    let (_test, service) = service().await;
    let request = BatchSetFederatedBundleRequest {
        bundle: vec![bundle("a.org", 5), bundle("b.org", 1)],
        output_mask: None,
    };
    let set = service
        .batch_set_federated_bundle(Request::new(request))
        .await
        .expect("set");
    let codes: Vec<_> = set
        .get_ref()
        .results
        .iter()
        .map(|result| code(result.status.as_ref()))
        .collect();
    assert_eq!(codes, [0, 0]);

    let change = types::Bundle {
        refresh_hint: 60,
        ..bundle("a.org", 99)
    };
    let request = BatchUpdateFederatedBundleRequest {
        bundle: vec![change, bundle("c.org", 1)],
        input_mask: Some(types::BundleMask {
            refresh_hint: true,
            ..Default::default()
        }),
        output_mask: None,
    };
    let updated = service
        .batch_update_federated_bundle(Request::new(request))
        .await;
    let updated = updated.expect("update").into_inner().results;
    let expected = types::Bundle {
        refresh_hint: 60,
        ..bundle("a.org", 5)
    };
    assert_eq!(updated[0].bundle, Some(expected.clone()));
    assert_eq!(code(updated[1].status.as_ref()), 5);

    let get = GetFederatedBundleRequest {
        trust_domain: "a.org".to_owned(),
        output_mask: None,
    };
    let got = service
        .get_federated_bundle(Request::new(get))
        .await
        .expect("get")
        .into_inner();
    assert_eq!(got, expected);
}

#[tokio::test]
async fn federated_bundles_are_listed_in_pages_and_deleted() {
    let (_test, service) = service().await;
    create(&service, vec![bundle("a.org", 5), bundle("b.org", 1)]).await;
    let list = ListFederatedBundlesRequest {
        page_size: 1,
        ..Default::default()
    };
    let page = service
        .list_federated_bundles(Request::new(list))
        .await
        .expect("list")
        .into_inner();
    assert_eq!(page.bundles, [bundle("a.org", 5)]);
    let list = ListFederatedBundlesRequest {
        page_token: page.next_page_token,
        ..Default::default()
    };
    let page = service
        .list_federated_bundles(Request::new(list))
        .await
        .expect("list")
        .into_inner();
    assert_eq!(
        (page.bundles, page.next_page_token.as_str()),
        (vec![bundle("b.org", 1)], "")
    );

    let gone = delete(&service, &["a.org", "a.org", "example.org"], 0).await;
    assert_eq!(
        gone.iter().map(|(code, _)| *code).collect::<Vec<_>>(),
        [0, 5, 3]
    );
}

#[tokio::test]
async fn a_bundle_in_use_stays_in_restrict_mode() {
    let (test, service) = service().await;
    create(&service, vec![bundle("a.org", 1)]).await;
    let mut federated = entry("e", "/spire/agent/x", "/w");
    federated.federates_with = vec!["a.org".parse().expect("trust domain")];
    test.store
        .store
        .create_entry(federated)
        .await
        .expect("create");
    assert_eq!(
        delete(&service, &["a.org"], 0).await,
        [(9, "a.org".to_owned())]
    );
    assert_eq!(
        delete(&service, &["a.org"], 2).await,
        [(0, "a.org".to_owned())]
    );
    let unknown = BatchDeleteFederatedBundleRequest {
        trust_domains: Vec::new(),
        mode: 7,
    };
    let refused = service
        .batch_delete_federated_bundle(Request::new(unknown))
        .await;
    assert_eq!(refused.expect_err("refused").code(), Code::InvalidArgument);
}

#[tokio::test]
async fn authorities_are_added_to_the_own_bundle() {
    let (_test, service) = service().await;
    let get = || service.get_bundle(Request::new(GetBundleRequest::default()));
    assert_eq!(get().await.expect_err("none").code(), Code::NotFound);
    let append = AppendBundleRequest {
        jwt_authorities: vec![jwt_key("a")],
        ..Default::default()
    };
    service
        .append_bundle(Request::new(append))
        .await
        .expect("append");
    let publish = PublishJwtAuthorityRequest {
        jwt_authority: Some(jwt_key("b")),
    };
    let all = service
        .publish_jwt_authority(Request::new(publish))
        .await
        .expect("publish");
    assert_eq!(all.get_ref().jwt_authorities.len(), 2);
    let own = get().await.expect("get").into_inner();
    assert_eq!((own.jwt_authorities.len(), own.sequence_number), (2, 2));
    let count = service
        .count_bundles(Request::new(CountBundlesRequest {}))
        .await
        .expect("count");
    assert_eq!(count.get_ref().count, 1);
}

#[tokio::test]
async fn authorities_that_cannot_be_used_are_refused() {
    let (_test, service) = service().await;
    let garbage = types::X509Certificate {
        asn1: vec![1, 2, 3],
        tainted: false,
    };
    let nameless = jwt_key("");
    for append in [
        AppendBundleRequest::default(),
        AppendBundleRequest {
            x509_authorities: vec![garbage],
            ..Default::default()
        },
        AppendBundleRequest {
            jwt_authorities: vec![nameless],
            ..Default::default()
        },
    ] {
        let refused = service
            .append_bundle(Request::new(append))
            .await
            .expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument);
    }
    let none = PublishJwtAuthorityRequest {
        jwt_authority: None,
    };
    let refused = service
        .publish_jwt_authority(Request::new(none))
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let wit = service.publish_wit_authority(Request::new(PublishWitAuthorityRequest::default()));
    assert_eq!(wit.await.expect_err("refused").code(), Code::Unimplemented);
}
