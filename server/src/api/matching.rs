//! Sets of selectors that entries or agents are to match.

use signet_identity::selector::Selectors;
use signet_proto::spire::api::types::{SelectorMatch, selector_match::MatchBehavior};
use tonic::Status;

use super::status::invalid;
use crate::registration::{How, Match};

/// Reads such a set; `refused` is how a refusal begins. An empty set matches nothing anybody
/// means.
pub(crate) fn selectors(
    wanted: &SelectorMatch,
    refused: &'static str,
) -> Result<Match<Selectors>, Status> {
    let refused = |what: String| invalid(format!("{refused}: {what}"));
    let set =
        Selectors::from_proto(&wanted.selectors).map_err(|error| refused(error.to_string()))?;
    if set.is_empty() {
        return Err(refused("empty selector set".to_owned()));
    }
    let how = match MatchBehavior::try_from(wanted.r#match) {
        Ok(MatchBehavior::MatchExact) => How::Exact,
        Ok(MatchBehavior::MatchSubset) => How::Subset,
        Ok(MatchBehavior::MatchSuperset) => How::Superset,
        Ok(MatchBehavior::MatchAny) => How::Any,
        Err(unknown) => return Err(refused(unknown.to_string())),
    };
    Ok(Match { set, how })
}

#[cfg(test)]
mod tests {
    use signet_proto::spire::api::types::Selector;
    use tonic::Code;

    use super::*;

    fn wanted(values: &[&str], behavior: i32) -> SelectorMatch {
        let selectors = values.iter().map(|value| Selector {
            r#type: "unix".to_owned(),
            value: (*value).to_owned(),
        });
        SelectorMatch {
            selectors: selectors.collect(),
            r#match: behavior,
        }
    }

    #[test]
    fn a_set_is_read_with_how_it_is_to_match() {
        for (behavior, how) in [
            (MatchBehavior::MatchExact, How::Exact),
            (MatchBehavior::MatchSubset, How::Subset),
            (MatchBehavior::MatchSuperset, How::Superset),
            (MatchBehavior::MatchAny, How::Any),
        ] {
            let read = selectors(&wanted(&["uid:1"], behavior.into()), "refused").unwrap();
            assert_eq!((read.set.iter().count(), read.how), (1, how));
        }
    }

    #[test]
    fn an_empty_set_and_an_unknown_behavior_are_refused() {
        for (values, behavior) in [(&[][..], 0), (&["uid:1"], 17)] {
            let refused = selectors(&wanted(values, behavior), "bad filter").unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
            assert!(refused.message().starts_with("bad filter: "), "{refused}");
        }
    }
}
