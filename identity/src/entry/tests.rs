//! Entries through messages, and the rules for new ones.

use std::time::Duration;

use proptest::prelude::*;
use signet_proto::spire::api::types;

use super::*;
use crate::{
    id::to_proto,
    testing::{domain, id, now},
};

fn message() -> types::Entry {
    types::Entry {
        id: "entry-1".to_owned(),
        spiffe_id: Some(to_proto(&id("spiffe://example.org/web"))),
        parent_id: Some(to_proto(&id("spiffe://example.org/spire/agent/x"))),
        selectors: vec![selector("unix", "uid:1000"), selector("unix", "gid:1000")],
        x509_svid_ttl: 60,
        federates_with: vec!["other.org".to_owned()],
        admin: true,
        downstream: true,
        expires_at: 1_900_000_000,
        dns_names: vec!["web".to_owned(), "*.web.example.org".to_owned()],
        revision_number: 3,
        store_svid: false,
        jwt_svid_ttl: 30,
        hint: "internal".to_owned(),
        created_at: 1_700_000_000,
        additional_attributes: Some(types::entry::AdditionalAttributes {
            disable_x509_svid_prefetch: true,
            jwt_svid_include_jti: false,
        }),
    }
}

fn selector(kind: &str, value: &str) -> types::Selector {
    types::Selector {
        r#type: kind.to_owned(),
        value: value.to_owned(),
    }
}

fn draft(change: impl FnOnce(&mut types::Entry)) -> Result<Draft, EntryError> {
    let mut entry = message();
    change(&mut entry);
    Draft::from_proto(&entry, &domain("example.org"))
}

fn refusal(change: impl FnOnce(&mut types::Entry)) -> String {
    draft(change).expect_err("refused").to_string()
}

#[test]
fn an_entry_survives_the_message() {
    let entry = Entry::from_proto(&message()).expect("entry");
    assert_eq!(Entry::from_proto(&entry.to_proto(None)), Ok(entry.clone()));
    let mut expected = message();
    expected.selectors.sort_by(|a, b| a.value.cmp(&b.value));
    assert_eq!(entry.to_proto(None), expected);
}

#[test]
fn an_empty_mask_leaves_the_id_only() {
    let entry = Entry::from_proto(&message()).expect("entry");
    let only = types::Entry {
        id: "entry-1".to_owned(),
        ..types::Entry::default()
    };
    assert_eq!(entry.to_proto(Some(&types::EntryMask::default())), only);
}

#[test]
fn a_change_takes_only_what_its_mask_names() {
    let entry = Entry::from_proto(&message()).expect("entry");
    let change = types::Entry {
        hint: "new".to_owned(),
        admin: false,
        ..types::Entry::default()
    };
    let mask = types::EntryMask {
        hint: true,
        ..types::EntryMask::default()
    };
    let merged = entry.merged(&change, Some(&mask));
    assert_eq!(
        merged,
        types::Entry {
            hint: "new".to_owned(),
            ..entry.to_proto(None)
        }
    );

    let draft = Draft::from_proto(&merged, &domain("example.org")).expect("draft");
    let next = draft.replacing(&entry);
    assert_eq!(
        next,
        Entry {
            hint: "new".to_owned(),
            revision: 4,
            ..entry
        }
    );
}

#[test]
fn a_draft_becomes_an_entry() {
    let draft = draft(|entry| {
        entry.id.clear();
        entry.dns_names.push("web".to_owned());
        entry.federates_with.push("spiffe://other.org".to_owned());
    });
    let draft = draft.expect("draft");
    assert_eq!(draft.id, None);
    let entry = draft.into_entry("new".parse().expect("id"), now());
    assert_eq!((entry.revision, entry.created_at), (0, now()));
    assert_eq!(entry.x509_svid_ttl, Some(Duration::from_secs(60)));
    assert_eq!(entry.dns_names, ["web", "*.web.example.org"]);
    assert_eq!(entry.federates_with, [domain("other.org")]);
}

#[test]
fn ids_have_to_be_members_with_a_path() {
    let foreign = refusal(|entry| entry.spiffe_id = Some(to_proto(&id("spiffe://other.org/x"))));
    assert!(foreign.contains(
        r#"invalid spiffe ID: "spiffe://other.org/x" is not a member of trust domain "example.org""#
    ));
    let foreign = refusal(|entry| entry.parent_id = Some(to_proto(&id("spiffe://other.org/x"))));
    assert!(foreign.starts_with("invalid parent ID"));
    let bare = refusal(|entry| entry.spiffe_id = Some(to_proto(&id("spiffe://example.org"))));
    assert!(bare.contains("has no path"), "{bare}");
    let missing = refusal(|entry| entry.parent_id = None);
    assert!(missing.contains("a SPIFFE ID is required"), "{missing}");
}

#[test]
fn the_namespace_of_servers_and_agents_is_reserved_for_them() {
    for path in ["/spire", "/spire/server", "/spire/agent/x"] {
        let id = id(&format!("spiffe://example.org{path}"));
        let error = draft(|entry| entry.spiffe_id = Some(to_proto(&id))).expect_err("refused");
        assert_eq!(error, EntryError::Reserved(id.to_string()));
    }
    let near = id("spiffe://example.org/spirex");
    assert!(draft(|entry| entry.spiffe_id = Some(to_proto(&near))).is_ok());
    let alias = id("spiffe://example.org/spire/server");
    assert!(draft(|entry| entry.parent_id = Some(to_proto(&alias))).is_ok());
}

#[test]
fn malformed_fields_are_refused_by_name() {
    assert!(refusal(|entry| entry.selectors.clear()).contains("selector list is empty"));
    assert!(
        refusal(|entry| entry.selectors.push(selector("", "x"))).contains("missing selector type")
    );
    assert!(refusal(|entry| entry.selectors.push(selector("a:b", "x"))).contains("contains ':'"));
    assert!(
        refusal(|entry| entry.selectors.push(selector("a", ""))).contains("missing selector value")
    );
    assert!(refusal(|entry| entry.x509_svid_ttl = -1).contains("X509-SVID TTL"));
    assert!(refusal(|entry| entry.jwt_svid_ttl = -1).contains("JWT-SVID TTL"));
    assert!(refusal(|entry| entry.expires_at = -1).contains("invalid expiry"));
    assert!(refusal(|entry| entry.id = "a b".to_owned()).contains("invalid characters"));
    assert!(
        refusal(|entry| entry.dns_names = vec!["a..b".to_owned()]).contains("invalid DNS name")
    );
    let federated = refusal(|entry| entry.federates_with = vec!["Other.org".to_owned()]);
    assert!(
        federated.contains("invalid federated trust domain"),
        "{federated}"
    );
}

#[test]
fn a_hint_has_at_most_1024_bytes() {
    assert!(draft(|entry| entry.hint = "\u{fc}".repeat(512)).is_ok());
    assert!(refusal(|entry| entry.hint = "a".repeat(1025)).contains("1025"));
    assert!(refusal(|entry| entry.hint = "\u{fc}".repeat(513)).contains("1026"));
}

#[test]
fn a_stored_svid_has_selectors_of_one_type_and_is_made_ahead() {
    let stored = |entry: &mut types::Entry| {
        entry.store_svid = true;
        entry.additional_attributes = None;
    };
    assert!(draft(stored).is_ok());
    let mixed = draft(|entry| {
        stored(entry);
        entry.selectors.push(selector("docker", "x"));
    });
    assert_eq!(
        mixed,
        Err(EntryError::MixedStores(
            "docker".to_owned(),
            "unix".to_owned()
        ))
    );
    let late = draft(|entry| entry.store_svid = true);
    assert_eq!(late, Err(EntryError::StoreWithoutPrefetch));
}

#[test]
fn entry_ids_are_checked() {
    assert!("0f2a.B_c-1".parse::<EntryId>().is_ok());
    assert!("a".repeat(255).parse::<EntryId>().is_ok());
    assert_eq!("".parse::<EntryId>(), Err(EntryIdError::Missing));
    assert_eq!(
        "a".repeat(256).parse::<EntryId>(),
        Err(EntryIdError::TooLong(256))
    );
    for bad in ["a b", "a/b", "\u{fc}", "a\n"] {
        assert!(matches!(
            bad.parse::<EntryId>(),
            Err(EntryIdError::Characters(_))
        ));
    }
}

proptest! {
    #[test]
    fn no_message_makes_reading_panic_and_what_is_read_comes_back(
        name in "[a-z:./*-]{0,12}", path in "[/a-zA-Z.]{0,12}", number in any::<i64>(), ttl in any::<i32>()
    ) {
        let mut entry = message();
        entry.spiffe_id = Some(types::Spiffeid { trust_domain: name.clone(), path });
        entry.dns_names = vec![name];
        entry.expires_at = number;
        entry.created_at = number;
        entry.x509_svid_ttl = ttl;
        if let Ok(read) = Entry::from_proto(&entry) {
            prop_assert_eq!(Entry::from_proto(&read.to_proto(None)), Ok(read));
        }
        let _ = Draft::from_proto(&entry, &domain("example.org"));
    }
}
