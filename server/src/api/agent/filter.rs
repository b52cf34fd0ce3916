//! Which agents an administrator asks for.

use std::time::SystemTime;

use signet_identity::selector::Selectors;
use signet_proto::spire::api::{
    server::agent::v1::{count_agents_request, list_agents_request},
    types::{self, selector_match::MatchBehavior},
};
use time::{
    OffsetDateTime, format_description::StaticFormatDescription, macros::format_description,
};
use tonic::Status;

use crate::{api::status::invalid, store::Agent};

/// The filter of ListAgents and of CountAgents, checked. What is `None` is not asked for.
#[derive(Debug, Default)]
pub(super) struct Filter {
    attestation_type: Option<String>,
    selectors: Option<(Selectors, MatchBehavior)>,
    banned: Option<bool>,
    can_reattest: Option<bool>,
    expires_before: Option<SystemTime>,
}

impl Filter {
    pub(super) fn of_list(filter: Option<list_agents_request::Filter>) -> Result<Self, Status> {
        let filter = filter.unwrap_or_default();
        Ok(Self {
            attestation_type: Some(filter.by_attestation_type).filter(|kind| !kind.is_empty()),
            selectors: filter.by_selector_match.map(selectors).transpose()?,
            banned: filter.by_banned,
            can_reattest: filter.by_can_reattest,
            expires_before: expires_before(&filter.by_expires_before)?,
        })
    }

    pub(super) fn of_count(filter: Option<count_agents_request::Filter>) -> Result<Self, Status> {
        Self::of_list(filter.map(|filter| list_agents_request::Filter {
            by_attestation_type: filter.by_attestation_type,
            by_selector_match: filter.by_selector_match,
            by_banned: filter.by_banned,
            by_can_reattest: filter.by_can_reattest,
            by_expires_before: filter.by_expires_before,
        }))
    }

    pub(super) fn accepts(&self, agent: &Agent) -> bool {
        let kind = self.attestation_type.as_ref();
        kind.is_none_or(|kind| *kind == agent.attestation_type)
            && self.banned.is_none_or(|banned| banned == agent.banned)
            && self
                .can_reattest
                .is_none_or(|can| can == agent.can_reattest)
            && self
                .expires_before
                .is_none_or(|before| agent.not_after < before)
            && self.accepts_selectors(&agent.selectors)
    }

    fn accepts_selectors(&self, has: &Selectors) -> bool {
        let Some((given, behavior)) = &self.selectors else {
            return true;
        };
        match behavior {
            MatchBehavior::MatchExact => has == given,
            MatchBehavior::MatchSubset => has.is_subset_of(given),
            MatchBehavior::MatchSuperset => given.is_subset_of(has),
            MatchBehavior::MatchAny => has.intersects(given),
        }
    }
}

fn selectors(asked: types::SelectorMatch) -> Result<(Selectors, MatchBehavior), Status> {
    let refused = |what: String| invalid(format!("failed to parse selectors: {what}"));
    if asked.selectors.is_empty() {
        return Err(refused("empty selector set".to_owned()));
    }
    let behavior = MatchBehavior::try_from(asked.r#match)
        .map_err(|_unknown| refused(format!("unknown match behavior {}", asked.r#match)))?;
    let selectors =
        Selectors::from_proto(&asked.selectors).map_err(|error| refused(error.to_string()))?;
    Ok((selectors, behavior))
}

/// A time that cannot be read must not be taken for no filter: this stands in front of tools
/// that delete what is listed.
fn expires_before(text: &str) -> Result<Option<SystemTime>, Status> {
    if text.is_empty() {
        return Ok(None);
    }
    // The zone's name at the end says nothing that the offset does not.
    let without_name = text.rsplit_once(' ').map_or(text, |(rest, _)| rest);
    let parsed = OffsetDateTime::parse(without_name, LAYOUT)
        .or_else(|_| OffsetDateTime::parse(text, LAYOUT));
    match parsed {
        Ok(time) => Ok(Some(time.into())),
        Err(error) => Err(invalid(format!(
            "by_expires_before {text:?} is not a time such as \"2006-01-02 15:04:05 -0700 -07\": {error}"
        ))),
    }
}

const LAYOUT: StaticFormatDescription = format_description!(
    "[year]-[month]-[day] [hour]:[minute]:[second] [offset_hour sign:mandatory][offset_minute]"
);

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use signet_identity::SpiffeId;

    use super::*;

    fn agent(selectors: &[&str]) -> Agent {
        let selectors = selectors.iter().map(|text| text.parse().unwrap());
        Agent {
            id: SpiffeId::new("spiffe://example.org/spire/agent/x").unwrap(),
            attestation_type: "x509pop".to_owned(),
            serial: "1".to_owned(),
            not_after: UNIX_EPOCH + Duration::from_secs(1_136_239_445),
            renewed: None,
            selectors: selectors.collect(),
            can_reattest: true,
            version: String::new(),
            banned: false,
        }
    }

    fn by_selectors(texts: &[&str], behavior: MatchBehavior) -> list_agents_request::Filter {
        let selectors = texts.iter().map(|text| {
            let (kind, value) = text.split_once(':').unwrap();
            types::Selector {
                r#type: kind.to_owned(),
                value: value.to_owned(),
            }
        });
        list_agents_request::Filter {
            by_selector_match: Some(types::SelectorMatch {
                selectors: selectors.collect(),
                r#match: behavior.into(),
            }),
            ..Default::default()
        }
    }

    #[test]
    fn selectors_match_as_exact_subset_superset_or_any() {
        use MatchBehavior::{MatchAny, MatchExact, MatchSubset, MatchSuperset};
        for (given, behavior, wanted) in [
            (&["a:1", "b:2"][..], MatchExact, true),
            (&["a:1"], MatchExact, false),
            (&["a:1", "b:2", "c:3"], MatchSubset, true),
            (&["a:1"], MatchSubset, false),
            (&["a:1"], MatchSuperset, true),
            (&["c:3"], MatchSuperset, false),
            (&["c:3", "a:1"], MatchAny, true),
            (&["c:3"], MatchAny, false),
        ] {
            let filter = Filter::of_list(Some(by_selectors(given, behavior))).unwrap();
            let accepted = filter.accepts(&agent(&["a:1", "b:2"]));
            assert_eq!(accepted, wanted, "{given:?} {behavior:?}");
        }
    }

    #[test]
    fn an_empty_selector_set_is_refused() {
        let filter = by_selectors(&[], MatchBehavior::MatchAny);
        let status = Filter::of_list(Some(filter)).unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
    }

    #[test]
    fn times_are_read_in_the_layout_of_the_command_line() {
        for (text, seconds) in [
            ("2006-01-02 15:04:05 -0700 -07", 1_136_239_445),
            ("2006-01-02 22:04:05 +0000 UTC", 1_136_239_445),
            ("2006-01-02 22:04:05 +0000", 1_136_239_445),
        ] {
            let read = expires_before(text).unwrap();
            assert_eq!(
                read,
                Some(UNIX_EPOCH + Duration::from_secs(seconds)),
                "{text}"
            );
        }
        for text in ["tomorrow", "2006-01-02", "2006-13-02 15:04:05 -0700 -07"] {
            let status = expires_before(text).unwrap_err();
            assert_eq!(status.code(), tonic::Code::InvalidArgument, "{text}");
        }
    }

    #[test]
    fn both_values_of_banned_and_can_reattest_filter() {
        for wanted in [true, false] {
            let filter = Filter::of_list(Some(list_agents_request::Filter {
                by_banned: Some(wanted),
                ..Default::default()
            }));
            assert_eq!(filter.unwrap().accepts(&agent(&[])), !wanted);
            let filter = Filter::of_list(Some(list_agents_request::Filter {
                by_can_reattest: Some(wanted),
                ..Default::default()
            }));
            assert_eq!(filter.unwrap().accepts(&agent(&[])), wanted);
        }
    }
}
