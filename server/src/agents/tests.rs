//! Agents over a real store and a real authority.

use std::time::Duration;

use signet_identity::key::{KeyType, PrivateKey};

use super::*;
use crate::{
    attest::{Attested, Reattest, TokenError, UsedToken},
    ca::{CaSubject, JwtSvids, KeyManager, Lifetimes, Rotation, RotationSettings},
    directory::testing::{TestDirectory, agent, entry, id, now, selectors, trust_domain},
    registration::{How, Match},
    store::TokenHash,
};

const HOUR: Duration = Duration::from_secs(3600);

async fn agents() -> (TestDirectory, Agents) {
    let test = TestDirectory::new().await;
    let settings = RotationSettings {
        trust_domain: trust_domain(),
        ca_ttl: HOUR * 24,
        ca_key_type: KeyType::EcP256,
        jwt_key_type: KeyType::EcP256,
        jwt_svids: JwtSvids::Disabled,
        ca_subject: CaSubject::default(),
        jwt_issuer: None,
        lifetimes: Lifetimes {
            x509_svid: HOUR,
            jwt_svid: HOUR,
            agent: HOUR,
            downstream_ca: HOUR,
        },
    };
    let (store, directory) = (test.store.store.clone(), test.directory.clone());
    let keys = KeyManager::memory();
    let started = Rotation::start(settings, keys, store.clone(), directory.clone(), now());
    let (_, ca) = started.await.unwrap();
    (test, Agents::new(ca, store, directory))
}

/// A node that has attested, by this token or in a way that it can repeat.
fn attested(path: &str, token: Option<&str>, alias: Option<&str>) -> Attested {
    Attested {
        agent_id: id(path),
        kind: "test",
        selectors: selectors(&["a:1"]),
        again: match token {
            Some(_) => Reattest::Impossible,
            None => Reattest::Possible,
        },
        token: token.map(|token| UsedToken {
            hash: TokenHash::of(token),
            alias: alias.map(id),
        }),
    }
}

fn key() -> Vec<u8> {
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    key.spki_der().to_vec()
}

fn new_token(value: &str) -> NewToken {
    NewToken {
        value: Some(value.to_owned()),
        ttl: HOUR,
        alias: None,
    }
}

#[tokio::test]
async fn an_admitted_agent_is_known_at_once_and_sees_what_is_below_its_alias() {
    let (test, agents) = agents().await;
    let below = entry("e", "/cluster", "/w");
    let written = test.store.store.create_entry(below).await.unwrap();
    test.directory.seen(written).await;
    agents.create_token(new_token("t"), now()).await.unwrap();
    let node = attested("/spire/agent/x", Some("t"), Some("/cluster"));
    let svid = agents.admit(node, key(), now()).await.unwrap();
    let x = agents.get(&id("/spire/agent/x")).unwrap();
    assert_eq!(
        (&x.serial, x.can_reattest),
        (&svid.serial.to_string(), false)
    );
    let seen = test.directory.authorized_entries(&x.id, now());
    assert!(
        seen.iter().any(|entry| entry.id.as_str() == "e"),
        "{seen:?}"
    );
}

#[tokio::test]
async fn a_banned_agent_is_not_admitted_and_its_token_stays() {
    let (_test, agents) = agents().await;
    let x = id("/spire/agent/x");
    agents.create_token(new_token("t"), now()).await.unwrap();
    let node = attested("/spire/agent/x", None, None);
    agents.admit(node, key(), now()).await.unwrap();
    agents.ban(&x).await.unwrap();
    let node = attested("/spire/agent/x", Some("t"), None);
    let refused = agents.admit(node.clone(), key(), now()).await.unwrap_err();
    assert!(matches!(refused, AdmitError::Banned), "{refused}");
    agents.evict(&x).await.unwrap();
    agents.admit(node.clone(), key(), now()).await.unwrap();
    let again = agents.admit(node, key(), now()).await.unwrap_err();
    let spent = matches!(again, AdmitError::Token(TokenError::UnknownOrUsed));
    assert!(spent, "{again}");
}

#[tokio::test]
async fn a_renewed_svid_is_the_current_one_once_it_was_used() {
    let (_test, agents) = agents().await;
    let x = id("/spire/agent/x");
    agents.create_token(new_token("t"), now()).await.unwrap();
    let node = attested("/spire/agent/x", Some("t"), None);
    let first = agents.admit(node, key(), now()).await.unwrap().serial;
    let next = agents.renew(&x, key(), now()).await.unwrap().serial;
    assert_eq!(agents.get(&x).unwrap().serial, first.to_string());
    agents.promote(x.clone(), next.to_string()).await.unwrap();
    assert_eq!(agents.get(&x).unwrap().serial, next.to_string());
}

#[tokio::test]
async fn who_is_unknown_banned_or_able_to_attest_again_is_not_renewed() {
    let (test, agents) = agents().await;
    let x = id("/spire/agent/x");
    let unknown = agents.renew(&x, key(), now()).await.unwrap_err();
    assert!(matches!(unknown, RenewError::NotAttested), "{unknown}");
    test.attest(agent("/spire/agent/x", &[])).await;
    let able = agents.renew(&x, key(), now()).await.unwrap_err();
    assert!(matches!(able, RenewError::MustReattest), "{able}");
    let mut bound = agent("/spire/agent/y", &[]);
    bound.can_reattest = false;
    let y = bound.id.clone();
    test.attest(bound).await;
    agents.ban(&y).await.unwrap();
    let banned = agents.renew(&y, key(), now()).await.unwrap_err();
    assert!(matches!(banned, RenewError::NotAttested), "{banned}");
}

#[tokio::test]
async fn who_is_not_there_is_neither_banned_nor_evicted() {
    let (_test, agents) = agents().await;
    let nobody = id("/spire/agent/nobody");
    for refused in [agents.ban(&nobody).await, agents.evict(&nobody).await] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, AgentsError::NotFound), "{refused}");
    }
}

#[tokio::test]
async fn a_token_is_made_once_and_only_if_it_can_be_part_of_an_id() {
    let (_test, agents) = agents().await;
    for value in ["a/b", "a b", ""] {
        let refused = agents.create_token(new_token(value), now()).await;
        assert!(
            matches!(refused, Err(CreateTokenError::Unusable)),
            "{value}"
        );
    }
    let endless = NewToken {
        ttl: Duration::MAX,
        ..new_token("t")
    };
    let refused = agents.create_token(endless, now()).await;
    assert!(matches!(refused, Err(CreateTokenError::Endless)));
    let made = agents.create_token(new_token("t"), now()).await.unwrap();
    assert_eq!((made.value.as_str(), made.expires_at), ("t", now() + HOUR));
    let twice = agents.create_token(new_token("t"), now()).await;
    assert!(matches!(twice, Err(CreateTokenError::Exists)));
}

#[tokio::test]
async fn a_list_of_agents_goes_on_where_it_ended() {
    let (test, agents) = agents().await;
    for name in ["a", "b", "c"] {
        test.attest(agent(&format!("/spire/agent/{name}"), &["t:1"]))
            .await;
    }
    test.attest(agent("/spire/agent/d", &[])).await;
    let filter = Filter {
        selectors: Some(Match {
            set: selectors(&["t:1"]),
            how: How::Exact,
        }),
        ..Filter::default()
    };
    assert_eq!(
        (agents.count(&filter), agents.count(&Filter::default())),
        (3, 4)
    );
    let page = agents.list(&filter, None, 2);
    let rest = agents.list(&filter, Some(&page[1].id), 2);
    let ids: Vec<_> = page
        .iter()
        .chain(&rest)
        .map(|agent| agent.id.path())
        .collect();
    assert_eq!(ids, ["/spire/agent/a", "/spire/agent/b", "/spire/agent/c"]);
}
