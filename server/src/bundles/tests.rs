//! Bundles over a real store.

use signet_identity::{
    TrustDomain,
    bundle::{Bundle, JwtAuthority},
    key::{KeyType, PrivateKey},
};

use super::{Bundles, BundlesError};
use crate::{
    directory::testing::{TestDirectory, trust_domain},
    store::DeleteMode,
};

async fn bundles() -> (TestDirectory, Bundles) {
    let test = TestDirectory::new().await;
    let bundles = Bundles::new(test.store.store.clone(), test.directory.clone());
    (test, bundles)
}

fn bundle(name: &str, sequence: u64) -> Bundle {
    Bundle {
        sequence,
        ..Bundle::empty(TrustDomain::new(name).expect("trust domain"))
    }
}

#[tokio::test]
async fn a_bundle_is_created_once_set_changed_and_deleted() {
    let (_test, bundles) = bundles().await;
    let partner = TrustDomain::new("partner.org").expect("trust domain");
    let early = bundles
        .update(partner.clone(), |bundle| bundle.sequence = 9)
        .await;
    assert!(matches!(early, Err(BundlesError::NotFound)));
    bundles
        .create(bundle("partner.org", 1))
        .await
        .expect("create");
    let again = bundles.create(bundle("partner.org", 2)).await;
    assert!(matches!(again, Err(BundlesError::Exists)));
    bundles.set(bundle("partner.org", 3)).await.expect("set");
    let updated = bundles
        .update(partner.clone(), |bundle| bundle.sequence += 1)
        .await;
    assert_eq!(updated.expect("update").sequence, 4);
    assert_eq!(bundles.get(&partner).expect("get").sequence, 4);
    bundles
        .delete(partner.clone(), DeleteMode::Restrict)
        .await
        .expect("delete");
    assert!(matches!(bundles.get(&partner), Err(BundlesError::NotFound)));
}

#[tokio::test]
async fn the_own_bundle_is_not_a_federated_one() {
    let (_test, bundles) = bundles().await;
    let own = Bundle::empty(trust_domain());
    let refusals = [
        bundles.create(own.clone()).await.err(),
        bundles.set(own).await.err(),
        bundles.update(trust_domain(), |_| {}).await.err(),
        bundles
            .delete(trust_domain(), DeleteMode::Delete)
            .await
            .err(),
        bundles.get(&trust_domain()).err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, Some(BundlesError::Own(_))), "{refusal:?}");
    }
}

#[tokio::test]
async fn lists_leave_the_own_bundle_out_and_come_in_pages() {
    let (_test, bundles) = bundles().await;
    bundles
        .append(Vec::new(), vec![jwt("k", false)])
        .await
        .expect("append");
    for name in ["a.org", "b.org", "c.org"] {
        bundles.create(bundle(name, 1)).await.expect("create");
    }
    let (page, more) = bundles.list(None, 2);
    assert_eq!((page.len(), more), (2, true));
    let (page, more) = bundles.list(page.last().map(|last| &last.trust_domain), 2);
    assert_eq!((page.len(), more), (1, false));
    assert_eq!(bundles.count(), 4);
}

fn jwt(key_id: &str, tainted: bool) -> JwtAuthority {
    let key = PrivateKey::generate(KeyType::EcP256).expect("key");
    JwtAuthority {
        key_id: key_id.to_owned(),
        spki_der: key.spki_der().to_vec(),
        expires_at: None,
        tainted,
    }
}

#[tokio::test]
async fn appending_adds_and_takes_no_taint_away() {
    let (_test, bundles) = bundles().await;
    let tainted = jwt("old", true);
    bundles
        .append(Vec::new(), vec![tainted.clone()])
        .await
        .expect("append");
    let clean = JwtAuthority {
        tainted: false,
        ..tainted.clone()
    };
    let other = jwt("new", false);
    let bundle = bundles
        .append(Vec::new(), vec![clean, other.clone()])
        .await
        .expect("append");
    assert_eq!(bundle.jwt_authorities, [tainted, other]);
    assert_eq!(bundle.sequence, 2);
    assert_eq!(bundles.own().as_deref(), Some(&bundle));
}
