//! Whom the certificate of a server has to name.

use std::{fmt, net::IpAddr};

use signet_identity::{SpiffeId, id};

use super::{host, table, yaml::Node};
use crate::problem::Problems;

/// A name of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectAltName {
    /// The SPIFFE ID of a workload.
    Id(SpiffeId),
    /// A name of the DNS, in lower case.
    Dns(Box<str>),
}

/// The names of a list, each once.
pub(crate) fn read(list: &Node, location: &str, problems: &mut Problems) -> Vec<SubjectAltName> {
    let mut names = Vec::new();
    for node in table::list(list, location, problems) {
        let Some(name) = SubjectAltName::read(node, location, problems) else {
            continue;
        };
        if names.contains(&name) {
            let what = format!("{location} names {name} twice");
            problems.error(node.line, what, "keep one of them");
        }
        names.push(name);
    }
    names
}

impl SubjectAltName {
    fn read(node: &Node, location: &str, problems: &mut Problems) -> Option<Self> {
        let text = table::text(node, location, problems)?;
        let refuse = |why: &str, problems: &mut Problems| {
            let remedy = "write a SPIFFE ID, as in `spiffe://example.org/web`, or a DNS name";
            problems.error(node.line, format!("{location} {text:?} {why}"), remedy);
            None
        };
        if text.contains("://") {
            return match id::parse(text) {
                Ok(id) if !id.path().is_empty() => Some(Self::Id(id)),
                Ok(_) => refuse("is the ID of a trust domain, not of a workload", problems),
                Err(error) => refuse(&format!("is no SPIFFE ID: {error}"), problems),
            };
        }
        if text.contains('/') {
            return refuse("has no `spiffe://` before it", problems);
        }
        let name = text.to_ascii_lowercase();
        if name.parse::<IpAddr>().is_ok() {
            refuse("is an address", problems)
        } else if host::is_domain(&name) {
            Some(Self::Dns(name.into()))
        } else {
            refuse("is neither", problems)
        }
    }
}

impl fmt::Display for SubjectAltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Dns(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::yaml::Value;

    fn names(texts: &[&str]) -> Result<Vec<String>, String> {
        let mut problems = Problems::new();
        let node = |text: &&str| Node {
            line: 2,
            value: Value::Text((*text).to_owned()),
        };
        let value = Value::List(texts.iter().map(node).collect());
        let names = read(&Node { line: 1, value }, "sans", &mut problems);
        match problems.finish() {
            Ok(_) => Ok(names.iter().map(ToString::to_string).collect()),
            Err(errors) => Err(errors.first().expect("an error").to_string()),
        }
    }

    #[test]
    fn ids_and_dns_names_are_taken() {
        let names = names(&["spiffe://example.org/ns/a/sa/b", "API.example.org"]);
        let wanted = ["spiffe://example.org/ns/a/sa/b", "api.example.org"];
        assert_eq!(names.expect("valid"), wanted);
    }

    #[test]
    fn what_no_certificate_names_is_refused() {
        let table: [(&[&str], &str); 8] = [
            (&[], "is an empty list"),
            (&["spiffe://example.org"], "is the ID of a trust domain"),
            (&["spiffe://Example.org/a"], "is no SPIFFE ID"),
            (&["https://example.org/a"], "is no SPIFFE ID"),
            (&["example.org/ns/a/sa/b"], "has no `spiffe://` before it"),
            (&["*.example.org"], "is neither"),
            (&["10.0.0.1"], "is an address"),
            (&["a.org", "A.org"], "names a.org twice"),
        ];
        for (texts, wanted) in table {
            let error = names(texts).expect_err(wanted);
            assert!(error.contains(wanted), "{error}");
        }
    }
}
