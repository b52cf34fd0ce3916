//! Pages of lists. A token names the last item of the page before, so that a list stays whole
//! while items come and go: nothing that is there throughout is missed or seen twice.

use std::str::FromStr;

use tonic::Status;

use super::status::invalid;

/// The page that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Page<K> {
    /// How many items at most.
    pub(crate) size: usize,
    /// The last item of the page before.
    pub(crate) after: Option<K>,
}

impl<K: FromStr> Page<K> {
    /// Reads the two fields that list requests have. Size 0 asks for everything.
    pub(crate) fn parse(size: i32, token: &str) -> Result<Self, Status> {
        let size = match usize::try_from(size) {
            Ok(0) => usize::MAX,
            Ok(size) => size,
            Err(_negative) => return Err(invalid(format!("page size {size} is negative"))),
        };
        let after = match token {
            "" => None,
            token => Some(last(token).ok_or_else(|| {
                invalid(format!(
                    "could not parse page token {token:?}; use the token of the page before"
                ))
            })?),
        };
        Ok(Self { size, after })
    }
}

/// The token for the page after `last`.
pub(crate) fn token(last: &dyn std::fmt::Display) -> String {
    format!("{PREFIX}{last}")
}

fn last<K: FromStr>(token: &str) -> Option<K> {
    token.strip_prefix(PREFIX)?.parse().ok()
}

const PREFIX: &str = "after:";

#[cfg(test)]
mod tests {
    use signet_identity::entry::EntryId;
    use tonic::Code;

    use super::*;

    #[test]
    fn a_token_reads_back() {
        let id: EntryId = "entry-1".parse().expect("entry id");
        let page = Page::parse(10, &token(&id)).expect("page");
        assert_eq!(
            page,
            Page {
                size: 10,
                after: Some(id)
            }
        );
    }

    #[test]
    fn size_zero_is_everything() {
        let page = Page::<EntryId>::parse(0, "").expect("page");
        assert_eq!(
            page,
            Page {
                size: usize::MAX,
                after: None
            }
        );
    }

    #[test]
    fn a_bad_token_or_size_is_the_callers_fault() {
        for (size, token) in [
            (1, "garbage"),
            (1, "17"),
            (1, "after:"),
            (1, "after:a b"),
            (-1, ""),
        ] {
            let refused = Page::<EntryId>::parse(size, token).expect_err(token);
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
    }
}
