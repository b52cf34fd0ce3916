//! Files of entries: the JSON that people keep beside their deployments, in the older form
//! where SPIFFE IDs are strings.

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use signet_identity::id;
use signet_proto::spire::api::types::{self, entry::AdditionalAttributes};

use crate::{files, server::parse};

/// The entries in the file at `path`, or on standard input for `-`.
pub(super) fn read_entries(path: &Path) -> anyhow::Result<Vec<types::Entry>> {
    let text = files::read_text(path)?;
    entries(&text).with_context(|| path.display().to_string())
}

/// The IDs in a file of entries to delete.
pub(super) fn read_ids(path: &Path) -> anyhow::Result<Vec<String>> {
    let text = files::read_text(path)?;
    let ids = serde_json::from_str::<Ids>(&text).with_context(|| path.display().to_string())?;
    Ok(ids.ids)
}

fn entries(text: &str) -> anyhow::Result<Vec<types::Entry>> {
    let file = serde_json::from_str::<Entries>(text)?;
    let numbered = file.entries.into_iter().enumerate();
    numbered
        .map(|(index, entry)| {
            entry
                .into_proto()
                .with_context(|| format!("entry {}", index + 1))
        })
        .collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ids {
    #[serde(alias = "Ids", alias = "IDs")]
    ids: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entries {
    #[serde(alias = "Entries")]
    entries: Vec<Entry>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    selectors: Vec<Selector>,
    parent_id: String,
    spiffe_id: String,
    x509_svid_ttl: i32,
    federates_with: Vec<String>,
    entry_id: String,
    admin: bool,
    downstream: bool,
    #[serde(rename = "entryExpiry", alias = "entry_expiry")]
    entry_expiry: i64,
    dns_names: Vec<String>,
    revision_number: i64,
    store_svid: bool,
    jwt_svid_ttl: i32,
    hint: String,
    created_at: i64,
    additional_attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selector {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Attributes {
    disable_x509_svid_prefetch: bool,
    jwt_svid_include_jti: bool,
}

impl Entry {
    fn into_proto(self) -> anyhow::Result<types::Entry> {
        Ok(types::Entry {
            id: self.entry_id,
            spiffe_id: Some(parse::spiffe_id(&self.spiffe_id).context("spiffe_id")?),
            parent_id: Some(parse::spiffe_id(&self.parent_id).context("parent_id")?),
            selectors: self
                .selectors
                .into_iter()
                .map(Selector::into_proto)
                .collect(),
            x509_svid_ttl: self.x509_svid_ttl,
            federates_with: trust_domains(&self.federates_with)?,
            admin: self.admin,
            downstream: self.downstream,
            expires_at: self.entry_expiry,
            dns_names: self.dns_names,
            revision_number: self.revision_number,
            store_svid: self.store_svid,
            jwt_svid_ttl: self.jwt_svid_ttl,
            hint: self.hint,
            created_at: self.created_at,
            additional_attributes: self.additional_attributes.map(Attributes::into_proto),
        })
    }
}

impl Selector {
    fn into_proto(self) -> types::Selector {
        types::Selector {
            r#type: self.kind,
            value: self.value,
        }
    }
}

impl Attributes {
    fn into_proto(self) -> AdditionalAttributes {
        AdditionalAttributes {
            disable_x509_svid_prefetch: self.disable_x509_svid_prefetch,
            jwt_svid_include_jti: self.jwt_svid_include_jti,
        }
    }
}

/// The names of trust domains that may be written as IDs.
fn trust_domains(texts: &[String]) -> anyhow::Result<Vec<String>> {
    let name = |text: &String| {
        let trust_domain = id::parse_trust_domain(text).context("federates_with")?;
        Ok(trust_domain.as_str().to_owned())
    };
    texts.iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_with_string_ids() {
        let text = r#"{"entries":[{
            "selectors":[{"type":"unix","value":"uid:1111"}],
            "spiffe_id":"spiffe://example.org/Blog",
            "parent_id":"spiffe://example.org/spire/agent/join_token/TokenBlog",
            "x509_svid_ttl":200,"admin":true,"entryExpiry":5,
            "federates_with":["spiffe://other.test"],
            "additional_attributes":{"disable_x509_svid_prefetch":true}
        }]}"#;
        let expected = types::Entry {
            spiffe_id: Some(parse::spiffe_id("spiffe://example.org/Blog").unwrap()),
            parent_id: Some(
                parse::spiffe_id("spiffe://example.org/spire/agent/join_token/TokenBlog").unwrap(),
            ),
            selectors: vec![parse::selector("unix:uid:1111").unwrap()],
            x509_svid_ttl: 200,
            admin: true,
            expires_at: 5,
            federates_with: vec!["other.test".to_owned()],
            additional_attributes: Some(AdditionalAttributes {
                disable_x509_svid_prefetch: true,
                jwt_svid_include_jti: false,
            }),
            ..types::Entry::default()
        };
        assert_eq!(entries(text).unwrap(), [expected]);
    }

    #[test]
    fn a_mistake_is_named_with_its_place() {
        let unknown = entries("{\"entries\":[\n{\"ttl\": 5}]}").err().unwrap();
        let message = unknown.to_string();
        assert!(
            message.contains("unknown field `ttl`") && message.contains("line 2"),
            "{message}"
        );
        let text = r#"{"entries":[{"spiffe_id":"x","parent_id":"spiffe://a.test/p"}]}"#;
        let message = format!("{:#}", entries(text).unwrap_err());
        assert!(
            message.starts_with("entry 1: spiffe_id: \"x\" is not a SPIFFE ID"),
            "{message}"
        );
    }

    #[test]
    fn ids_to_delete_have_either_spelling() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ids.json");
        for text in [r#"{"Ids":["a","b"]}"#, r#"{"ids":["a","b"]}"#] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_ids(&path).unwrap(), ["a", "b"]);
        }
    }
}
