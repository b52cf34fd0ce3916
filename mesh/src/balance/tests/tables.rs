//! Which endpoint a key belongs to, and what happens to keys when endpoints come and go.

use super::*;

const RING: HashAlgorithm = HashAlgorithm::Ring(1024);
const MAGLEV: HashAlgorithm = HashAlgorithm::Maglev(65_537);
const KEYS: usize = 4_000;

fn table(algorithm: HashAlgorithm, endpoints: &[(String, u32)]) -> HashTable {
    let endpoints: Vec<_> = endpoints
        .iter()
        .map(|(name, weight)| TableEndpoint {
            name,
            weight: *weight,
        })
        .collect();
    HashTable::new(algorithm, &endpoints)
}

fn named(count: usize) -> Vec<(String, u32)> {
    (0..count)
        .map(|it| (format!("10.0.0.{it}:80"), 1))
        .collect()
}

/// The names of the endpoints that keys belong to.
fn owners(algorithm: HashAlgorithm, endpoints: &[(String, u32)]) -> Vec<String> {
    let table = table(algorithm, endpoints);
    let owner = |key| endpoints[table.places(key).next().unwrap()].0.clone();
    numbers().take(KEYS).map(owner).collect()
}

/// How many keys each has.
fn counts(algorithm: HashAlgorithm, endpoints: &[(String, u32)]) -> Vec<usize> {
    let owners = owners(algorithm, endpoints);
    let count = |name: &str| owners.iter().filter(|it| *it == name).count();
    endpoints.iter().map(|(name, _)| count(name)).collect()
}

#[test]
fn every_endpoint_has_its_share_of_keys() {
    for algorithm in [RING, MAGLEV] {
        for count in counts(algorithm, &named(4)) {
            assert!(count.abs_diff(KEYS / 4) < 150, "{algorithm:?}: {count}");
        }
        let mut weighted = named(3);
        (weighted[1].1, weighted[2].1) = (3, 0);
        let got = counts(algorithm, &weighted);
        assert!(got[0].abs_diff(KEYS / 4) < 150, "{algorithm:?}: {got:?}");
        assert_eq!(got[2], 0, "{algorithm:?}");
    }
}

#[test]
fn a_table_has_place_for_all_or_for_as_many_as_it_has_slots() {
    for algorithm in [HashAlgorithm::Ring(1), HashAlgorithm::Maglev(11)] {
        let mut places: Vec<_> = table(algorithm, &named(9)).places(7).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places, (0..9).collect::<Vec<_>>(), "{algorithm:?}");
    }
    let small = table(HashAlgorithm::Maglev(2), &named(9));
    assert_eq!(small.places(u64::MAX).count(), 2);
    for algorithm in [RING, MAGLEV] {
        assert_eq!(table(algorithm, &[]).places(7).count(), 0);
        let none = table(algorithm, &[("a".to_owned(), 0)]);
        assert_eq!(none.places(7).count(), 0);
    }
}

#[test]
fn a_ring_stays_small_whatever_the_weights() {
    let heavy: Vec<_> = named(50)
        .into_iter()
        .map(|(name, _)| (name, u32::MAX))
        .collect();
    let points = table(RING, &heavy).places(0).count();
    assert!((200_000..=300_000).contains(&points), "{points}");
}

struct Some3([u32; 3]);

impl Candidates for Some3 {
    fn count(&self) -> usize {
        3
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

#[test]
fn keys_of_one_that_does_not_come_into_question_are_shared_and_others_stay() {
    for algorithm in [RING, MAGLEV] {
        let table = table(algorithm, &named(3));
        let balancing = Balancing::ConsistentHash(ConsistentHash {
            key: HashKey::SourceIp,
            algorithm,
        });
        let pick = |weights, hash, random| {
            let key = Some(Keyed {
                table: &table,
                hash,
            });
            let lot = Lot {
                turn: 0,
                random,
                key,
            };
            pick(&balancing, &Some3(weights), lot)
        };
        let mut inherited = [0; 3];
        for (hash, random) in numbers().zip(numbers().skip(9)).take(KEYS) {
            let of_all = pick([1, 1, 1], hash, random).unwrap();
            let of_two = pick([1, 0, 1], hash, random).unwrap();
            match of_all {
                1 => inherited[of_two] += 1,
                _ => assert_eq!(of_all, of_two),
            }
            assert_eq!(pick([0, 0, 1], hash, random), Some(2));
            assert_eq!(pick([0, 0, 0], hash, random), None);
        }
        assert!(inherited[0] > 400 && inherited[2] > 400, "{inherited:?}");
        assert_eq!(inherited[1], 0);
    }
}

#[test]
fn a_call_without_a_key_goes_by_lot() {
    let balancing = Balancing::ConsistentHash(ConsistentHash {
        key: HashKey::SourceIp,
        algorithm: RING,
    });
    let picked = numbers().map(|random| pick(&balancing, &Some3([1, 1, 1]), lot(0, random)));
    let mut places: Vec<_> = picked.take(50).flatten().collect();
    places.sort_unstable();
    places.dedup();
    assert_eq!(places, [0, 1, 2]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn one_that_goes_moves_only_its_own_keys_on_a_ring_and_few_others_in_a_maglev_table(
        weights in prop::collection::vec(1..4_u32, 2..8),
        gone: prop::sample::Index,
        turned in 0..8_usize,
    ) {
        let endpoints: Vec<_> = named(weights.len())
            .into_iter()
            .zip(&weights)
            .map(|((name, _), weight)| (name, *weight))
            .collect();
        let mut fewer = endpoints.clone();
        let gone = fewer.remove(gone.index(endpoints.len())).0;
        // Nor does their order matter.
        let turned = turned % fewer.len();
        fewer.rotate_left(turned);
        for algorithm in [RING, MAGLEV] {
            let before = owners(algorithm, &endpoints);
            let after = owners(algorithm, &fewer);
            let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
            let others = moved.filter(|(before, _)| **before != gone).count();
            match algorithm {
                HashAlgorithm::Ring(_) => prop_assert_eq!(others, 0),
                HashAlgorithm::Maglev(_) => prop_assert!(others < KEYS / 10, "{}", others),
            }
        }
    }
}
