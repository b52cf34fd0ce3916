//! Names of hosts as documents write them: whole, short (of the document's own namespace), or with
//! a wildcard for everything below a name.

use std::fmt;

use super::{table, yaml::Node};
use crate::problem::Problems;

/// The name of a host, or of all hosts below a name; in lower case, without a dot at its end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostName {
    /// This host.
    Exact(Box<str>),
    /// `*.example.org` as `example.org`: every host below it, but not it itself.
    Below(Box<str>),
}

impl HostName {
    /// Reads a name; a short one is that of a service of `namespace`. An address is a name too.
    pub(crate) fn read(
        node: &Node,
        location: &str,
        namespace: &str,
        problems: &mut Problems,
    ) -> Option<Self> {
        let text = table::text(node, location, problems)?;
        if text == "*" {
            let what = format!("{location} `*` would be every host");
            problems.error(
                node.line,
                what,
                "name a host, or a domain as in `*.example.org`",
            );
            return None;
        }
        let lower = text.to_ascii_lowercase();
        let name = match lower.strip_prefix("*.") {
            Some(domain) => is_domain(domain).then(|| Self::Below(domain.into())),
            None => is_domain(&lower).then(|| Self::Exact(whole(&lower, namespace))),
        };
        // IPv6 addresses alone have colons.
        let address = || text.parse::<std::net::Ipv6Addr>().ok();
        let name = name.or_else(|| address().map(|it| Self::Exact(it.to_string().into())));
        if name.is_none() {
            let remedy = "write a DNS name, a short name, or `*.` and a domain; no port, no URL";
            let what = format!("{location} {text:?} is not the name of a host");
            problems.error(node.line, what, remedy);
        }
        name
    }

    /// Whether it is `host`, which is in lower case.
    pub fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => **name == *host,
            Self::Below(domain) => is_below(host, domain),
        }
    }

    /// Itself, and what stands for all hosts of a domain above it, the nearest first.
    pub(crate) fn and_above(&self) -> impl Iterator<Item = Self> {
        let (Self::Exact(name) | Self::Below(name)) = self;
        let mut rest: &str = name;
        let above = std::iter::from_fn(move || {
            rest = rest.split_once('.')?.1;
            Some(Self::Below(rest.into()))
        });
        std::iter::once(self.clone()).chain(above)
    }

    /// Whether every host that `other` means is meant by this one too.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Exact(name)) => self.matches(name),
            (Self::Below(mine), Self::Below(domain)) => mine == domain || is_below(domain, mine),
            (Self::Exact(_), Self::Below(_)) => false,
        }
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*.{domain}"),
        }
    }
}

/// The namespace of a service of Kubernetes, which its name says.
pub(crate) fn namespace(host: &HostName) -> Option<&str> {
    let HostName::Exact(name) = host else {
        return None;
    };
    let name = name.strip_suffix(CLUSTER_DOMAIN)?.strip_suffix('.')?;
    let (_, namespace) = name.split_once('.')?;
    (!namespace.contains('.')).then_some(namespace)
}

fn is_below(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(domain);
    rest.and_then(|rest| rest.strip_suffix('.'))
        .is_some_and(|rest| !rest.is_empty())
}

fn whole(name: &str, namespace: &str) -> Box<str> {
    if name.contains('.') {
        name.into()
    } else {
        format!("{name}.{namespace}.{CLUSTER_DOMAIN}").into()
    }
}

/// RFC 1123 §2.1, without upper case and a wildcard: whether it is the name of one host.
pub(crate) fn is_domain(name: &str) -> bool {
    let label = |label: &str| {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=LONGEST_LABEL).contains(&label.len())
            && label.bytes().all(legal)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= LONGEST_NAME && name.split('.').all(label)
}

/// Below it stand the services of Kubernetes: `<name>.<namespace>.svc.cluster.local`.
pub(super) const CLUSTER_DOMAIN: &str = "svc.cluster.local";
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::yaml::Value;

    fn host(text: &str) -> Option<String> {
        let mut problems = Problems::new();
        let value = Value::Text(text.to_owned());
        let name = HostName::read(&Node { line: 1, value }, "host", "shop", &mut problems);
        assert_eq!(problems.finish().is_ok(), name.is_some(), "{text}");
        name.map(|name| name.to_string())
    }

    #[test]
    fn short_names_are_of_the_namespace_of_the_document() {
        let table = [
            ("reviews", "reviews.shop.svc.cluster.local"),
            ("reviews.other", "reviews.other"),
            ("Api.Example.org", "api.example.org"),
            ("*.example.org", "*.example.org"),
            ("10.0.0.1", "10.0.0.1"),
            ("2001:DB8::1", "2001:db8::1"),
        ];
        for (written, name) in table {
            assert_eq!(host(written).as_deref(), Some(name), "{written}");
        }
    }

    #[test]
    fn what_is_no_name_of_a_host_is_refused() {
        let long = format!("{}.org", "a".repeat(64));
        for text in [
            "*", "", "a..b", ".a", "a.", "*a.org", "a.*.org", "*.", "*.*.org", "a b", "a:80",
            "http://a", "a/b", "-a.org", "a-.org", "a_b.org", "ä.org", &long,
        ] {
            assert_eq!(host(text), None, "{text}");
        }
    }

    #[test]
    fn what_stands_above_a_host_comes_from_near_to_far() {
        let above = |host: HostName| -> Vec<String> {
            host.and_above().map(|host| host.to_string()).collect()
        };
        let name = HostName::Exact("a.b.org".into());
        assert_eq!(above(name), ["a.b.org", "*.b.org", "*.org"]);
        let domain = HostName::Below("b.org".into());
        assert_eq!(above(domain), ["*.b.org", "*.org"]);
    }

    #[test]
    fn a_service_of_kubernetes_says_its_namespace() {
        let of = |name: &str| {
            let host = HostName::Exact(name.into());
            namespace(&host).map(str::to_owned)
        };
        let service = "reviews.shop.svc.cluster.local";
        assert_eq!(of(service).as_deref(), Some("shop"));
        for name in [
            "shop.svc.cluster.local",
            "a.reviews.shop.svc.cluster.local",
            "a.shop.org",
        ] {
            assert_eq!(of(name), None, "{name}");
        }
        let below = HostName::Below("shop.svc.cluster.local".into());
        assert_eq!(namespace(&below), None);
    }

    #[test]
    fn a_wildcard_is_what_lies_below_its_domain() {
        let domain = HostName::Below("example.org".into());
        assert!(domain.matches("a.example.org") && domain.matches("a.b.example.org"));
        for other in [
            "example.org",
            ".example.org",
            "aexample.org",
            "a.example.com",
        ] {
            assert!(!domain.matches(other), "{other}");
        }
        let exact = |name: &str| HostName::Exact(name.into());
        assert!(domain.covers(&exact("a.example.org")) && domain.covers(&domain));
        assert!(domain.covers(&HostName::Below("b.example.org".into())));
        assert!(!domain.covers(&HostName::Below("org".into())));
        assert!(!exact("a.example.org").covers(&domain));
    }
}
