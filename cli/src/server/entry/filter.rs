//! Which entries `show` and `count` mean.

use anyhow::Context as _;
use signet_proto::spire::api::{
    server::entry::v1::{count_entries_request, list_entries_request},
    types::{FederatesWithMatch, SelectorMatch, Spiffeid},
};

use crate::server::parse::{self, Match};

/// The filters, all of which an entry must pass.
#[derive(Debug, clap::Args)]
pub(super) struct Filter {
    /// The parent ID of the entries
    #[arg(long, alias = "parentID", value_name = "SPIFFE_ID")]
    parent_id: Option<String>,

    /// The SPIFFE ID of the entries
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    spiffe_id: Option<String>,

    /// Only entries of downstream servers
    #[arg(long)]
    downstream: bool,

    /// A colon-delimited type:value selector; can be used more than once
    #[arg(long = "selector", value_name = "TYPE:VALUE")]
    selectors: Vec<String>,

    /// A trust domain that entries federate with; can be used more than once
    #[arg(long, alias = "federatesWith", value_name = "TRUST_DOMAIN")]
    federates_with: Vec<String>,

    /// How to compare selectors
    #[arg(
        long,
        alias = "matchSelectorsOn",
        value_enum,
        default_value = "superset"
    )]
    match_selectors_on: Match,

    /// How to compare trust domains
    #[arg(
        long,
        alias = "matchFederatesWithOn",
        value_enum,
        default_value = "superset"
    )]
    match_federates_with_on: Match,

    /// The hint of the entries
    #[arg(long)]
    hint: Option<String>,
}

impl Filter {
    /// True when nothing but an entry's ID can tell which entry is meant.
    pub(super) fn has_identity_fields(&self) -> bool {
        parse::given(self.parent_id.as_deref()).is_some()
            || parse::given(self.spiffe_id.as_deref()).is_some()
            || !self.selectors.is_empty()
    }

    /// For `ListEntries`.
    pub(super) fn to_list(&self) -> anyhow::Result<list_entries_request::Filter> {
        Ok(list_entries_request::Filter {
            by_spiffe_id: id(self.spiffe_id.as_deref(), "SPIFFE ID")?,
            by_parent_id: id(self.parent_id.as_deref(), "parent ID")?,
            by_selectors: self.by_selectors()?,
            by_federates_with: self.by_federates_with(),
            by_hint: self.by_hint(),
            by_downstream: self.downstream.then_some(true),
        })
    }

    /// For `CountEntries`.
    pub(super) fn to_count(&self) -> anyhow::Result<count_entries_request::Filter> {
        let list = self.to_list()?;
        Ok(count_entries_request::Filter {
            by_spiffe_id: list.by_spiffe_id,
            by_parent_id: list.by_parent_id,
            by_selectors: list.by_selectors,
            by_federates_with: list.by_federates_with,
            by_hint: list.by_hint,
            by_downstream: list.by_downstream,
        })
    }

    fn by_selectors(&self) -> anyhow::Result<Option<SelectorMatch>> {
        if self.selectors.is_empty() {
            return Ok(None);
        }
        Ok(Some(SelectorMatch {
            selectors: parse::selectors(&self.selectors).context("error parsing selectors")?,
            r#match: self.match_selectors_on.number(),
        }))
    }

    fn by_federates_with(&self) -> Option<FederatesWithMatch> {
        (!self.federates_with.is_empty()).then(|| FederatesWithMatch {
            trust_domains: self.federates_with.clone(),
            r#match: self.match_federates_with_on.number(),
        })
    }

    fn by_hint(&self) -> Option<String> {
        parse::given(self.hint.as_deref()).map(str::to_owned)
    }
}

fn id(flag: Option<&str>, name: &str) -> anyhow::Result<Option<Spiffeid>> {
    parse::given(flag)
        .map(|text| parse::spiffe_id(text).with_context(|| format!("error parsing {name}")))
        .transpose()
}
