//! SPIFFE IDs at the edge. One spelling per identity: capitals in scheme or trust domain are
//! refused rather than folded, and 2048 bytes are the limit (SPIFFE-ID §2.1, §2.3, §2.4).

use std::str::FromStr;

use serde::Deserialize;
use signet_proto::spire::api::types;
use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};

/// Why a text is not a SPIFFE ID or trust domain name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("a SPIFFE ID is required")]
    Missing,
    /// Longer than the standard allows.
    #[error("the SPIFFE ID is {0} bytes long; at most {MAX_LENGTH} are allowed")]
    TooLong(usize),
    /// Capitals in the scheme or the trust domain.
    #[error("{0:?} has capital letters in its scheme or trust domain; write them in lower case")]
    NotLowerCase(String),
    /// Malformed in another way.
    #[error("{text:?} is not a SPIFFE ID: {source}")]
    Malformed {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: SpiffeIdError,
    },
    /// The two fields of a message do not fit together.
    #[error(
        "trust domain {trust_domain:?} and path {path:?} make no SPIFFE ID; the path starts with a slash"
    )]
    Fields {
        /// The first field.
        trust_domain: String,
        /// The second field.
        path: String,
    },
    /// The ID of a member where that of a trust domain is expected.
    #[error("{0:?} is not the ID of a trust domain; it has a path")]
    NotTrustDomain(String),
    /// Longer than the standard allows.
    #[error("the trust domain name is {0} bytes long; at most {LONGEST_TRUST_DOMAIN} are allowed")]
    TrustDomainTooLong(usize),
    /// Not a trust domain name.
    #[error("{text:?} is not a trust domain name: {source}")]
    TrustDomain {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: SpiffeIdError,
    },
}

/// Reads a SPIFFE ID in its canonical form.
///
/// # Errors
/// The text is no SPIFFE ID, is too long, or has capitals where they are folded.
pub fn parse(text: &str) -> Result<SpiffeId, IdError> {
    if text.is_empty() {
        return Err(IdError::Missing);
    }
    if text.len() > MAX_LENGTH {
        return Err(IdError::TooLong(text.len()));
    }
    let id = SpiffeId::new(text).map_err(|source| IdError::Malformed {
        text: text.to_owned(),
        source,
    })?;
    let canonical = text
        .strip_prefix(SCHEME)
        .is_some_and(|rest| rest.starts_with(id.trust_domain_name()));
    if !canonical {
        return Err(IdError::NotLowerCase(text.to_owned()));
    }
    Ok(id)
}

/// Reads the name of a trust domain, or its ID `spiffe://name`.
///
/// # Errors
/// The text is no trust domain's name or ID, or has capitals.
pub fn parse_trust_domain(text: &str) -> Result<TrustDomain, IdError> {
    let name = text.strip_prefix(SCHEME).unwrap_or(text);
    let refused = |source| IdError::TrustDomain {
        text: text.to_owned(),
        source,
    };
    let trust_domain = TrustDomain::new(name).map_err(refused)?;
    if trust_domain.as_str() != name {
        return Err(IdError::NotLowerCase(text.to_owned()));
    }
    Ok(trust_domain)
}

/// Reads the ID of a trust domain, `spiffe://name`; its bare name does not do.
///
/// # Errors
/// The text is no SPIFFE ID, or has a path.
pub fn parse_trust_domain_id(text: &str) -> Result<TrustDomain, IdError> {
    let trust_domain = parse(text)?.trust_domain().clone();
    if trust_domain.id_string() != text {
        return Err(IdError::NotTrustDomain(text.to_owned()));
    }
    Ok(trust_domain)
}

/// Reads an ID in the two fields that SPIRE's messages have.
///
/// # Errors
/// The message is missing, or its two parts make no SPIFFE ID.
pub fn from_proto(id: Option<&types::Spiffeid>) -> Result<SpiffeId, IdError> {
    let id = id.ok_or(IdError::Missing)?;
    if id.trust_domain.is_empty() && id.path.is_empty() {
        return Err(IdError::Missing);
    }
    let parsed = parse(&[SCHEME, &id.trust_domain, &id.path].concat())?;
    // A slash in the name, or none in the path, would move the border between the two.
    if parsed.trust_domain_name() != id.trust_domain {
        return Err(IdError::Fields {
            trust_domain: id.trust_domain.clone(),
            path: id.path.clone(),
        });
    }
    Ok(parsed)
}

/// The ID in the two fields that SPIRE's messages have.
pub fn to_proto(id: &SpiffeId) -> types::Spiffeid {
    types::Spiffeid {
        trust_domain: id.trust_domain_name().to_owned(),
        path: id.path().to_owned(),
    }
}

/// `spiffe://<trust domain><path>`; the path starts with a slash.
///
/// # Errors
/// The path makes no SPIFFE ID.
pub fn in_trust_domain(trust_domain: &TrustDomain, path: &str) -> Result<SpiffeId, IdError> {
    parse(&[SCHEME, trust_domain.as_str(), path].concat())
}

/// The trust domain of a daemon, as a configuration or a command line names it: at most 255 bytes
/// long (SPIFFE-ID §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct TrustDomainName(pub TrustDomain);

impl FromStr for TrustDomainName {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let trust_domain = parse_trust_domain(text)?;
        let length = trust_domain.as_str().len();
        if length > LONGEST_TRUST_DOMAIN {
            return Err(IdError::TrustDomainTooLong(length));
        }
        Ok(Self(trust_domain))
    }
}

impl TryFrom<String> for TrustDomainName {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

const SCHEME: &str = "spiffe://";
const LONGEST_TRUST_DOMAIN: usize = 255;
const MAX_LENGTH: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_ids_are_read() {
        for text in [
            "spiffe://example.org",
            "spiffe://example.org/UPPER/x",
            "spiffe://../x",
        ] {
            assert_eq!(parse(text).expect(text).to_string(), text);
        }
    }

    #[test]
    fn capitals_in_scheme_or_trust_domain_are_refused() {
        for text in ["SPIFFE://example.org/x", "spiffe://Example.org/x"] {
            assert_eq!(parse(text), Err(IdError::NotLowerCase(text.to_owned())));
        }
        assert!(matches!(
            parse_trust_domain("Example.org"),
            Err(IdError::NotLowerCase(_))
        ));
    }

    #[test]
    fn the_id_of_a_trust_domain_has_a_scheme_and_no_path() {
        let domain = parse_trust_domain_id("spiffe://example.org").expect("trust domain");
        assert_eq!(domain.as_str(), "example.org");
        for text in ["example.org", "spiffe://example.org/x", "spiffe://", ""] {
            assert!(parse_trust_domain_id(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn the_limit_is_2048_bytes() {
        let longest = format!("spiffe://example.org/{}", "a".repeat(2027));
        assert_eq!(longest.len(), 2048);
        assert!(parse(&longest).is_ok());
        assert_eq!(parse(&format!("{longest}a")), Err(IdError::TooLong(2049)));
    }

    #[test]
    fn malformed_ids_are_refused() {
        for text in [
            "",
            "spiffe://",
            "spiffe:///x",
            "http://example.org/x",
            "spiffe://example.org/",
            "spiffe://example.org//x",
            "spiffe://example.org/../x",
            "spiffe://example.org/%61",
            "spiffe://example.org/x?",
            "spiffe://example.org/x#",
            "spiffe://example.org:80/x",
            "spiffe://@example.org/x",
            "spiffe://[::1]/x",
            "spiffe://example.org/x\n",
            "spiffe://b\u{fc}cher.example/x",
            "spiffe://example.org,other.org/x",
        ] {
            assert!(parse(text).is_err(), "{text:?} was accepted");
        }
    }

    #[test]
    fn the_two_parts_of_a_message_cannot_be_shifted() {
        let shifted = types::Spiffeid {
            trust_domain: "example.org/admin".to_owned(),
            path: String::new(),
        };
        assert!(from_proto(Some(&shifted)).is_err());
        let glued = types::Spiffeid {
            trust_domain: "example.org".to_owned(),
            path: ".evil/x".to_owned(),
        };
        assert!(from_proto(Some(&glued)).is_err());
        assert_eq!(from_proto(None), Err(IdError::Missing));
    }

    #[test]
    fn an_id_survives_the_message() {
        let id = parse("spiffe://example.org/a/b").expect("id");
        assert_eq!(from_proto(Some(&to_proto(&id))), Ok(id));
    }
}
