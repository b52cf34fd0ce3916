//! Handshakes in memory, with the real library on both sides.

use std::io::ErrorKind;

use rcgen::date_time_ymd;
use rustls::{
    ClientConnection, HandshakeKind, NamedGroup, ProtocolVersion, ServerConnection,
    pki_types::ServerName,
};

use super::*;
use crate::{
    bundle::Bundle,
    key::{KeyType, PrivateKey},
    testing::{Ca, Issued, domain, id},
};

const WEB: &str = "spiffe://example.org/web";
const DB: &str = "spiffe://example.org/db";

fn trust<'a>(bundles: impl IntoIterator<Item = &'a Bundle>) -> SharedTrust {
    watch::channel(Arc::new(Trust::new(bundles))).1
}

fn identity(issued: Issued) -> SharedIdentity {
    let identity = Identity::new(vec![issued.der], &issued.key).expect("identity");
    watch::channel(Some(Arc::new(identity))).1
}

/// Both ends after a handshake.
struct Ends {
    client: ClientConnection,
    server: ServerConnection,
}

fn handshake(client: Arc<ClientConfig>, server: Arc<ServerConfig>) -> Result<Ends, rustls::Error> {
    let name = ServerName::try_from("localhost").expect("name");
    let mut client = ClientConnection::new(client, name)?;
    let mut server = ServerConnection::new(server)?;
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() {
        pass(&mut |out| client.write_tls(out), &mut |input| {
            server.read_tls(input)
        });
        server.process_new_packets()?;
        pass(&mut |out| server.write_tls(out), &mut |input| {
            client.read_tls(input)
        });
        client.process_new_packets()?;
    }
    Ok(Ends { client, server })
}

type Write<'a> = &'a mut dyn FnMut(&mut dyn io::Write) -> io::Result<usize>;
type ReadFrom<'a> = &'a mut dyn FnMut(&mut dyn io::Read) -> io::Result<usize>;

fn pass(write: Write<'_>, read: ReadFrom<'_>) {
    let mut bytes = Vec::new();
    while write(&mut bytes).expect("write") > 0 {}
    let mut input = bytes.as_slice();
    while !input.is_empty() {
        if let Err(error) = read(&mut input) {
            assert_eq!(error.kind(), ErrorKind::Other, "{error}");
            return;
        }
    }
}

fn pair(root: &Ca, expect: Expect, clients: Clients) -> (Arc<ClientConfig>, Arc<ServerConfig>) {
    let trust = trust([&root.bundle("example.org")]);
    let own = Some(identity(root.leaf(WEB)));
    let client = client_config(own, trust.clone(), expect, &[b"h2"]).expect("client");
    let server = server_config(identity(root.leaf(DB)), trust, clients, &[b"h2"]).expect("server");
    (client, server)
}

#[test]
fn two_svids_of_one_trust_domain_meet() {
    let root = Ca::root("example.org");
    let (client, server) = pair(&root, Expect::Exactly(vec![id(DB)]), Clients::Required);
    let ends = handshake(client, server).expect("handshake");
    let peer = peer_leaf(ends.server.peer_certificates())
        .expect("profile")
        .expect("peer");
    assert_eq!(peer.id, id(WEB));
    let peer = peer_leaf(ends.client.peer_certificates())
        .expect("profile")
        .expect("peer");
    assert_eq!(peer.id, id(DB));
    assert_eq!(ends.client.alpn_protocol(), Some(b"h2".as_slice()));
    assert_eq!(
        ends.client.protocol_version(),
        Some(ProtocolVersion::TLSv1_3)
    );
    let group = ends
        .client
        .negotiated_key_exchange_group()
        .map(|group| group.name());
    assert_eq!(group, Some(NamedGroup::X25519MLKEM768));
}

#[test]
fn no_session_is_resumed() {
    let root = Ca::root("example.org");
    let (client, server) = pair(&root, Expect::AnyTrusted, Clients::Required);
    for _ in 0..2 {
        let ends = handshake(Arc::clone(&client), Arc::clone(&server)).expect("handshake");
        assert_eq!(ends.client.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn another_server_than_the_expected_is_refused() {
    let root = Ca::root("example.org");
    let others = Expect::Exactly(vec![id("spiffe://example.org/other")]);
    let (client, server) = pair(&root, others, Clients::Required);
    let error = handshake(client, server).err().expect("refused");
    assert!(
        error
            .to_string()
            .contains("spiffe://example.org/other is expected"),
        "{error}"
    );

    assert!(reason(&io::Error::other(error)).starts_with("the peer is spiffe://example.org/db"));

    let elsewhere = Expect::TrustDomain(domain("other.org"));
    let (client, server) = pair(&root, elsewhere, Clients::Required);
    assert!(handshake(client, server).is_err());
    let here = Expect::TrustDomain(domain("example.org"));
    let (client, server) = pair(&root, here, Clients::Required);
    assert!(handshake(client, server).is_ok());
}

#[test]
fn a_client_that_expects_nobody_is_not_made() {
    let root = Ca::root("example.org");
    let nobody = Expect::Exactly(Vec::new());
    let outcome = client_config(None, trust([&root.bundle("example.org")]), nobody, &[]);
    assert_eq!(outcome.err(), Some(TlsError::NobodyExpected));
}

#[test]
fn a_client_without_identity_is_let_in_only_where_it_is_optional() {
    let root = Ca::root("example.org");
    for (clients, accepted) in [(Clients::Optional, true), (Clients::Required, false)] {
        let (_, server) = pair(&root, Expect::AnyTrusted, clients);
        let trust = trust([&root.bundle("example.org")]);
        let client = client_config(None, trust, Expect::AnyTrusted, &[b"h2"]).expect("client");
        match handshake(client, server) {
            Ok(ends) => {
                assert!(accepted);
                assert_eq!(peer_leaf(ends.server.peer_certificates()), Ok(None));
            }
            Err(_) => assert!(!accepted),
        }
    }
}

#[test]
fn a_client_of_a_strange_authority_is_refused_even_where_it_is_optional() {
    let root = Ca::root("example.org");
    let (_, server) = pair(&root, Expect::AnyTrusted, Clients::Optional);
    let own = Some(identity(Ca::root("example.org").leaf(WEB)));
    let trust = trust([&root.bundle("example.org")]);
    let client = client_config(own, trust, Expect::AnyTrusted, &[b"h2"]).expect("client");
    assert!(handshake(client, server).is_err());
}

#[test]
fn new_trust_and_a_new_identity_count_from_the_next_connection_on() {
    let (old, new) = (Ca::root("example.org"), Ca::root("example.org"));
    let (publish_trust, trust) = watch::channel(Arc::new(Trust::new([&old.bundle("example.org")])));
    let issued = old.leaf(DB);
    let before = Identity::new(vec![issued.der], &issued.key).expect("identity");
    let (publish_identity, own) = watch::channel(Some(Arc::new(before)));
    let client = client_config(None, trust.clone(), Expect::AnyTrusted, &[]).expect("client");
    let server = server_config(own, trust, Clients::Optional, &[]).expect("server");
    assert!(handshake(Arc::clone(&client), Arc::clone(&server)).is_ok());

    publish_trust.send_replace(Arc::new(Trust::new([&new.bundle("example.org")])));
    assert!(handshake(Arc::clone(&client), Arc::clone(&server)).is_err());

    let issued = new.leaf(DB);
    let after = Identity::new(vec![issued.der], &issued.key).expect("identity");
    publish_identity.send_replace(Some(Arc::new(after)));
    assert!(handshake(Arc::clone(&client), Arc::clone(&server)).is_ok());

    publish_identity.send_replace(None);
    assert!(handshake(client, server).is_err());
}

#[test]
fn the_insecure_bootstrap_asks_for_the_name_only() {
    let root = Ca::root("example.org");
    let (_, server) = pair(&root, Expect::AnyTrusted, Clients::Optional);
    let client = bootstrap_client_config_insecure(id(DB), &[b"h2"]).expect("client");
    assert!(handshake(client, Arc::clone(&server)).is_ok());
    let client = bootstrap_client_config_insecure(id(WEB), &[b"h2"]).expect("client");
    assert!(handshake(client, server).is_err());
}

#[test]
fn an_expired_server_is_refused_as_expired() {
    let root = Ca::root("example.org");
    let stale = root.leaf_with(DB, |params| params.not_after = date_time_ymd(2021, 1, 1));
    let trust = trust([&root.bundle("example.org")]);
    let server = server_config(identity(stale), trust.clone(), Clients::Optional, &[]);
    let client = client_config(None, trust, Expect::AnyTrusted, &[]).expect("client");
    let error = handshake(client, server.expect("server"))
        .err()
        .expect("refused");
    assert_eq!(
        error,
        rustls::Error::InvalidCertificate(CertificateError::Expired)
    );
}

#[test]
fn an_identity_is_a_leaf_its_intermediates_and_its_own_key() {
    let root = Ca::root("example.org");
    let Issued { der, key } = root.leaf(WEB);
    let middle = root.intermediate(|_params| {});
    let identity = Identity::new(vec![der.clone(), middle.der], &key).expect("identity");
    assert_eq!(identity.id(), &id(WEB));
    assert_eq!(identity.chain().len(), 2);

    let refusal = |chain, key: &PrivateKey| Identity::new(chain, key).err();
    assert_eq!(refusal(Vec::new(), &key), Some(IdentityError::EmptyChain));
    let stranger = PrivateKey::generate(KeyType::EcP256).expect("key");
    assert_eq!(
        refusal(vec![der.clone()], &stranger),
        Some(IdentityError::KeyMismatch)
    );
    let authority = refusal(vec![root.der.clone()], &key);
    assert_eq!(
        authority,
        Some(IdentityError::Leaf(ProfileError::IsAuthority))
    );
    let twice = refusal(vec![der.clone(), der], &key);
    assert!(matches!(
        twice,
        Some(IdentityError::Intermediate { number: 2, .. })
    ));
}
