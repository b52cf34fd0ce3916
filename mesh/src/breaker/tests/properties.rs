//! What holds whatever happens: the last endpoint is not lost unasked, one request at a time
//! probes, no ejection is longer than it may be, and a probe that succeeds closes.

use std::collections::BTreeMap;

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

#[derive(Debug, Clone)]
enum Op {
    Try(&'static str),
    /// The outcome of one of the tries that are still out.
    Record(usize, Outcome, u64),
    Wait(u64),
    Forget(&'static str),
    Resize(Vec<&'static str>),
}

fn outcome() -> impl Strategy<Value = Outcome> {
    select(&[
        Outcome::Success,
        Outcome::ServerError,
        Outcome::ServerError,
        Outcome::GatewayError,
        Outcome::GatewayErrorOnly,
        Outcome::LocalOrigin,
        Outcome::Abandoned,
    ])
}

fn op() -> impl Strategy<Value = Op> {
    let name = || select(&NAMES);
    prop_oneof![
        8 => name().prop_map(Op::Try),
        8 => (any::<usize>(), outcome(), any::<u64>()).prop_map(|(a, b, c)| Op::Record(a, b, c)),
        3 => (0u64..4_000).prop_map(Op::Wait),
        1 => name().prop_map(Op::Forget),
        1 => vec(name(), 1..4).prop_map(Op::Resize),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let limit = || proptest::option::of(0u32..3);
    let percents = (select(&[0, 10, 50, 75, 99, 100]), select(&[0, 0, 50, 100]));
    let times = (1u64..2_000, 1u64..2_000, 1u64..5_000);
    (limit(), limit(), limit(), any::<bool>(), percents, times).prop_map(
        |(five, gateway, local, split, percents, times)| Settings {
            consecutive_5xx: five,
            consecutive_gateway: gateway,
            consecutive_local_origin: local,
            split_local_origin: split,
            interval: Duration::from_millis(times.0),
            base_ejection_time: Duration::from_millis(times.1),
            max_ejection_time: Duration::from_millis(times.2),
            max_ejection_percent: percents.0,
            min_health_percent: percents.1,
        },
    )
}

/// A breaker with the tries that are out.
struct Run {
    settings: Settings,
    breaker: Breaker<&'static str>,
    now: Duration,
    out: Vec<Ticket<&'static str>>,
    /// When the probe of an endpoint may be given up; there is none for those without.
    probes: BTreeMap<&'static str, Duration>,
}

impl Run {
    fn new(settings: Settings) -> Self {
        let mut breaker = Breaker::new(settings.clone());
        breaker.resize(NAMES, Duration::ZERO);
        Self {
            settings,
            breaker,
            now: Duration::ZERO,
            out: Vec::new(),
            probes: BTreeMap::new(),
        }
    }

    fn step(&mut self, op: Op) {
        match op {
            Op::Try(name) => self.attempt(name),
            Op::Record(index, outcome, random) => self.record(index, outcome, random),
            Op::Wait(milliseconds) => self.now += Duration::from_millis(milliseconds),
            Op::Forget(name) => {
                let released = self.breaker.forget(&name, self.now);
                self.went(released);
            }
            Op::Resize(names) => {
                let released = self.breaker.resize(names, self.now);
                self.went(released);
            }
        }
        self.check();
    }

    fn attempt(&mut self, name: &'static str) {
        let before = self.breaker.state(&name, self.now);
        let is_probed = self.probes.get(name).is_some_and(|until| self.now < *until);
        let admits = self.breaker.admits(&name, self.now);
        let admission = self.breaker.may_try(&name, self.now);
        assert_eq!(admits, !matches!(admission, Admission::No { .. }));
        match admission {
            Admission::Probe(ticket) => {
                assert!(!is_probed, "a second probe of {name}");
                assert_eq!(before, Some(State::HalfOpen { is_probed: false }));
                self.probes.insert(name, self.now + self.settings.interval);
                self.out.push(ticket);
            }
            Admission::Yes(ticket) => {
                let all_are_tried = self.settings.min_health_percent > 0;
                let closed = matches!(before, None | Some(State::Closed));
                assert!(closed || all_are_tried, "{name} is tried while {before:?}");
                self.out.push(ticket);
            }
            Admission::No { until } => assert!(until > self.now && before != Some(State::Closed)),
        }
    }

    fn record(&mut self, index: usize, outcome: Outcome, random: u64) {
        if self.out.is_empty() {
            return;
        }
        let ticket = self.out.swap_remove(index % self.out.len());
        let name = *ticket.endpoint();
        let probed = State::HalfOpen { is_probed: true };
        let was_probed = self.breaker.state(&name, self.now) == Some(probed);
        let transition = self.breaker.record(ticket, outcome, self.now, random);
        let is_probed = self.breaker.state(&name, self.now) == Some(probed);
        if was_probed && !is_probed {
            self.probes.remove(name);
        }
        if was_probed && !is_probed && outcome == Outcome::Success {
            assert_eq!(self.breaker.state(&name, self.now), Some(State::Closed));
        }
        match transition.map(|it| it.change) {
            Some(Change::Opened { until, .. } | Change::Reopened { until, .. }) => {
                assert_ne!(outcome, Outcome::Success);
                assert_ne!(outcome, Outcome::Abandoned);
                assert!(until - self.now <= self.settings.max_ejection_time);
            }
            Some(Change::Closed) => {
                let state = self.breaker.state(&name, self.now);
                assert_eq!(state, Some(State::Closed));
            }
            Some(Change::Spared { .. }) | None => {}
            Some(Change::Released) => panic!("released by an outcome"),
        }
    }

    /// Some endpoints are gone, and one may be back.
    fn went(&mut self, released: Option<Transition<&'static str>>) {
        if let Some(Transition { endpoint, change }) = released {
            assert_eq!(change, Change::Released);
            self.probes.remove(endpoint);
        }
        let breaker = &self.breaker;
        let now = self.now;
        self.probes
            .retain(|name, _| breaker.state(name, now).is_some());
    }

    fn check(&self) {
        let states: Vec<State> = self.breaker.states(self.now).map(|(_, it)| it).collect();
        let ejected = states.iter().filter(|it| **it != State::Closed).count();
        assert_eq!(ejected, self.breaker.ejected());
        if self.settings.max_ejection_percent < 100 && !states.is_empty() {
            assert!(ejected < states.len(), "all are lost");
        }
        for state in states {
            if let State::Open { until } = state {
                assert!(until - self.now <= self.settings.max_ejection_time);
            }
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_the_promises_are_kept(
        settings in settings(), ops in vec(op(), 0..120),
    ) {
        let mut run = Run::new(settings);
        for op in ops {
            run.step(op);
        }
    }

    #[test]
    fn a_probe_that_succeeds_always_closes(
        settings in settings(), ops in vec(op(), 0..60), wait in 0u64..10_000,
    ) {
        let mut run = Run::new(settings);
        for op in ops {
            run.step(op);
        }
        run.now += run.settings.max_ejection_time.max(run.settings.interval);
        for name in NAMES {
            let Admission::Probe(ticket) = run.breaker.may_try(&name, run.now) else {
                continue;
            };
            let now = run.now + Duration::from_millis(wait);
            let transition = run.breaker.record(ticket, Outcome::Success, now, 0);
            prop_assert_eq!(transition.map(|it| it.change), Some(Change::Closed));
            prop_assert_eq!(run.breaker.state(&name, now), Some(State::Closed));
        }
        prop_assert_eq!(run.breaker.ejected(), 0);
    }

    #[test]
    fn an_ejection_grows_with_their_number_up_to_the_longest(
        settings in settings(), times in 1u32..50, random: u64,
    ) {
        let long = settings.ejection(times, random);
        prop_assert!(long <= settings.max_ejection_time);
        prop_assert!(long >= settings.base_ejection_time.min(settings.max_ejection_time));
        prop_assert!(settings.ejection(times + 1, 0) >= settings.ejection(times, 0));
    }
}
