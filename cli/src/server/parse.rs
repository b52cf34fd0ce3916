//! Words of the command line as the values that the APIs take.

use anyhow::bail;
use signet_identity::id;
use signet_proto::spire::api::types::{Selector, Spiffeid};

/// A SPIFFE ID as the API writes it.
pub(crate) fn spiffe_id(text: &str) -> anyhow::Result<Spiffeid> {
    Ok(id::to_proto(&id::parse(text)?))
}

/// `flag`'s SPIFFE ID, without which the command cannot run.
pub(crate) fn required_spiffe_id(flag: Option<&str>) -> anyhow::Result<Spiffeid> {
    match given(flag) {
        Some(text) => spiffe_id(text),
        None => bail!("a SPIFFE ID is required"),
    }
}

/// A SPIFFE ID as people write it.
pub(crate) fn id_text(id: Option<&Spiffeid>) -> String {
    id.map_or_else(String::new, |id| {
        format!("spiffe://{}{}", id.trust_domain, id.path)
    })
}

/// `type:value`; the value may hold further colons.
pub(crate) fn selector(text: &str) -> anyhow::Result<Selector> {
    let Some((kind, value)) = text.split_once(':') else {
        bail!("selector \"{text}\" must be formatted as type:value");
    };
    Ok(Selector {
        r#type: kind.to_owned(),
        value: value.to_owned(),
    })
}

/// Several of them.
pub(crate) fn selectors(texts: &[String]) -> anyhow::Result<Vec<Selector>> {
    texts.iter().map(|text| selector(text)).collect()
}

/// A flag's value; an empty one is as good as none.
pub(crate) fn given(flag: Option<&str>) -> Option<&str> {
    flag.filter(|value| !value.is_empty())
}

/// How a filter compares sets, by the words of `-matchSelectorsOn`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Match {
    /// Exactly these.
    Exact,
    /// At least one of these.
    Any,
    /// All of these, and maybe more.
    Superset,
    /// None but these.
    Subset,
}

impl Match {
    /// The number that stands for it in every filter of the API.
    pub(crate) fn number(self) -> i32 {
        match self {
            Self::Exact => 0,
            Self::Subset => 1,
            Self::Superset => 2,
            Self::Any => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use signet_proto::spire::api::types::{federates_with_match, selector_match::MatchBehavior};

    use super::*;

    #[test]
    fn everything_after_the_first_colon_is_the_value() {
        let parsed = selector("unix:uid:1000").unwrap();
        assert_eq!((&*parsed.r#type, &*parsed.value), ("unix", "uid:1000"));
        assert_eq!(
            selector("unix").unwrap_err().to_string(),
            "selector \"unix\" must be formatted as type:value"
        );
    }

    #[test]
    fn an_id_is_checked_and_named() {
        let id = spiffe_id("spiffe://example.org/a/b").unwrap();
        assert_eq!((&*id.trust_domain, &*id.path), ("example.org", "/a/b"));
        assert_eq!(id_text(Some(&id)), "spiffe://example.org/a/b");
        let error = spiffe_id("https://example.org/a").unwrap_err();
        assert!(
            error.to_string().starts_with("\"https://example.org/a\""),
            "{error}"
        );
    }

    #[test]
    fn the_words_for_matching_have_the_numbers_of_both_enums() {
        for (word, selector, federates) in [
            (
                Match::Exact,
                MatchBehavior::MatchExact,
                federates_with_match::MatchBehavior::MatchExact,
            ),
            (
                Match::Any,
                MatchBehavior::MatchAny,
                federates_with_match::MatchBehavior::MatchAny,
            ),
            (
                Match::Superset,
                MatchBehavior::MatchSuperset,
                federates_with_match::MatchBehavior::MatchSuperset,
            ),
            (
                Match::Subset,
                MatchBehavior::MatchSubset,
                federates_with_match::MatchBehavior::MatchSubset,
            ),
        ] {
            assert_eq!(word.number(), i32::from(selector));
            assert_eq!(word.number(), i32::from(federates));
        }
    }
}
