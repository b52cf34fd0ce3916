//! The flags that describe one entry, for `create` and `update`.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use signet_proto::spire::api::types::{Entry, Spiffeid, entry::AdditionalAttributes};

use crate::server::parse;

/// The fields of an entry.
#[derive(Debug, clap::Args)]
pub(super) struct Fields {
    /// The entry's ID; when creating, a new one is made if it is not set
    #[arg(long, alias = "entryID", value_name = "ID")]
    pub(super) entry_id: Option<String>,

    /// The SPIFFE ID of this record's parent
    #[arg(long, alias = "parentID", value_name = "SPIFFE_ID")]
    pub(super) parent_id: Option<String>,

    /// The SPIFFE ID that this record represents
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    pub(super) spiffe_id: Option<String>,

    /// The lifetime, in seconds, of X509-SVIDs issued from this entry
    #[arg(
        long,
        alias = "x509SVIDTTL",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    x509_svid_ttl: i64,

    /// The lifetime, in seconds, of JWT-SVIDs issued from this entry
    #[arg(
        long,
        alias = "jwtSVIDTTL",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    jwt_svid_ttl: i64,

    /// A colon-delimited type:value selector; can be used more than once
    #[arg(long = "selector", value_name = "TYPE:VALUE")]
    pub(super) selectors: Vec<String>,

    /// A trust domain to federate with; can be used more than once
    #[arg(long, alias = "federatesWith", value_name = "TRUST_DOMAIN")]
    pub(super) federates_with: Vec<String>,

    /// A DNS name for SVIDs issued from this entry; can be used more than once
    #[arg(long = "dns", value_name = "NAME")]
    dns_names: Vec<String>,

    /// When the entry is to be pruned, in seconds since 1970
    #[arg(
        long,
        alias = "entryExpiry",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    entry_expiry: i64,

    /// Tells workloads which of several identities this one is
    #[arg(long)]
    hint: Option<String>,

    #[command(flatten)]
    rights: Rights,

    #[command(flatten)]
    pub(super) attributes: Attributes,

    /// A file of entries as JSON, or - for standard input; other flags are then ignored
    #[arg(long, value_name = "FILE")]
    pub(super) data: Option<PathBuf>,
}

/// What an identity is allowed, and where it goes.
#[derive(Debug, clap::Args)]
struct Rights {
    /// Grants the SPIFFE ID access to the server's management APIs
    #[arg(long)]
    admin: bool,

    /// The entry describes a downstream server
    #[arg(long)]
    downstream: bool,

    /// The SVID is to be stored through an SVIDStore plugin
    #[arg(long, alias = "storeSVID")]
    store_svid: bool,
}

/// The attributes that an update keeps when it does not name them.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Attributes {
    /// Agents do not fetch X509-SVIDs for this entry ahead of demand
    #[arg(
        long,
        alias = "disableX509SVIDPrefetch",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    disable_x509_svid_prefetch: Option<bool>,

    /// JWT-SVIDs for this entry have a "jti" claim and are not cached
    #[arg(
        long,
        alias = "jwtSVIDIncludeJTI",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    jwt_svid_include_jti: Option<bool>,
}

impl Fields {
    /// Refuses what can be refused without a server.
    pub(super) fn check_lifetimes(&self) -> anyhow::Result<()> {
        ensure!(
            self.x509_svid_ttl >= 0,
            "a positive x509-SVID TTL is required"
        );
        ensure!(
            self.jwt_svid_ttl >= 0,
            "a positive JWT-SVID TTL is required"
        );
        Ok(())
    }

    /// The entry that the flags describe.
    pub(super) fn entry(&self, spiffe_id: Spiffeid, parent_id: Spiffeid) -> anyhow::Result<Entry> {
        let x509_svid_ttl =
            i32::try_from(self.x509_svid_ttl).context("invalid value for X509 SVID TTL")?;
        let jwt_svid_ttl =
            i32::try_from(self.jwt_svid_ttl).context("invalid value for JWT SVID TTL")?;
        Ok(Entry {
            id: self.entry_id.clone().unwrap_or_default(),
            spiffe_id: Some(spiffe_id),
            parent_id: Some(parent_id),
            selectors: parse::selectors(&self.selectors)?,
            x509_svid_ttl,
            federates_with: self.federates_with.clone(),
            admin: self.rights.admin,
            downstream: self.rights.downstream,
            expires_at: self.entry_expiry,
            dns_names: self.dns_names.clone(),
            revision_number: 0,
            store_svid: self.rights.store_svid,
            jwt_svid_ttl,
            hint: self.hint.clone().unwrap_or_default(),
            created_at: 0,
            additional_attributes: self.attributes.over(None),
        })
    }
}

impl Attributes {
    /// True when one of them was on the command line.
    pub(super) fn are_given(self) -> bool {
        self.disable_x509_svid_prefetch.is_some() || self.jwt_svid_include_jti.is_some()
    }

    /// What was given, over what there was.
    pub(super) fn over(
        self,
        existing: Option<AdditionalAttributes>,
    ) -> Option<AdditionalAttributes> {
        if !self.are_given() {
            return existing;
        }
        let existing = existing.unwrap_or_default();
        Some(AdditionalAttributes {
            disable_x509_svid_prefetch: self
                .disable_x509_svid_prefetch
                .unwrap_or(existing.disable_x509_svid_prefetch),
            jwt_svid_include_jti: self
                .jwt_svid_include_jti
                .unwrap_or(existing.jwt_svid_include_jti),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_that_was_not_named_stays() {
        let given = Attributes {
            disable_x509_svid_prefetch: None,
            jwt_svid_include_jti: Some(false),
        };
        let existing = AdditionalAttributes {
            disable_x509_svid_prefetch: true,
            jwt_svid_include_jti: true,
        };
        let expected = AdditionalAttributes {
            disable_x509_svid_prefetch: true,
            jwt_svid_include_jti: false,
        };
        assert_eq!(given.over(Some(existing)), Some(expected));
    }

    #[test]
    fn attributes_that_nobody_named_are_absent() {
        let none = Attributes {
            disable_x509_svid_prefetch: None,
            jwt_svid_include_jti: None,
        };
        assert_eq!(none.over(None), None);
    }
}
