//! An authority that is not its own root: handmade, below an intermediate of somebody else.

use rustls::pki_types::CertificateDer;

use super::*;
use crate::ca::{
    signer::Signer,
    slots::Lifetime,
    x509::{self, Issuer},
};

/// A root, and an intermediate below it that signs this server's authorities.
struct Upstream {
    root: CertificateDer<'static>,
    intermediate: CertificateDer<'static>,
    issuer: Issuer,
}

impl Upstream {
    fn new() -> Self {
        let trust_domain = settings().trust_domain;
        let (key, subject) = (signer(), CaSubject::default());
        let year = HOUR * 24 * 365;
        let root = x509::self_signed(&key, &trust_domain, &subject, year, start()).unwrap();
        let above = Issuer::new(&root.der, key).unwrap();
        let key = signer();
        let intermediate = above.downstream_ca(&trust_domain, key.spki_der(), year, start());
        let intermediate = intermediate.unwrap();
        Self {
            root: root.der,
            issuer: Issuer::new(&intermediate.der, key).unwrap(),
            intermediate: intermediate.der,
        }
    }

    fn authority(&self, signer: Signer, slot: Slot, now: SystemTime) -> Authority<X509Material> {
        let trust_domain = settings().trust_domain;
        let (key, day) = (signer.spki_der(), HOUR * 24);
        let own = self.issuer.downstream_ca(&trust_domain, key, day, now);
        let own = own.unwrap();
        let chain = vec![own.der, self.intermediate.clone()];
        Authority {
            id: hex::encode(signer.subject_key_id()),
            slot,
            lifetime: Lifetime {
                issued_at: now,
                not_after: own.not_after,
            },
            material: X509Material::of_chain(chain, vec![self.root.clone()], signer).unwrap(),
        }
    }

    /// Puts an authority beside the active one, and lets it sign when that is due.
    async fn adopt(&self, rotation: &mut Rotation, now: SystemTime) -> String {
        let current = Arc::clone(&rotation.authorities.borrow());
        let slot = current.x509.active.as_ref().unwrap().slot.other();
        let key_id = X509Material::key_id(slot);
        let signer = rotation.keys.generate(key_id, KeyType::EcP256).unwrap();
        let authority = self.authority(signer, slot, now);
        let id = authority.id.clone();
        rotation.prepare(authority).await.unwrap();
        rotation.converge(now + HOUR * 8).await.unwrap();
        let authorities = rotation.authorities.borrow();
        assert_eq!(authorities.x509.active.as_ref().unwrap().id, id);
        id
    }
}

fn signer() -> Signer {
    Signer::Local(PrivateKey::generate(KeyType::EcP256).unwrap())
}

fn published(world: &TestDirectory) -> Vec<CertificateDer<'static>> {
    let bundle = bundle(world);
    let authorities = bundle.x509_authorities.iter();
    authorities.map(|authority| authority.der.clone()).collect()
}

fn chain_of(rotation: &Rotation) -> Vec<CertificateDer<'static>> {
    let authorities = rotation.authorities.borrow();
    let active = authorities.x509.active.as_ref().unwrap();
    active.material.chain().to_vec()
}

fn upstream_of(rotation: &Rotation) -> String {
    let authorities = rotation.authorities.borrow();
    let active = authorities.x509.active.as_ref().unwrap();
    active.material.upstream_authority_id()
}

#[tokio::test]
async fn below_an_intermediate_svids_go_out_with_the_chain_and_the_root_alone_is_published() {
    let world = TestDirectory::new().await;
    let upstream = Upstream::new();
    let (mut rotation, ca) = rotation(&world, KeyManager::memory(), start()).await;
    let mut roots = published(&world);
    assert!(chain_of(&rotation).is_empty());
    assert_eq!(upstream_of(&rotation), "");
    assert_eq!(sign(&ca, start()).unwrap().chain.len(), 1);

    upstream.adopt(&mut rotation, start() + HOUR * 12).await;
    let now = start() + HOUR * 20;
    roots.push(upstream.root.clone());
    assert_eq!(published(&world), roots);
    let chain = chain_of(&rotation);
    assert_eq!(chain.len(), 2);
    assert_eq!(chain[1], upstream.intermediate);
    let upstream_id = hex::encode(upstream.issuer.signer().subject_key_id());
    assert_eq!(upstream_of(&rotation), upstream_id);
    let svid = sign(&ca, now).unwrap();
    assert_eq!(svid.chain[1..], chain);
    let trust = Trust::new([bundle(&world).as_ref()]);
    let verified = trust.verify(&svid.chain, Usage::Client, now).unwrap();
    assert_eq!(verified.id, web());
    let alone = trust.verify(&svid.chain[..1], Usage::Client, now);
    assert!(alone.is_err(), "the chain is needed");

    let below = signer();
    let signed = ca.sign_downstream_ca(below.spki_der(), None, now).unwrap();
    assert_eq!(signed.chain[1..], chain);
}

#[tokio::test]
async fn a_restarted_server_goes_on_below_its_intermediate_while_the_root_is_published() {
    let world = TestDirectory::new().await;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::new();
    let (mut first, _) = rotation(&world, disk(folder.path()), start()).await;
    let id = upstream.adopt(&mut first, start() + HOUR * 12).await;
    let chain = chain_of(&first);
    drop(first);

    let now = start() + HOUR * 21;
    let (second, ca) = rotation(&world, disk(folder.path()), now).await;
    assert_eq!(active(&second).0, id);
    let svid = sign(&ca, now).unwrap();
    assert_eq!(svid.chain[1..], chain);
    let trust = Trust::new([bundle(&world).as_ref()]);
    trust.verify(&svid.chain, Usage::Client, now).unwrap();
    drop(second);

    // What is left is the certificate of the authority before.
    amend(&world, |bundle| bundle.x509_authorities.truncate(1)).await;
    let (third, _) = rotation(&world, disk(folder.path()), now).await;
    assert_ne!(active(&third).0, id);
}

#[tokio::test]
async fn two_authorities_below_one_root_publish_it_once() {
    let world = TestDirectory::new().await;
    let upstream = Upstream::new();
    let keys = KeyManager::memory();
    let (mut rotation, _ca) = rotation_with(without_jwt(), &world, keys, start()).await;
    upstream.adopt(&mut rotation, start() + HOUR * 12).await;
    let first = bundle(&world);
    upstream.adopt(&mut rotation, start() + HOUR * 24).await;
    let second = bundle(&world);
    assert_eq!(second.x509_authorities.len(), 2);
    assert_eq!(second.sequence, first.sequence, "there is no news");
}

#[test]
fn a_chain_without_a_root_or_without_its_own_certificate_makes_no_authority() {
    let upstream = Upstream::new();
    let key = signer();
    let whole = upstream.authority(key.clone(), Slot::A, start()).material;
    let (chain, roots) = (whole.chain().to_vec(), vec![upstream.root.clone()]);
    let with = |chain: &[_], roots: &[_]| {
        X509Material::of_chain(chain.to_vec(), roots.to_vec(), key.clone())
    };
    assert!(with(&chain, &roots).is_ok());
    assert!(with(&chain, &[]).is_err(), "no root");
    assert!(with(&[], &roots).is_err(), "no certificate");
    assert!(with(&chain[1..], &roots).is_err(), "somebody else's key");
}
