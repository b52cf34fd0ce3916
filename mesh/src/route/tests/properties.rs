//! What holds for all routes and all calls.

use std::time::Instant;

use proptest::{prelude::*, sample::select};

use super::*;

fn condition() -> impl Strategy<Value = &'static str> {
    select(&[
        "{ uri: { prefix: /a } }",
        "{ uri: { prefix: /a/ } }",
        "{ uri: { prefix: /A }, ignoreUriCase: true }",
        "{ uri: { exact: /a }, method: { exact: POST } }",
        "{ uri: { exact: /a/b } }",
        "{ uri: { regex: '/[ab].*' } }",
        "{ method: { exact: POST } }",
        "{ headers: { x: {} } }",
        "{ withoutHeaders: { x: { exact: '1' } } }",
        "{ queryParams: { k: { exact: v } } }",
        "{ port: 81 }",
        "{ sourceLabels: { app: web }, uri: { prefix: /b } }",
        "{ sourceNamespace: other }",
    ])
}

/// Routes `r0`, `r1`… by the matches of each: so few that all are tried, or so many that they are
/// found by their paths.
fn routes() -> impl Strategy<Value = Vec<Vec<&'static str>>> {
    proptest::collection::vec(proptest::collection::vec(condition(), 1..3), 1..14)
}

fn call() -> impl Strategy<Value = Call> {
    let parts = (
        select(&["/", "/a", "/a/b", "/b", "/c"]),
        select(&["GET", "POST"]),
        select(&["k=v", "k=w", ""]),
        select(&[80u16, 81]),
        proptest::option::of(select(&["1", "2"])),
    );
    parts.prop_map(|(path, method, query, port, header)| {
        let call = get(path).method(method).query(query).port(port);
        match header {
            Some(value) => call.header("x", value),
            None => call,
        }
    })
}

fn each(routes: &[Vec<&'static str>]) -> Vec<String> {
    let route = |(index, matches): (usize, &Vec<&str>)| {
        to(
            &format!("r{index}"),
            &format!("match: [{}]", matches.join(", ")),
        )
    };
    routes.iter().enumerate().map(route).collect()
}

fn text(routes: &[Vec<&'static str>]) -> String {
    http(&each(routes).join(", "))
}

proptest! {
    #[test]
    fn the_first_route_that_matches_alone_matches_among_others(routes in routes(), call in call()) {
        let among = first_label(&loaded(&text(&routes)), &call);
        let alone = routes.iter().position(|route| {
            first_label(&loaded(&text(std::slice::from_ref(route))), &call) == "r0"
        });
        match alone {
            Some(index) => prop_assert_eq!(among, format!("r{}", index)),
            None => prop_assert!(!among.starts_with('r'), "{}", among),
        }
    }

    #[test]
    fn every_call_is_taken_by_a_route_without_match(routes in routes(), call in call(), random: u64) {
        let mut each = each(&routes);
        each.push(to("last", ""));
        let all = http(&each.join(", "));
        let first = goes(&loaded(&all), &call, random);
        prop_assert!(first.ends_with(".svc.cluster.local"), "{}", first);
        prop_assert_eq!(first, goes(&loaded(&all), &call, random));
    }

    #[test]
    fn a_destination_is_drawn_by_its_weight_alone(weights in proptest::collection::vec(0u32..1000, 2..6), random: u64) {
        prop_assume!(weights.iter().any(|weight| *weight > 0));
        let destination = |(index, weight): (usize, &u32)| {
            format!("{{ destination: {{ host: d{index} }}, weight: {weight} }}")
        };
        let list: Vec<String> = weights.iter().enumerate().map(destination).collect();
        let routes = loaded(&http(&format!("{{ route: [{}] }}", list.join(", "))));
        let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let point = u64::try_from((u128::from(random) * u128::from(total)) >> 64).expect("it fits");
        let mut below = 0;
        let wanted = weights.iter().position(|weight| {
            below += u64::from(*weight);
            point < below
        });
        let wanted = format!("d{}", wanted.expect("a share"));
        let drawn = goes(&routes, &get("/"), random);
        prop_assert_eq!(drawn.split('.').next(), Some(wanted.as_str()));
    }

    #[test]
    fn the_order_of_documents_carries_no_meaning(call in call(), reverse: bool) {
        let mut texts = [http(&to("one", "")), service("ratings", &format!("{{ hosts: [ratings], http: [{}] }}", to("two", "")))];
        if reverse {
            texts.reverse();
        }
        let routes = loaded(&texts.concat());
        prop_assert_eq!(first_label(&routes, &call), "one");
        prop_assert_eq!(first_label(&routes, &call.to("ratings")), "two");
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}", spec in select(&["hosts: [", "http: [{ match: [{ uri: { regex: '", "x: "])) {
        let _ = Model::parse(&[source(&text), source(&service("s", &format!("{{ hosts: [a], {spec}{text}")))]);
    }
}

/// Not a measurement: what it would find is a search through all of them, which is a thousand
/// times slower.
#[test]
fn a_route_among_ten_thousand_services_is_found_as_soon_as_among_ten() {
    let many = |count: usize| {
        let one = |index: usize| {
            service(
                &format!("s{index}"),
                &format!(
                    "{{ hosts: [s{index}], http: [{}] }}",
                    to("one", "match: [{ uri: { prefix: /a } }]")
                ),
            )
        };
        let texts: Vec<String> = (0..count).map(one).collect();
        let sources: Vec<Source> = texts
            .chunks(100)
            .map(|some| source(&some.concat()))
            .collect();
        let model = Model::parse(&sources).expect("valid");
        model
            .virtual_services()
            .for_workload(client("shop", &[]).into())
    };
    let quickest = |routes: &WorkloadRoutes| {
        let call = get("/a").to("s7.shop.svc.cluster.local");
        let time = || {
            let begin = Instant::now();
            for _ in 0..100 {
                call.ask(|call| assert!(matches!(routes.http(call, 0), HttpDecision::Routed(_))));
            }
            begin.elapsed()
        };
        (0..50).map(|_| time()).min().expect("a time")
    };
    let (few, all) = (quickest(&many(10)), quickest(&many(10_000)));
    assert!(
        all < few * 20,
        "{few:?} among ten, {all:?} among ten thousand, a hundred times"
    );
}
