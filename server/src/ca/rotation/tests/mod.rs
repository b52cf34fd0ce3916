//! The rotation over a real store, at chosen times.

mod put_back;
mod upstream;

use std::{path::Path, thread, time::UNIX_EPOCH};

use signet_identity::{
    SpiffeId, TrustDomain, jwt,
    key::{KeyType, PrivateKey},
    trust::{Trust, Usage},
    x509::check_svid_leaf,
};

use super::*;
use crate::{
    ca::{
        CaSubject, IssueError, Jti, JwtSvidRequest, Lifetimes, SvidKind, X509Svid, X509SvidRequest,
    },
    directory::testing::TestDirectory,
};

const HOUR: Duration = Duration::from_secs(3600);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_900_000_000)
}

fn settings() -> RotationSettings {
    RotationSettings {
        trust_domain: TrustDomain::new("example.org").unwrap(),
        ca_ttl: HOUR * 24,
        ca_key_type: KeyType::EcP256,
        jwt_key_type: KeyType::EcP256,
        jwt_svids: JwtSvids::Issued,
        ca_subject: CaSubject::default(),
        jwt_issuer: Some("https://issuer.example.org".to_owned()),
        lifetimes: Lifetimes {
            x509_svid: HOUR,
            jwt_svid: Duration::from_secs(300),
            agent: HOUR,
            downstream_ca: HOUR * 24,
        },
    }
}

async fn rotation(world: &TestDirectory, keys: KeyManager, now: SystemTime) -> (Rotation, Ca) {
    rotation_with(settings(), world, keys, now).await
}

async fn rotation_with(
    settings: RotationSettings,
    world: &TestDirectory,
    keys: KeyManager,
    now: SystemTime,
) -> (Rotation, Ca) {
    let (store, directory) = (world.store.store.clone(), world.directory.clone());
    let started = Rotation::start(settings, keys, store, directory, now);
    started.await.unwrap()
}

fn without_jwt() -> RotationSettings {
    RotationSettings {
        jwt_svids: JwtSvids::Disabled,
        ..settings()
    }
}

fn disk(folder: &Path) -> KeyManager {
    KeyManager::disk(&folder.join("keys.json")).unwrap()
}

fn web() -> SpiffeId {
    SpiffeId::new("spiffe://example.org/web").unwrap()
}

fn sign(ca: &Ca, now: SystemTime) -> Result<X509Svid, IssueError> {
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let request = X509SvidRequest {
        id: web(),
        spki_der: key.spki_der().to_vec(),
        ttl: None,
        dns_names: Vec::new(),
        subject: None,
    };
    ca.sign_x509(&request, now)
}

fn sign_jwt(ca: &Ca, ttl: Option<Duration>, now: SystemTime) -> crate::ca::JwtSvid {
    try_jwt(ca, ttl, now).unwrap()
}

fn try_jwt(
    ca: &Ca,
    ttl: Option<Duration>,
    now: SystemTime,
) -> Result<crate::ca::JwtSvid, IssueError> {
    let request = JwtSvidRequest {
        id: web(),
        audience: vec!["db".to_owned()],
        ttl,
        jti: Jti::Unique,
    };
    ca.sign_jwt(&request, now)
}

fn active(rotation: &Rotation) -> (String, String) {
    let authorities = rotation.authorities.borrow();
    let x509 = authorities.x509.active.as_ref().unwrap().id.clone();
    (x509, authorities.jwt.active.as_ref().unwrap().id.clone())
}

fn bundle(world: &TestDirectory) -> Arc<Bundle> {
    world.directory.bundle(&settings().trust_domain).unwrap()
}

async fn amend(world: &TestDirectory, edit: fn(&mut Bundle)) {
    let amended = world
        .store
        .store
        .amend_bundle(settings().trust_domain, edit);
    world.directory.seen(amended.await.unwrap()).await;
}

#[tokio::test]
async fn a_new_server_signs_at_once_and_its_bundle_vouches_for_it() {
    let world = TestDirectory::new().await;
    let (_rotation, ca) = rotation(&world, KeyManager::memory(), start()).await;
    let svid = sign(&ca, start()).unwrap();
    let bundle = bundle(&world);
    let verified = Trust::new([bundle.as_ref()]).verify(&svid.chain, Usage::Client, start());
    assert_eq!(verified.unwrap().id, web());
    let token = sign_jwt(&ca, None, start());
    let valid = jwt::validate(&token.token, "db", |_| Some(Arc::clone(&bundle)), start()).unwrap();
    assert_eq!(valid.id, web());
    assert_eq!(valid.claims["iss"], "https://issuer.example.org");
    assert!(valid.claims.contains_key("jti"));
    assert_eq!(token.expires_at, start() + Duration::from_secs(300));
}

#[tokio::test]
async fn the_next_authority_is_known_long_before_it_signs() {
    let world = TestDirectory::new().await;
    let (mut rotation, _ca) = rotation(&world, KeyManager::memory(), start()).await;
    let first = active(&rotation);
    rotation.converge(start() + HOUR * 11).await.unwrap();
    assert_eq!(bundle(&world).x509_authorities.len(), 1);
    rotation.converge(start() + HOUR * 12).await.unwrap();
    assert_eq!(bundle(&world).x509_authorities.len(), 2);
    assert_eq!(bundle(&world).jwt_authorities.len(), 2);
    assert_eq!(active(&rotation), first);
    rotation.converge(start() + HOUR * 20).await.unwrap();
    let second = active(&rotation);
    assert!(second.0 != first.0 && second.1 != first.1);
    assert_eq!(bundle(&world).x509_authorities.len(), 2);
}

#[tokio::test]
async fn svids_of_both_authorities_are_trusted_while_they_change() {
    let world = TestDirectory::new().await;
    let (mut rotation, ca) = rotation(&world, KeyManager::memory(), start()).await;
    rotation.converge(start() + HOUR * 12).await.unwrap();
    let change = start() + HOUR * 20;
    let before = sign(&ca, change).unwrap();
    rotation.converge(change).await.unwrap();
    let after = sign(&ca, change).unwrap();
    let trust = Trust::new([bundle(&world).as_ref()]);
    let mut issuers = Vec::new();
    for svid in [before, after] {
        trust.verify(&svid.chain, Usage::Server, change).unwrap();
        issuers.push(check_svid_leaf(&svid.chain[0]).unwrap().authority_key_id);
    }
    assert_ne!(issuers[0], issuers[1]);
}

#[tokio::test]
async fn a_restarted_server_goes_on_with_its_authorities() {
    let world = TestDirectory::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (mut first, _) = rotation(&world, disk(folder.path()), start()).await;
    first.converge(start() + HOUR * 12).await.unwrap();
    let before = active(&first);
    drop(first);
    let (mut second, ca) = rotation(&world, disk(folder.path()), start() + HOUR * 13).await;
    assert_eq!(active(&second), before);
    assert_eq!(bundle(&world).x509_authorities.len(), 2);
    assert!(sign(&ca, start() + HOUR * 13).is_ok());
    second.converge(start() + HOUR * 20).await.unwrap();
    assert_eq!(
        bundle(&world).x509_authorities.len(),
        2,
        "the prepared one is used"
    );
    assert_ne!(active(&second), before);
    assert_eq!(world.store.store.ca_journals().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_server_that_lost_its_keys_makes_new_authorities_and_keeps_the_old_ones_trusted() {
    let world = TestDirectory::new().await;
    let (first, ca) = rotation(&world, KeyManager::memory(), start()).await;
    let before = active(&first);
    let old = sign(&ca, start()).unwrap();
    drop(first);
    let (second, _) = rotation(&world, KeyManager::memory(), start() + HOUR / 2).await;
    assert_ne!(active(&second), before);
    assert_eq!(bundle(&world).x509_authorities.len(), 2);
    let trust = Trust::new([bundle(&world).as_ref()]);
    assert!(
        trust
            .verify(&old.chain, Usage::Client, start() + HOUR / 2)
            .is_ok()
    );
}

#[tokio::test]
async fn an_authority_that_is_not_in_the_bundle_does_not_come_back() {
    let world = TestDirectory::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = rotation(&world, disk(folder.path()), start()).await;
    let before = active(&first);
    drop(first);
    amend(&world, |bundle| bundle.x509_authorities.clear()).await;
    let (second, _) = rotation(&world, disk(folder.path()), start()).await;
    let after = active(&second);
    assert_ne!(after.0, before.0);
    assert_eq!(
        after.1, before.1,
        "the JWT authority is still in the bundle"
    );
}

#[tokio::test]
async fn a_server_that_was_down_for_days_has_new_authorities_at_once() {
    let world = TestDirectory::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (first, _) = rotation(&world, disk(folder.path()), start()).await;
    drop(first);
    let later = start() + HOUR * 24 * 5;
    let (second, ca) = rotation(&world, disk(folder.path()), later).await;
    assert!(sign(&ca, later).is_ok());
    second.prune(later).await;
    let stored = world.store.store.snapshot().await.unwrap();
    assert_eq!(
        stored.bundles[0].x509_authorities.len(),
        1,
        "the expired one is gone"
    );
    assert_eq!(stored.bundles[0].jwt_authorities.len(), 1);
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_and_back_again_costs_no_trust() {
    let world = TestDirectory::new().await;
    let (mut rotation, ca) = rotation(&world, KeyManager::memory(), start()).await;
    let early = sign(&ca, start()).unwrap();
    let ahead = start() + HOUR * 24 * 40;
    let back = start() + HOUR / 2;
    let further_back = start() - HOUR * 48;
    for now in [ahead, back, further_back, back, ahead] {
        let refused = sign(&ca, now);
        assert!(matches!(refused, Err(IssueError::NotReady)), "{now:?}");
        let before = active(&rotation);
        rotation.converge(now).await.unwrap();
        let after = active(&rotation);
        assert!(after.0 != before.0 && after.1 != before.1, "{now:?}");
        let bundle = bundle(&world);
        let trust = Trust::new([bundle.as_ref()]);
        let svid = sign(&ca, now).unwrap();
        trust.verify(&svid.chain, Usage::Client, now).unwrap();
        let token = sign_jwt(&ca, None, now).token;
        jwt::validate(&token, "db", |_| Some(Arc::clone(&bundle)), now).unwrap();
    }
    let trust = Trust::new([bundle(&world).as_ref()]);
    let early = trust.verify(&early.chain, Usage::Client, back);
    assert!(early.is_ok(), "what was signed before the jump is trusted");
}

#[tokio::test]
async fn a_clock_that_steps_back_a_little_changes_nothing() {
    let world = TestDirectory::new().await;
    let (mut rotation, ca) = rotation(&world, KeyManager::memory(), start()).await;
    let before = active(&rotation);
    rotation.converge(start() + HOUR).await.unwrap();
    let back = start() - Duration::from_secs(5);
    rotation.converge(back).await.unwrap();
    assert_eq!(active(&rotation), before);
    assert!(sign(&ca, back).is_ok());
}

#[tokio::test]
async fn a_token_never_outlives_its_key() {
    let world = TestDirectory::new().await;
    let (_rotation, ca) = rotation(&world, KeyManager::memory(), start()).await;
    let token = sign_jwt(&ca, Some(HOUR * 100), start());
    assert_eq!(token.expires_at, start() + HOUR * 24);
}

#[tokio::test]
async fn a_signature_is_made_on_the_spot_if_the_key_of_its_kind_is_quick_whatever_the_other_is() {
    let here = thread::current().id();
    for (x509, jwt) in [
        (KeyType::EcP384, KeyType::EcP256),
        (KeyType::EcP256, KeyType::EcP384),
    ] {
        let world = TestDirectory::new().await;
        let settings = RotationSettings {
            ca_key_type: x509,
            jwt_key_type: jwt,
            ..settings()
        };
        let (_rotation, ca) = rotation_with(settings, &world, KeyManager::memory(), start()).await;
        for (kind, key_type) in [(SvidKind::X509, x509), (SvidKind::Jwt, jwt)] {
            let ran = ca.sign_one(kind, |_ca| thread::current().id());
            let on_the_spot = ran.await.unwrap() == here;
            assert_eq!(on_the_spot, key_type == KeyType::EcP256, "{kind:?}");
        }
    }
}

#[tokio::test]
async fn keys_of_a_ca_that_the_database_does_not_know_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = TestDirectory::new().await;
    let (before, _ca) = rotation(&world, disk(folder.path()), start()).await;
    let keys = std::fs::read(folder.path().join("keys.json")).unwrap();
    let empty = TestDirectory::new().await;
    let (store, directory) = (empty.store.store.clone(), empty.directory.clone());
    let refused = Rotation::start(settings(), disk(folder.path()), store, directory, start())
        .await
        .unwrap_err();
    let said = refused.to_string();
    assert!(said.contains("keys.json: restore the database"), "{said}");
    assert_eq!(
        std::fs::read(folder.path().join("keys.json")).unwrap(),
        keys
    );
    assert!(empty.directory.bundle(&settings().trust_domain).is_none());
    // With the database that knows them, they go on.
    let (after, _ca) = rotation(&world, disk(folder.path()), start()).await;
    assert_eq!(active(&before), active(&after));
}

#[tokio::test]
async fn a_first_start_that_was_broken_off_is_made_good_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let world = TestDirectory::new().await;
    // The key was made, and nobody has heard of it.
    let keys = disk(folder.path());
    keys.generate("x509-CA-A", KeyType::EcP256).unwrap();
    let (_rotation, ca) = rotation(&world, disk(folder.path()), start()).await;
    sign(&ca, start()).unwrap();
    assert_eq!(bundle(&world).x509_authorities.len(), 1);
}

#[tokio::test]
async fn authorities_that_have_all_ended_are_followed_by_new_ones_even_if_a_crash_took_their_keys()
{
    let folder = tempfile::tempdir().unwrap();
    let world = TestDirectory::new().await;
    rotation(&world, disk(folder.path()), start()).await;
    let later = start() + HOUR * 48;
    // The next authority's key is made in the slot of the one that ended; then comes the crash.
    let keys = disk(folder.path());
    keys.generate("x509-CA-A", KeyType::EcP256).unwrap();
    let (_rotation, ca) = rotation(&world, disk(folder.path()), later).await;
    sign(&ca, later).unwrap();
}

#[tokio::test]
async fn without_jwt_svids_no_jwt_authority_is_made_and_nothing_is_signed_with_one_of_before() {
    let folder = tempfile::tempdir().unwrap();
    let world = TestDirectory::new().await;
    let jwt_authorities = |world: &TestDirectory| {
        let bundle = world.directory.bundle(&settings().trust_domain).unwrap();
        bundle.jwt_authorities.len()
    };
    let (mut off, ca) = rotation_with(without_jwt(), &world, disk(folder.path()), start()).await;
    assert!(ca.is_ready());
    assert_eq!(jwt_authorities(&world), 0);
    off.converge(start() + HOUR * 20).await.unwrap();
    assert_eq!(jwt_authorities(&world), 0);
    sign(&ca, start() + HOUR * 20).unwrap();
    let refused = try_jwt(&ca, None, start() + HOUR * 20).unwrap_err();
    assert!(matches!(refused, IssueError::NoJwtSvids), "{refused}");
    drop((off, ca));

    let (on, ca) = rotation(&world, disk(folder.path()), start() + HOUR * 20).await;
    assert_eq!(jwt_authorities(&world), 1);
    try_jwt(&ca, None, start() + HOUR * 20).unwrap();
    drop((on, ca));

    let again = start() + HOUR * 21;
    let (_off, ca) = rotation_with(without_jwt(), &world, disk(folder.path()), again).await;
    let refused = try_jwt(&ca, None, again).unwrap_err();
    assert!(matches!(refused, IssueError::NoJwtSvids), "{refused}");
}
