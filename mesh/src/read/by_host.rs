//! What there is for hosts, found by a name whatever else there is.

use std::sync::Arc;

use rpds::HashTrieMapSync;

use super::host::{CLUSTER_DOMAIN, HostName};

/// What there is for each host, and for all hosts below a name. A copy shares what it has with the
/// other, so that it costs nothing, and a change of it no more than what is changed.
#[derive(Debug)]
pub(crate) struct ByHost<T> {
    hosts: ByName<T>,
    /// By the name below which they are.
    domains: ByName<T>,
    /// How many of the hosts have shorter names.
    shortened: usize,
}

type ByName<T> = HashTrieMapSync<Box<str>, Several<T>>;

/// Things that there are for one name, or at one place.
pub(crate) type Several<T> = Arc<[Arc<T>]>;

impl<T> ByHost<T> {
    /// Adds one for this host, behind those of which `is_before` says that it comes after them.
    pub(crate) fn add(&mut self, host: &HostName, value: &Arc<T>, is_before: impl Fn(&T) -> bool) {
        let (before, after): (Vec<_>, Vec<_>) = {
            let known = self.exactly(host).iter().cloned();
            known.partition(|it| is_before(it))
        };
        let is_new = before.is_empty() && after.is_empty();
        let all = before.into_iter().chain([Arc::clone(value)]).chain(after);
        if is_new && has_shorter(host) {
            self.shortened = self.shortened.saturating_add(1);
        }
        let (map, name) = self.map_of(host);
        map.insert_mut(name.into(), all.collect());
    }

    /// Takes one away.
    pub(crate) fn remove(&mut self, host: &HostName, value: &Arc<T>) {
        let known = self.exactly(host).iter();
        let others: Several<_> = known
            .filter(|it| !Arc::ptr_eq(it, value))
            .cloned()
            .collect();
        let (map, name) = self.map_of(host);
        if others.is_empty() {
            if map.remove_mut(name) && has_shorter(host) {
                self.shortened = self.shortened.saturating_sub(1);
            }
        } else {
            map.insert_mut(name.into(), others);
        }
    }

    /// All for exactly this host, or for all hosts below exactly this name.
    pub(crate) fn exactly(&self, host: &HostName) -> &[Arc<T>] {
        let all = match host {
            HostName::Exact(name) => self.hosts.get(name),
            HostName::Below(domain) => self.domains.get(domain),
        };
        all.map_or(&[], |all| all)
    }

    /// All for each host and each domain, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[Arc<T>]> {
        let all = self.hosts.values().chain(self.domains.values());
        all.map(|all| &**all)
    }

    /// What `choose` takes for a host, which is in lower case: of its own, or else of what there is
    /// for the nearest domain above it.
    pub(crate) fn of<'a>(&'a self, host: &str, choose: Choose<'_, 'a, T>) -> Option<&'a Arc<T>> {
        self.of_name(host, choose)
            .or_else(|| self.above(host, choose))
    }

    /// The same for a host as clients call it: a service has shorter names too, `reviews.shop.svc`,
    /// `reviews.shop`, and in the namespace `own` `reviews`. What is named so itself goes before.
    pub(crate) fn called<'a>(
        &'a self,
        host: &str,
        own: &str,
        choose: Choose<'_, 'a, T>,
    ) -> Option<&'a Arc<T>> {
        let longer = || {
            // Most hosts are no short names, and nothing is made up for them.
            if self.shortened == 0 || host.ends_with(CLUSTER_DOMAIN) {
                return None;
            }
            let mut names = longer_names(host, own);
            names.find_map(|name| self.of_name(&name, choose))
        };
        self.of_name(host, choose)
            .or_else(longer)
            .or_else(|| self.above(host, choose))
    }

    /// What `choose` takes for a name that may mean all hosts below it.
    pub(crate) fn named<'a>(
        &'a self,
        host: &HostName,
        choose: Choose<'_, 'a, T>,
    ) -> Option<&'a Arc<T>> {
        match host {
            HostName::Exact(name) => self.of(name, choose),
            HostName::Below(domain) => {
                let own = self.domains.get(domain).and_then(|all| choose(all));
                own.or_else(|| self.above(domain, choose))
            }
        }
    }

    fn of_name<'a>(&'a self, host: &str, choose: Choose<'_, 'a, T>) -> Option<&'a Arc<T>> {
        self.hosts.get(host).and_then(|all| choose(all))
    }

    fn above<'a>(&'a self, host: &str, choose: Choose<'_, 'a, T>) -> Option<&'a Arc<T>> {
        if self.domains.is_empty() {
            return None;
        }
        above(host).find_map(|domain| choose(self.domains.get(domain)?))
    }

    fn map_of<'n>(&mut self, host: &'n HostName) -> (&mut ByName<T>, &'n str) {
        match host {
            HostName::Exact(name) => (&mut self.hosts, name),
            HostName::Below(domain) => (&mut self.domains, domain),
        }
    }
}

/// Takes one of those that there are for one name, if one of them will do.
type Choose<'c, 'a, T> = &'c dyn Fn(&'a [Arc<T>]) -> Option<&'a Arc<T>>;

impl<T> Clone for ByHost<T> {
    fn clone(&self) -> Self {
        Self {
            hosts: self.hosts.clone(),
            domains: self.domains.clone(),
            shortened: self.shortened,
        }
    }
}

impl<T> Default for ByHost<T> {
    fn default() -> Self {
        Self {
            hosts: HashTrieMapSync::new_sync(),
            domains: HashTrieMapSync::new_sync(),
            shortened: 0,
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

fn has_shorter(host: &HostName) -> bool {
    matches!(host, HostName::Exact(name) if name.ends_with(CLUSTER_DOMAIN))
}

/// What a short name may stand for; `own` is the namespace of who says it.
fn longer_names(host: &str, own: &str) -> impl Iterator<Item = String> {
    let in_own = || format!("{host}.{own}.{CLUSTER_DOMAIN}");
    let in_own = (!host.contains('.')).then(in_own);
    let without_svc = host.strip_suffix(".svc");
    let in_cluster = [without_svc, Some(host)].into_iter().flatten();
    let in_cluster = in_cluster.map(|name| format!("{name}.{CLUSTER_DOMAIN}"));
    in_own.into_iter().chain(in_cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(hosts: &[(HostName, u32)]) -> ByHost<u32> {
        let mut map = ByHost::default();
        for (host, value) in hosts {
            map.add(host, &Arc::new(*value), |_| true);
        }
        map
    }

    fn exact(name: &str) -> HostName {
        HostName::Exact(name.into())
    }

    fn below(domain: &str) -> HostName {
        HostName::Below(domain.into())
    }

    fn first_of(map: &ByHost<u32>, host: &str) -> Option<u32> {
        map.of(host, &|several| several.first()).map(|it| **it)
    }

    #[test]
    fn a_host_has_its_own_or_that_of_the_nearest_domain() {
        let map = map(&[
            (below("org"), 1),
            (below("example.org"), 2),
            (exact("a.example.org"), 3),
            (exact("a.example.org"), 4),
        ]);
        for (host, wanted) in [
            ("a.example.org", Some(3)),
            ("b.example.org", Some(2)),
            ("c.b.example.org", Some(2)),
            ("example.org", Some(1)),
            ("org", None),
            ("", None),
        ] {
            assert_eq!(first_of(&map, host), wanted, "{host}");
        }
        for (host, wanted) in [
            (below("example.org"), Some(2)),
            (below("a.example.org"), Some(2)),
            (below("other.org"), Some(1)),
            (below("com"), None),
            (exact("a.example.org"), Some(3)),
        ] {
            let found = map.named(&host, &|several| several.first());
            assert_eq!(found.map(|it| **it), wanted, "{host}");
        }
    }

    #[test]
    fn what_is_not_chosen_is_passed_over_for_what_stands_above() {
        let map = map(&[(below("org"), 1), (exact("a.org"), 2), (exact("a.org"), 3)]);
        for (wanted, is_there) in [(1, true), (2, true), (3, true), (4, false)] {
            let chosen = map.of("a.org", &|several| {
                several.iter().find(|it| ***it == wanted)
            });
            assert_eq!(chosen.is_some(), is_there, "{wanted}");
        }
    }

    #[test]
    fn what_is_taken_away_leaves_the_others_and_copies_as_they_were() {
        let mut changed = map(&[(exact("a.org"), 1), (exact("a.org"), 2), (below("org"), 3)]);
        let before = changed.clone();
        for left in [Some(2), Some(3)] {
            let gone = Arc::clone(&changed.exactly(&exact("a.org"))[0]);
            changed.remove(&exact("a.org"), &gone);
            assert_eq!(first_of(&changed, "a.org"), left);
        }
        assert_eq!(first_of(&before, "a.org"), Some(1));
    }

    #[test]
    fn a_service_has_shorter_names() {
        let map = map(&[
            (exact("reviews.shop.svc.cluster.local"), 1),
            (exact("reviews.zoo.svc.cluster.local"), 2),
            (exact("reviews.zoo"), 3),
        ]);
        for (host, wanted) in [
            ("reviews", Some(1)),
            ("reviews.shop", Some(1)),
            ("reviews.shop.svc", Some(1)),
            ("reviews.zoo.svc", Some(2)),
            ("reviews.zoo", Some(3)),
            ("reviews.shop.svc.cluster", None),
        ] {
            let found = map.called(host, "shop", &|several| several.first());
            assert_eq!(found.map(|it| **it), wanted, "{host}");
        }
    }
}
