//! What is known of names of the DNS, after answers that are good, bad, or none.

use std::{net::IpAddr, time::Duration};

use proptest::prelude::*;

use crate::{
    FamilyAnswer::{self, Addresses, Failed, Nothing},
    LookedUp, LookupPace, NameAnswer,
    NameNews::{Back, Changed, Lost},
};

const PACE: LookupPace = LookupPace {
    min_ttl: Duration::from_secs(5),
    max_ttl: Duration::from_secs(300),
};

fn v4(last: u8) -> IpAddr {
    [192, 0, 2, last].into()
}

fn v6(last: u16) -> IpAddr {
    [0x2001, 0xdb8, 0, 0, 0, 0, 0, last].into()
}

fn found(addresses: &[IpAddr], ttl: u64) -> FamilyAnswer {
    Addresses(addresses.to_vec(), Duration::from_secs(ttl))
}

fn answer(v4: FamilyAnswer, v6: FamilyAnswer) -> NameAnswer {
    NameAnswer { v4, v6 }
}

#[test]
fn all_addresses_of_both_families_are_known() {
    let mut known = LookedUp::default();
    let both = answer(found(&[v4(1), v4(2)], 60), found(&[v6(1)], 30));
    let after = known.take(both.clone(), PACE, 0);
    assert_eq!((after.news, after.wait.as_secs()), (Some(Changed), 30));
    assert_eq!(known.addresses(), [v4(1), v4(2), v6(1)]);
    assert_eq!(known.take(both, PACE, 0).news, None);
}

#[test]
fn a_ttl_is_heeded_between_its_bounds() {
    for (ttl, wait) in [(0, 5), (5, 5), (77, 77), (300, 300), (u64::MAX, 300)] {
        let mut known = LookedUp::default();
        let after = known.take(answer(found(&[v4(1)], ttl), Nothing), PACE, 0);
        assert_eq!(after.wait.as_secs(), wait, "{ttl}");
    }
}

#[test]
fn an_answer_without_addresses_takes_none_away_and_is_news_once() {
    let mut known = LookedUp::default();
    known.take(answer(found(&[v4(1)], 60), Nothing), PACE, 0);
    let news = |known: &mut LookedUp, v4| known.take(answer(v4, Nothing), PACE, 0).news;
    assert_eq!(news(&mut known, Nothing), Some(Lost));
    assert_eq!(news(&mut known, Failed), None);
    assert_eq!(news(&mut known, found(&[], 60)), None);
    assert_eq!(known.addresses(), [v4(1)]);
    assert_eq!(news(&mut known, found(&[v4(1)], 60)), Some(Back));
    assert_eq!(news(&mut known, Nothing), Some(Lost));
    assert_eq!(news(&mut known, found(&[v4(2)], 60)), Some(Changed));
    assert_eq!(known.addresses(), [v4(2)]);
}

#[test]
fn a_family_that_is_not_answered_for_keeps_its_addresses_and_is_asked_again_soon() {
    let mut known = LookedUp::default();
    known.take(answer(found(&[v4(1)], 60), found(&[v6(1)], 60)), PACE, 0);
    let after = known.take(answer(found(&[v4(2)], 300), Failed), PACE, 0);
    assert_eq!((after.news, after.wait.as_secs()), (Some(Changed), 30));
    assert_eq!(known.addresses(), [v4(2), v6(1)]);
    known.take(answer(found(&[v4(2)], 300), Nothing), PACE, 0);
    assert_eq!(known.addresses(), [v4(2)]);
}

#[test]
fn what_is_not_the_address_of_a_host_is_left_out() {
    let mut known = LookedUp::default();
    let any: IpAddr = [0, 0, 0, 0].into();
    let all: IpAddr = [255, 255, 255, 255].into();
    let many: IpAddr = [224, 0, 0, 1].into();
    let mapped: IpAddr = "::ffff:192.0.2.7".parse().unwrap();
    let lies = answer(
        found(&[any, all, many], 60),
        found(&["::".parse().unwrap()], 60),
    );
    assert_eq!(known.take(lies, PACE, 0).news, Some(Lost));
    let mixed = found(&[any, v4(1), v4(1)], 60);
    known.take(answer(mixed, found(&[mapped], 60)), PACE, 0);
    assert_eq!(known.addresses(), [v4(1), v4(7)]);
}

#[test]
fn a_huge_answer_is_cut() {
    let mut known = LookedUp::default();
    let huge: Vec<IpAddr> = (0..10_000).map(v6).collect();
    known.take(answer(Nothing, found(&huge, 60)), PACE, 0);
    assert_eq!(known.addresses(), huge[..128]);
}

#[test]
fn who_does_not_answer_is_asked_less_and_less_but_again_and_again() {
    let mut known = LookedUp::default();
    let none = || answer(Failed, Failed);
    let waits = (0..40).map(|_| known.take(none(), PACE, 0).wait.as_secs());
    let waits: Vec<_> = waits.collect();
    assert_eq!(waits[..7], [1, 2, 4, 8, 16, 30, 30]);
    assert!(waits[7..].iter().all(|wait| *wait == 30));
    let late = known.take(none(), PACE, u64::MAX).wait;
    assert!(late > Duration::from_secs(44) && late < Duration::from_secs(45));
}

fn family() -> impl Strategy<Value = FamilyAnswer> {
    let addresses = proptest::collection::vec(any::<u32>(), 0..300);
    prop_oneof![
        Just(Nothing),
        Just(Failed),
        (addresses, any::<u32>()).prop_map(|(addresses, ttl)| {
            let addresses = addresses.into_iter().map(|it| IpAddr::V4(it.into()));
            Addresses(addresses.collect(), Duration::from_secs(ttl.into()))
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_answered_addresses_are_bounded_and_never_lost(
        answers in proptest::collection::vec((family(), family(), any::<u64>()), 1..20),
    ) {
        let mut known = LookedUp::default();
        for (v4, v6, random) in answers {
            let before = known.addresses();
            let after = known.take(answer(v4, v6), PACE, random);
            let now = known.addresses();
            prop_assert!(before.is_empty() || !now.is_empty());
            prop_assert!(now.len() <= 256);
            prop_assert_eq!(after.news == Some(Changed), before != now);
            prop_assert!(after.wait >= Duration::from_secs(1));
            prop_assert!(after.wait <= PACE.max_ttl);
        }
    }
}
