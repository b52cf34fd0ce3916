//! Which group of endpoints gets a call, by where they run.

use std::collections::BTreeMap;

use super::*;
use crate::{
    destination::{LocalityBalancing, PriorityLabel},
    model::Model,
    object::Workload,
    read::{HostName, Locality, Source},
};

/// The setting that is written.
fn setting(fields: &str) -> LocalityBalancing {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{ name: r }}\n\
         spec: {{ host: a.org, trafficPolicy: {{ outlierDetection: {{ interval: 1s }}, \
         loadBalancer: {{ localityLbSetting: {{ {fields} }} }} }} }}\n"
    );
    let name = "r.yaml".to_owned();
    let model = Model::parse(&[Source { name, text }]).unwrap();
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: BTreeMap::new(),
    };
    let model = model.for_workload(&workload, "istio-system");
    let part = model.destination(&HostName::Exact("a.org".into()), None, 80);
    part.unwrap().policy.load_balancer.locality.clone()
}

fn locality(text: &str) -> Option<Locality> {
    (!text.is_empty()).then(|| Locality::parse(text).unwrap())
}

/// How many of a thousand calls from `home` each of the endpoints gets, which are at these places;
/// one with a `!` before it is not well.
fn calls(setting: &LocalityBalancing, home: &str, sites: &[&str]) -> Option<Vec<usize>> {
    let home = Home {
        locality: locality(home),
        labels: BTreeMap::new(),
    };
    let well: Vec<bool> = sites.iter().map(|site| !site.starts_with('!')).collect();
    let places: Vec<_> = sites
        .iter()
        .map(|site| locality(site.trim_start_matches('!')))
        .collect();
    let labels = BTreeMap::new();
    let sites: Vec<_> = places
        .iter()
        .map(|place| Site {
            locality: place.as_ref(),
            labels: &labels,
        })
        .collect();
    let groups = setting.groups(&home, &sites, true)?;
    Some(of_groups(&groups, &well))
}

struct Well<'w>(&'w [bool]);

impl Candidates for Well<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn weight(&self, place: usize) -> u64 {
        self.0[place].into()
    }

    fn active(&self, _: usize) -> usize {
        0
    }

    fn latency(&self, _place: usize) -> Option<std::time::Duration> {
        None
    }
}

fn of_groups(groups: &Groups, well: &[bool]) -> Vec<usize> {
    let mut got = vec![0; well.len()];
    for random in numbers().take(1_000) {
        let picked = groups.pick(
            &Balancing::Random,
            &Well(well),
            |place| well[place],
            lot(0, random),
        );
        if let Some(place) = picked {
            got[place] += 1;
        }
    }
    got
}

#[test]
fn nearer_endpoints_have_all_calls_as_long_as_they_are_well() {
    let nearest = setting("enabled: true");
    let sites = ["us/east/b", "us/east/a", "us/west/a", "eu/east/a", ""];
    for (home, first) in [("us/east/a", 1), ("us/west", 2), ("eu/east/a", 3)] {
        assert_eq!(
            calls(&nearest, home, &sites).unwrap()[first],
            1_000,
            "{home}"
        );
    }
    // Step by step, what is next takes the place of what is gone.
    let mut sites = ["us/east/a", "us/east/b", "us/west/a", "eu/east/a"].map(str::to_owned);
    for gone in 0..3 {
        sites[gone].insert(0, '!');
        let now: Vec<&str> = sites.iter().map(|site| &**site).collect();
        let got = calls(&nearest, "us/east/a", &now).unwrap();
        assert_eq!(got[gone + 1], 1_000, "{got:?}");
    }
    // One that does not know where it is has no near and far.
    assert_eq!(calls(&nearest, "", &["us", "eu"]), None);
    assert_eq!(calls(&setting("enabled: false"), "us", &["us", "eu"]), None);
}

#[test]
fn what_is_left_of_a_level_keeps_what_it_can_take() {
    let nearest = setting("enabled: true");
    let half = calls(&nearest, "us", &["us", "!us", "eu"]).unwrap();
    assert!(half[0].abs_diff(700) < 60 && half[1] == 0, "{half:?}");
    let most = ["us", "us", "us", "us", "us", "!us", "!us", "eu"];
    let most = calls(&nearest, "us", &most).unwrap();
    assert_eq!(most[7], 0, "{most:?}");
    // If all together cannot take it, they take all the same.
    let few = calls(&nearest, "us", &["us", "!us", "!us", "!eu"]).unwrap();
    assert_eq!(few, [1_000, 0, 0, 0]);
    assert_eq!(calls(&nearest, "us", &["!us", "!eu"]).unwrap(), [0, 0]);
}

#[test]
fn after_a_region_comes_the_one_that_is_named() {
    let failover = setting("failover: [{ from: us, to: eu }]");
    let got = calls(&failover, "us/east", &["!us/east", "asia", "eu/west"]).unwrap();
    assert_eq!(got, [0, 0, 1_000]);
    let got = calls(&failover, "eu", &["!eu", "asia", "us"]).unwrap();
    assert!(got[1] > 400 && got[2] > 400, "{got:?}");
}

#[test]
fn calls_are_divided_as_it_is_written_and_who_is_not_named_gets_none() {
    let shares = setting("distribute: [{ from: us/*, to: { us/east: 80, eu/*: 20 } }]");
    let sites = ["us/east/a", "us/east/b", "eu/west", "us/west", "asia"];
    let got = calls(&shares, "us/east", &sites).unwrap();
    assert!((got[0] + got[1]).abs_diff(800) < 60, "{got:?}");
    assert_eq!(got[3] + got[4], 0);
    let got = calls(&shares, "us/west", &["!us/east", "eu/west", "us/west"]).unwrap();
    assert_eq!(got, [0, 1_000, 0]);
    // Better nowhere than where it is not to go.
    let got = calls(&shares, "us/west", &["!us/east", "!eu/west", "us/west"]).unwrap();
    assert_eq!(got, [0, 0, 0]);
    assert_eq!(calls(&shares, "asia", &sites), None);
}

#[test]
fn the_more_labels_in_common_the_earlier() {
    let priority = |text: &[&str]| {
        let label = |text: &&str| {
            let (key, value) = text
                .split_once('=')
                .map_or((*text, None), |(key, value)| (key, Some(value.into())));
            let key = key.into();
            PriorityLabel { key, value }
        };
        LocalityBalancing::Priority(text.iter().map(label).collect())
    };
    let labels = |text: &[(&str, &str)]| -> BTreeMap<String, String> {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
        text.iter().map(owned).collect()
    };
    let home = Home {
        locality: locality("us/east"),
        labels: labels(&[("net", "a"), ("rack", "1")]),
    };
    let all = [
        labels(&[("rack", "1")]),
        labels(&[("net", "a"), ("rack", "2")]),
        labels(&[("net", "a"), ("rack", "1")]),
    ];
    let places = [locality("us/west"), locality("eu"), locality("eu")];
    let sites: Vec<_> = all
        .iter()
        .zip(&places)
        .map(|(labels, place)| Site {
            locality: place.as_ref(),
            labels,
        })
        .collect();
    let got = |by: &[&str], well: [bool; 3]| {
        let groups = priority(by).groups(&home, &sites, true).unwrap();
        of_groups(&groups, &well)
    };
    assert_eq!(got(&["net", "rack"], [true; 3]), [0, 0, 1_000]);
    assert_eq!(got(&["net", "rack"], [true, true, false]), [0, 1_000, 0]);
    assert_eq!(got(&["rack=2"], [true; 3]), [0, 1_000, 0]);
    assert_eq!(
        got(&["topology.kubernetes.io/region"], [true; 3]),
        [1_000, 0, 0]
    );
}

#[test]
fn a_key_stays_in_one_group() {
    let nearest = setting("enabled: true");
    let home = Home {
        locality: locality("us"),
        labels: BTreeMap::new(),
    };
    let (us, eu, labels) = (locality("us"), locality("eu"), BTreeMap::new());
    let sites = [&us, &us, &eu].map(|locality| Site {
        locality: locality.as_ref(),
        labels: &labels,
    });
    let groups = nearest.groups(&home, &sites, true).unwrap();
    let names = ["a", "b", "c"].map(|name| TableEndpoint { name, weight: 1 });
    let table = HashTable::new(HashAlgorithm::Ring(64), &names);
    let well = [true, false, true];
    let balancing = Balancing::ConsistentHash(ConsistentHash {
        key: HashKey::SourceIp,
        algorithm: HashAlgorithm::Ring(64),
    });
    for hash in numbers().take(100) {
        let pick = |random| {
            let key = Some(Keyed {
                table: &table,
                hash,
            });
            let lot = Lot {
                turn: 0,
                random,
                key,
            };
            groups.pick(&balancing, &Well(&well), |place| well[place], lot)
        };
        let first = pick(1);
        assert!(first.is_some());
        assert!(numbers().take(9).all(|random| pick(random) == first));
    }
}
