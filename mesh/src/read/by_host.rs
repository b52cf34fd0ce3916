//! What there is for hosts, found by a name whatever else there is.

use std::collections::HashMap;

use super::host::{CLUSTER_DOMAIN, HostName};

/// One thing for each host, or for all hosts below a name.
#[derive(Debug, Clone)]
pub(crate) struct ByHost<T> {
    hosts: HashMap<Box<str>, T>,
    /// By the name below which they are.
    domains: HashMap<Box<str>, T>,
}

impl<T> ByHost<T> {
    /// Of two for the same name, the first counts.
    pub(crate) fn add(&mut self, host: &HostName, value: T) {
        let (map, name) = match host {
            HostName::Exact(name) => (&mut self.hosts, name),
            HostName::Below(domain) => (&mut self.domains, domain),
        };
        map.entry(name.clone()).or_insert(value);
    }

    /// That of a host, which is in lower case: its own, or that of the nearest domain above it.
    pub(crate) fn of(&self, host: &str) -> Option<&T> {
        self.hosts
            .get(host)
            .or_else(|| above(host).find_map(|domain| self.domains.get(domain)))
    }

    /// The same for a name that may mean all hosts below it.
    pub(crate) fn named(&self, host: &HostName) -> Option<&T> {
        match host {
            HostName::Exact(name) => self.of(name),
            HostName::Below(domain) => self
                .domains
                .get(domain)
                .or_else(|| above(domain).find_map(|domain| self.domains.get(domain))),
        }
    }
}

impl<T: Clone> ByHost<T> {
    /// A service is called by shorter names too: `reviews.shop.svc`, `reviews.shop`, and in its own
    /// namespace `reviews`. What is named so itself goes before.
    pub(crate) fn add_short_names(&mut self, own: &str) {
        let mut short = Vec::new();
        for (host, value) in &self.hosts {
            let Some(name) = host.strip_suffix(CLUSTER_DOMAIN) else {
                continue;
            };
            let Some(name) = name.strip_suffix('.') else {
                continue;
            };
            short.push((format!("{name}.svc"), value.clone()));
            short.push((name.to_owned(), value.clone()));
            if let Some((service, namespace)) = name.split_once('.')
                && namespace == own
            {
                short.push((service.to_owned(), value.clone()));
            }
        }
        for (name, value) in short {
            self.hosts.entry(name.into()).or_insert(value);
        }
    }
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        Self {
            hosts: HashMap::new(),
            domains: HashMap::new(),
        }
    }
}

/// The domains above a host, the nearest first.
fn above(host: &str) -> impl Iterator<Item = &str> {
    let mut rest = host;
    std::iter::from_fn(move || {
        rest = rest.split_once('.')?.1;
        Some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_its_own_or_that_of_the_nearest_domain() {
        let mut map = ByHost::default();
        map.add(&HostName::Below("org".into()), 1);
        map.add(&HostName::Below("example.org".into()), 2);
        map.add(&HostName::Exact("a.example.org".into()), 3);
        map.add(&HostName::Exact("a.example.org".into()), 4);
        for (host, wanted) in [
            ("a.example.org", Some(3)),
            ("b.example.org", Some(2)),
            ("c.b.example.org", Some(2)),
            ("example.org", Some(1)),
            ("org", None),
            ("", None),
        ] {
            assert_eq!(map.of(host).copied(), wanted, "{host}");
        }
        let below = |domain: &str| HostName::Below(domain.into());
        assert_eq!(map.named(&below("example.org")), Some(&2));
        assert_eq!(map.named(&below("a.example.org")), Some(&2));
        assert_eq!(map.named(&below("other.org")), Some(&1));
        assert_eq!(map.named(&below("com")), None);
        assert_eq!(
            map.named(&HostName::Exact("a.example.org".into())),
            Some(&3)
        );
    }

    #[test]
    fn a_service_has_shorter_names() {
        let mut map = ByHost::default();
        map.add(
            &HostName::Exact("reviews.shop.svc.cluster.local".into()),
            "shop",
        );
        map.add(
            &HostName::Exact("reviews.zoo.svc.cluster.local".into()),
            "zoo",
        );
        map.add(&HostName::Exact("reviews.zoo".into()), "named so");
        map.add_short_names("shop");
        for (host, wanted) in [
            ("reviews", Some("shop")),
            ("reviews.shop", Some("shop")),
            ("reviews.shop.svc", Some("shop")),
            ("reviews.zoo.svc", Some("zoo")),
            ("reviews.zoo", Some("named so")),
            ("reviews.shop.svc.cluster", None),
        ] {
            assert_eq!(map.of(host).copied(), wanted, "{host}");
        }
    }
}
