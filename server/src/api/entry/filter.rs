//! The filters of ListEntries and CountEntries.

use signet_identity::{SpiffeId, TrustDomain, id};
use signet_proto::spire::api::{
    server::entry::v1::{count_entries_request, list_entries_request},
    types::{FederatesWithMatch, Spiffeid, federates_with_match},
};
use tonic::Status;

use crate::{
    api::{matching::selectors, status::invalid},
    registration::{Filter, How, Match},
};

/// `own`: the server's trust domain, in which every entry is.
pub(super) fn of_list(
    filter: Option<list_entries_request::Filter>,
    own: &TrustDomain,
) -> Result<Filter, Status> {
    let Some(filter) = filter else {
        return Ok(Filter::default());
    };
    Ok(Filter {
        spiffe_id: spiffe_id("SPIFFE ID", filter.by_spiffe_id.as_ref(), own)?,
        parent_id: spiffe_id("parent ID", filter.by_parent_id.as_ref(), own)?,
        selectors: filter
            .by_selectors
            .as_ref()
            .map(|wanted| selectors(wanted, "malformed selectors filter"))
            .transpose()?,
        federates_with: filter
            .by_federates_with
            .as_ref()
            .map(federates_with)
            .transpose()?,
        hint: filter.by_hint,
        // SPIRE's own command always sends this field, and `false` when nobody asked for it.
        downstream: filter.by_downstream.filter(|only| *only),
    })
}

/// The same fields under another name.
pub(super) fn of_count(
    filter: Option<count_entries_request::Filter>,
    own: &TrustDomain,
) -> Result<Filter, Status> {
    let filter = filter.map(|filter| list_entries_request::Filter {
        by_spiffe_id: filter.by_spiffe_id,
        by_parent_id: filter.by_parent_id,
        by_selectors: filter.by_selectors,
        by_federates_with: filter.by_federates_with,
        by_hint: filter.by_hint,
        by_downstream: filter.by_downstream,
    });
    of_list(filter, own)
}

fn federates_with(wanted: &FederatesWithMatch) -> Result<Match<Names>, Status> {
    let set: Names = wanted
        .trust_domains
        .iter()
        .map(|name| id::parse_trust_domain(name))
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(format!("malformed federates with filter: {error}")))?;
    if set.is_empty() {
        return Err(invalid(
            "malformed federates with filter: empty trust domain set",
        ));
    }
    let how = match federates_with_match::MatchBehavior::try_from(wanted.r#match) {
        Ok(federates_with_match::MatchBehavior::MatchExact) => How::Exact,
        Ok(federates_with_match::MatchBehavior::MatchSubset) => How::Subset,
        Ok(federates_with_match::MatchBehavior::MatchSuperset) => How::Superset,
        Ok(federates_with_match::MatchBehavior::MatchAny) => How::Any,
        Err(unknown) => {
            return Err(invalid(format!(
                "malformed federates with filter: {unknown}"
            )));
        }
    };
    Ok(Match { set, how })
}

fn spiffe_id(
    field: &str,
    given: Option<&Spiffeid>,
    own: &TrustDomain,
) -> Result<Option<SpiffeId>, Status> {
    let Some(given) = given else { return Ok(None) };
    let malformed = |what: String| invalid(format!("malformed {field} filter: {what}"));
    let parsed = id::from_proto(Some(given)).map_err(|error| malformed(error.to_string()))?;
    // It could only ever find nothing, which would hide the mistake.
    if !parsed.is_member_of(own) {
        return Err(malformed(format!("{parsed} is not in trust domain {own}")));
    }
    Ok(Some(parsed))
}

type Names = std::collections::BTreeSet<TrustDomain>;
