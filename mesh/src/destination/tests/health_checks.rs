//! Health checks: how they are written, what is refused, and when an endpoint is taken for unwell.

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;

use crate::{
    Balancing, CheckedHealth, HealthCheck, HealthQuestion, Model, Source, Workload,
    problem::DocumentError,
};

fn parse(annotation: &str, spec: &str) -> Result<Model, Vec<DocumentError>> {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
         metadata: {{ name: r, annotations: {{ signet.io/health-check: {annotation} }} }}\n\
         spec: {spec}\n"
    );
    let name = "rule.yaml".to_owned();
    Model::parse(&[Source { name, text }])
}

fn of(model: &Model, subset: Option<&str>, port: u16) -> Option<Arc<HealthCheck>> {
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: Default::default(),
    };
    let model = model.for_workload(&workload, "istio-system");
    let rules = model.obeyed_rules(|_| true).next().unwrap();
    let part = model.destination(&rules.host, subset, port);
    part.unwrap().policy.health_check.clone()
}

fn checked(annotation: &str) -> HealthCheck {
    let model = parse(&format!("'{annotation}'"), "{ host: a.test }");
    let model = model.unwrap_or_else(|errors| panic!("{errors:#?}"));
    Arc::unwrap_or_clone(of(&model, None, 80).unwrap())
}

#[test]
fn a_check_has_defaults_and_says_what_it_asks() {
    let plain = checked("tcp: {}");
    assert_eq!(plain.question, HealthQuestion::Tcp);
    assert_eq!(plain.interval, Duration::from_secs(10));
    assert_eq!(plain.timeout, Duration::from_secs(1));
    assert_eq!((plain.healthy_threshold, plain.unhealthy_threshold), (2, 3));
    let full = checked(
        "{ http: { path: /ready?a=b }, interval: 2s, timeout: 300ms, healthyThreshold: 1, \
         unhealthyThreshold: 7 }",
    );
    assert_eq!(full.question, HealthQuestion::Http("/ready?a=b".into()));
    assert_eq!(full.interval, Duration::from_secs(2));
    assert_eq!(full.timeout, Duration::from_millis(300));
    assert_eq!((full.healthy_threshold, full.unhealthy_threshold), (1, 7));
    let grpc = checked("grpc: { service: shop.Orders }");
    assert_eq!(grpc.question, HealthQuestion::Grpc("shop.Orders".into()));
    assert_eq!(
        checked("grpc: {}").question,
        HealthQuestion::Grpc("".into())
    );
}

#[test]
fn it_holds_for_every_part_and_port_of_the_host() {
    let spec = "{ host: a.test, trafficPolicy: { loadBalancer: { simple: RANDOM }, \
                portLevelSettings: [{ port: { number: 81 }, tls: { mode: DISABLE } }] }, \
                subsets: [{ name: v1, labels: { a: b } }] }";
    let model = parse("'tcp: {}'", spec).unwrap();
    for (subset, port) in [(None, 80), (None, 81), (Some("v1"), 80), (Some("v1"), 81)] {
        assert!(of(&model, subset, port).is_some(), "{subset:?} {port}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for bad in [
        "'interval: 5s'",
        "'{ tcp: {}, grpc: {} }'",
        "'{ tcp: {}, intervall: 5s }'",
        "'tcp: { port: 1 }'",
        "'http: {}'",
        "'http: { path: ready }'",
        "'http: { path: \"/a b\" }'",
        "'http: { path: \"/a\\r\\nb: c\" }'",
        "'grpc: { service: \"a b\" }'",
        "'{ tcp: {}, interval: 10ms }'",
        "'{ tcp: {}, interval: 5 }'",
        "'{ tcp: {}, timeout: 2m }'",
        "'{ tcp: {}, healthyThreshold: 0 }'",
        "'{ tcp: {}, unhealthyThreshold: 101 }'",
        "'{'",
        "''",
        "{ tcp: {} }",
    ] {
        let errors = parse(bad, "{ host: a.test }").err();
        let errors = errors.unwrap_or_else(|| panic!("{bad} is taken"));
        let first = &errors[0];
        assert!(first.what.starts_with("signet.io/health-check"), "{first}");
        assert_eq!(first.line, 3, "{first}");
    }
}

#[test]
fn an_object_of_another_kind_has_none() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\n\
                metadata: { name: v, annotations: { signet.io/health-check: 'tcp: {}' } }\n\
                spec: { hosts: [a.test], http: [{ route: [{ destination: { host: a.test } }] }] }\n";
    let source = Source {
        name: "v.yaml".to_owned(),
        text: text.to_owned(),
    };
    let errors = Model::parse(&[source]).unwrap_err();
    assert!(
        errors[0].what.contains("signet.io/health-check"),
        "{errors:?}"
    );
}

#[test]
fn an_annotation_has_endpoints_chosen_by_how_long_they_take() {
    let parse = |value: &str, policy: &str| {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\n\
             metadata: {{ name: r, annotations: {{ signet.io/load-balancer: {value} }} }}\n\
             spec: {{ host: a.test{policy} }}\n"
        );
        let name = "rule.yaml".to_owned();
        Model::parse(&[Source { name, text }])
    };
    let own = ", subsets: [{ name: v1, labels: { a: b }, \
               trafficPolicy: { loadBalancer: { simple: RANDOM } } }]";
    let model = parse("PEAK_EWMA", own).unwrap();
    let rule = model.destination_rules().iter().next().unwrap();
    let balancing = rule
        .policies()
        .map(|policy| policy.load_balancer.balancing.clone());
    assert_eq!(
        balancing.collect::<Vec<_>>(),
        [Balancing::PeakEwma, Balancing::Random]
    );
    assert!(model.not_carried().is_empty());
    let beside = ", trafficPolicy: { loadBalancer: { simple: RANDOM } }";
    for (value, policy) in [("PEAK_EWMA", beside), ("EWMA", ""), ("true", "")] {
        let errors = parse(value, policy).unwrap_err();
        assert!(
            errors[0].what.starts_with("signet.io/load-balancer"),
            "{errors:?}"
        );
    }
}

#[test]
fn the_first_check_decides_and_then_it_takes_several() {
    let check = checked("tcp: {}");
    let mut health = CheckedHealth::default();
    assert_eq!(health.verdict(), None);
    assert_eq!(health.take(false, &check), Some(false));
    assert_eq!(health.take(true, &check), None);
    assert_eq!(health.take(true, &check), Some(true));
    for passed in [false, false, true, false, false] {
        assert_eq!(health.take(passed, &check), None);
    }
    assert_eq!(health.take(false, &check), Some(false));
    let mut well = CheckedHealth::default();
    assert_eq!(well.take(true, &check), None);
    assert_eq!(well.verdict(), Some(true));
}

proptest! {
    #[test]
    fn a_verdict_turns_only_after_its_threshold_in_a_row(
        passed in proptest::collection::vec(any::<bool>(), 1..60),
        healthy in 1_u32..5,
        unhealthy in 1_u32..5,
    ) {
        let mut check = checked("tcp: {}");
        (check.healthy_threshold, check.unhealthy_threshold) = (healthy, unhealthy);
        let mut health = CheckedHealth::default();
        for (place, now) in passed.iter().enumerate() {
            let before = health.verdict();
            let change = health.take(*now, &check);
            let after = health.verdict();
            prop_assert!(after.is_some());
            prop_assert_eq!(change.is_some(), before.unwrap_or(true) != after.unwrap());
            if let (Some(_), Some(after)) = (change, after) {
                let wanted = if after { healthy } else { unhealthy } as usize;
                let run = passed[..=place].iter().rev().take_while(|it| **it == after).count();
                prop_assert!(before.is_none() || run >= wanted);
            }
        }
    }

    #[test]
    fn pauses_are_within_a_tenth_of_the_interval(random in any::<u64>()) {
        let pause = checked("tcp: {}").pause(random);
        prop_assert!(pause >= Duration::from_secs(9) && pause <= Duration::from_secs(11));
    }
}
