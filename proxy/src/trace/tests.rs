//! What is read of a request's trace, what is recorded, and what the next hop is told.

use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use signet_mesh::{Model, Source, Workload};

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in lines {
        map.append(*name, HeaderValue::from_str(value).unwrap());
    }
    map
}

fn tracer(sampling: Percent, propagators: Propagators) -> Tracer {
    let settings = Settings {
        sampling,
        propagators,
    };
    Tracer::new(Side::Server, settings, Vec::new())
}

const W3C: Propagators = Propagators {
    w3c: true,
    b3: false,
    b3_multi: false,
};

fn traced(map: &mut HeaderMap) -> Option<Begun> {
    tracer(Percent::ALL, W3C).begin(map)
}

fn text<'h>(map: &'h HeaderMap, name: &str) -> &'h str {
    map.get(name).map_or("", |value| value.to_str().unwrap())
}

#[test]
fn a_request_without_a_trace_begins_one_of_which_the_next_hop_is_a_child() {
    let mut map = HeaderMap::new();
    let begun = traced(&mut map).unwrap();
    assert_eq!(begun.parent_id, None);
    let expected = format!("00-{:032x}-{:016x}-01", begun.trace_id, begun.span_id);
    assert_eq!(text(&map, "traceparent"), expected);
    assert_eq!(map.len(), 1);
}

#[test]
fn the_next_hop_is_a_child_of_this_one_and_this_one_of_the_caller() {
    for version in ["00", "01", "cc"] {
        let given = format!("{version}-{TRACE}-{PARENT}-01");
        let mut map = headers(&[("traceparent", &given), ("tracestate", "a=1,b=2")]);
        let begun = traced(&mut map).unwrap();
        assert_eq!(format!("{:032x}", begun.trace_id), TRACE);
        assert_eq!(format!("{:016x}", begun.parent_id.unwrap()), PARENT);
        let expected = format!("00-{TRACE}-{:016x}-01", begun.span_id);
        assert_eq!(text(&map, "traceparent"), expected);
        assert_eq!(text(&map, "tracestate"), "a=1,b=2");
        assert_eq!(begun.trace_state.as_deref(), Some("a=1,b=2"));
    }
    // That an ID is random goes on, other flags do not; a later version may say more.
    for (flags, more, expected) in [("03", "", "03"), ("ff", "", "03"), ("01", "-x", "01")] {
        let version = if more.is_empty() { "00" } else { "01" };
        let given = format!("{version}-{TRACE}-{PARENT}-{flags}{more}");
        let mut map = headers(&[("traceparent", &given)]);
        traced(&mut map).unwrap();
        let told = text(&map, "traceparent");
        assert!(told.ends_with(&format!("-{expected}")), "{given}: {told}");
    }
}

#[test]
fn a_traceparent_that_is_not_valid_begins_a_trace_without_the_state_of_the_old_one() {
    let zeros = "0".repeat(32);
    for given in [
        String::new(),
        format!("ff-{TRACE}-{PARENT}-01"),
        format!("00-{TRACE}-{PARENT}-01-x"),
        format!("00-{TRACE}-{PARENT}-1"),
        format!("01-{TRACE}-{PARENT}-01x"),
        format!("00-{zeros}-{PARENT}-01"),
        format!("00-{TRACE}-{}-01", &zeros[..16]),
        format!("00-{}-{PARENT}-01", TRACE.to_uppercase()),
        format!("00-{}é-{PARENT}-01", &TRACE[2..]),
        format!("0-{TRACE}-{PARENT}-01"),
        format!("00-{TRACE}-{PARENT}+01"),
        format!("00-{TRACE}{PARENT}--01"),
    ] {
        let Ok(value) = HeaderValue::from_bytes(given.as_bytes()) else {
            panic!("{given}");
        };
        let mut map = headers(&[("tracestate", "a=1")]);
        map.insert("traceparent", value);
        let begun = traced(&mut map).unwrap();
        assert_ne!(format!("{:032x}", begun.trace_id), TRACE, "{given}");
        assert_eq!(begun.parent_id, None, "{given}");
        assert!(text(&map, "traceparent").ends_with("-01"), "{given}");
        assert!(!map.contains_key("tracestate"), "{given}");
    }
    let one = format!("00-{TRACE}-{PARENT}-01");
    let mut map = headers(&[("traceparent", &one), ("traceparent", &one)]);
    assert_eq!(traced(&mut map).unwrap().parent_id, None);
    assert_eq!(map.get_all("traceparent").iter().count(), 1);
}

/// What becomes of the state of a good trace.
fn state(given: &[&str]) -> String {
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let mut map = headers(&[("traceparent", &parent)]);
    for value in given {
        map.append("tracestate", HeaderValue::from_str(value).unwrap());
    }
    traced(&mut map).unwrap();
    assert!(map.get_all("tracestate").iter().count() < 2);
    text(&map, "tracestate").to_owned()
}

#[test]
fn the_state_of_a_trace_is_one_list_within_its_limits_or_none() {
    assert_eq!(state(&["a=1", "b@c=2 , ,d=3"]), "a=1,b@c=2,d=3");
    for broken in [
        "A=1", "a", "a=", "=1", "a@=1", "a=1,b=é", "a=b=c", "a@b@c=1",
    ] {
        let parent = format!("00-{TRACE}-{PARENT}-01");
        let mut map = headers(&[("traceparent", &parent)]);
        map.insert(
            "tracestate",
            HeaderValue::from_bytes(broken.as_bytes()).unwrap(),
        );
        traced(&mut map).unwrap();
        assert_eq!(text(&map, "tracestate"), "", "{broken}");
    }
    let many = |count: usize| (0..count).map(|it| format!("k{it}=1")).collect::<Vec<_>>();
    assert_eq!(state(&[&many(32).join(",")]), many(32).join(","));
    assert_eq!(state(&[&many(33).join(",")]), "");
    // Of too many bytes, long members go first, and then the last.
    let long = format!("long={}", "x".repeat(200));
    let list = (0..20).map(|it| format!("k{it:02}={}", "y".repeat(30)));
    let list: Vec<String> = list.collect();
    let kept = state(&[&long, &list.join(",")]);
    assert!(kept.starts_with("k00=") && kept.len() <= 512, "{kept}");
    assert_eq!(kept, list[..kept.split(',').count()].join(","));
}

#[test]
fn what_was_decided_before_is_obeyed_and_else_the_share_decides() {
    let parent = |flags| format!("00-{TRACE}-{PARENT}-{flags}");
    let never = tracer(Percent::NONE, W3C);
    let mut yes = headers(&[("traceparent", &parent("01"))]);
    assert!(never.begin(&mut yes).is_some());
    // Nothing of this hop is in a trace that is not recorded: its headers stay as they are.
    let mut no = headers(&[("traceparent", &parent("00")), ("tracestate", "Bad")]);
    let before = no.clone();
    assert!(traced(&mut no).is_none());
    assert_eq!(no, before);
    // What nobody decided is decided for all hops after this one.
    let mut undecided = HeaderMap::new();
    assert!(never.begin(&mut undecided).is_none());
    assert!(text(&undecided, "traceparent").ends_with("-00"));
    let some = tracer(Percent::whole(25), W3C);
    let kept = (0..4000).filter(|_| some.begin(&mut HeaderMap::new()).is_some());
    let kept = kept.count();
    assert!((800..1200).contains(&kept), "{kept} of 4000");
}

#[test]
fn b3_is_read_in_both_forms_and_goes_on_in_the_form_in_which_it_came() {
    let one = format!("{TRACE}-{PARENT}-1-05e3ac9a4f6e3b90");
    let mut map = headers(&[("b3", &one)]);
    let begun = traced(&mut map).unwrap();
    assert_eq!(format!("{:032x}", begun.trace_id), TRACE);
    let expected = format!("{TRACE}-{:016x}-1-{PARENT}", begun.span_id);
    assert_eq!(text(&map, "b3"), expected);
    assert!(text(&map, "traceparent").starts_with(&format!("00-{TRACE}-")));

    let short = &TRACE[16..];
    let mut map = headers(&[
        ("x-b3-traceid", short),
        ("x-b3-spanid", PARENT),
        ("x-b3-sampled", "1"),
    ]);
    let begun = traced(&mut map).unwrap();
    assert_eq!(format!("{:x}", begun.trace_id), short);
    assert_eq!(text(&map, "x-b3-traceid"), short);
    assert_eq!(text(&map, "x-b3-spanid"), format!("{:016x}", begun.span_id));
    assert_eq!(text(&map, "x-b3-parentspanid"), PARENT);
    assert_eq!(text(&map, "x-b3-sampled"), "1");
}

#[test]
fn what_b3_decides_is_obeyed_with_or_without_a_trace() {
    let never = tracer(Percent::NONE, W3C);
    for (name, value) in [
        ("b3", "1"),
        ("b3", "d"),
        ("x-b3-sampled", "true"),
        ("x-b3-flags", "1"),
    ] {
        let mut map = headers(&[(name, value)]);
        assert!(never.begin(&mut map).is_some(), "{name}: {value}");
    }
    let mut debugged = headers(&[("x-b3-flags", "1")]);
    never.begin(&mut debugged).unwrap();
    assert_eq!(text(&debugged, "x-b3-flags"), "1");
    let no = format!("{TRACE}-{PARENT}-0");
    for (name, value) in [("b3", "0"), ("b3", &*no), ("x-b3-sampled", "0")] {
        let mut map = headers(&[(name, value)]);
        let before = map.clone();
        assert!(traced(&mut map).is_none(), "{name}: {value}");
        assert_eq!(map, before);
    }
    // Nobody has decided yet.
    let deferred = format!("{TRACE}-{PARENT}");
    let mut map = headers(&[("b3", &deferred)]);
    assert!(never.begin(&mut map).is_none());
    assert!(text(&map, "b3").ends_with(&format!("-0-{PARENT}")));
    for broken in ["x", "", "0-0", "1-2-3", &format!("{TRACE}-{PARENT}-2")] {
        let mut map = headers(&[("b3", broken)]);
        assert_eq!(traced(&mut map).unwrap().parent_id, None, "{broken}");
        assert_ne!(text(&map, "b3"), broken);
    }
}

#[test]
fn w3c_goes_before_b3_and_what_is_configured_is_told_beside_what_came() {
    let given = format!("00-{TRACE}-{PARENT}-01");
    let mut map = headers(&[("traceparent", &given), ("b3", "0")]);
    let begun = traced(&mut map).unwrap();
    assert_eq!(
        text(&map, "b3"),
        format!("{TRACE}-{:016x}-1-{PARENT}", begun.span_id)
    );
    let all = Propagators {
        b3: true,
        b3_multi: true,
        ..W3C
    };
    let mut map = HeaderMap::new();
    tracer(Percent::ALL, all).begin(&mut map).unwrap();
    for name in [
        "traceparent",
        "b3",
        "x-b3-traceid",
        "x-b3-spanid",
        "x-b3-sampled",
    ] {
        assert!(map.contains_key(name), "{name}");
    }
    assert!(!map.contains_key("x-b3-parentspanid"));
}

/// The tracer, as this `tracing` of a `Telemetry` says.
fn with(tracing: &str) -> Tracer {
    let text = format!(
        "apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {{ name: t }}\n\
         spec: {{ tracing: [{tracing}] }}\n"
    );
    let source = Source {
        name: "t.yaml".to_owned(),
        text,
    };
    let workload = Workload {
        namespace: "default".to_owned(),
        labels: std::collections::BTreeMap::new(),
    };
    let model = Model::parse(&[source]).unwrap();
    let tracer = tracer(Percent::ALL, W3C);
    tracer.follow(&model.for_workload(&workload, "root").telemetry);
    tracer
}

#[test]
fn a_telemetry_says_the_share_and_the_tags_and_whether_spans_are_sent_on_its_side() {
    let begin = |tracing: &str, map: &mut HeaderMap| with(tracing).begin(map);
    let mut new = HeaderMap::new();
    assert!(begin("{ randomSamplingPercentage: 0 }", &mut new).is_none());
    let client = "{ match: { mode: CLIENT }, randomSamplingPercentage: 0 }";
    assert!(begin(client, &mut HeaderMap::new()).is_some());
    // The trace is handed on as it came, or begun, and nobody hears of this hop.
    let given = format!("00-{TRACE}-{PARENT}-01");
    let mut map = headers(&[("traceparent", &given)]);
    assert!(begin("{ disableSpanReporting: true }", &mut map).is_none());
    assert_eq!(text(&map, "traceparent"), given);
    let mut new = HeaderMap::new();
    assert!(begin("{ disableSpanReporting: true }", &mut new).is_none());
    assert!(text(&new, "traceparent").ends_with("-01"));
    let tags = "{ customTags: { a: { literal: { value: one } }, \
                b: { header: { name: x-b, defaultValue: none } }, c: { header: { name: x-c } } } }";
    let long = "x".repeat(300);
    let begun = begin(tags, &mut headers(&[("x-b", &long)])).unwrap();
    let expected = [
        Attribute::text("a", "one"),
        Attribute::text("b", "x".repeat(256)),
    ];
    assert_eq!(begun.tags, expected);
    let begun = begin(tags, &mut HeaderMap::new()).unwrap();
    assert_eq!(begun.tags[1], Attribute::text("b", "none"));
}

proptest! {
    #[test]
    fn any_headers_give_a_trace_that_the_next_hop_can_read(
        parent in "[0-9a-fx-]{0,60}",
        state in "[ -~]{0,80}",
        b3 in "[0-9a-fd-]{0,70}",
        sampled in "[01dtrue]{0,4}",
    ) {
        let mut map = headers(&[
            ("traceparent", &parent),
            ("tracestate", &state),
            ("b3", &b3),
            ("x-b3-sampled", &sampled),
        ]);
        if let Some(begun) = traced(&mut map) {
            prop_assert!(begun.trace_id != 0 && begun.span_id != 0);
            let Incoming::Trace(next) = propagators::read(&map) else {
                return Err(TestCaseError::fail(format!("{map:?}")));
            };
            prop_assert_eq!((next.trace_id, next.span_id), (begun.trace_id, begun.span_id));
        }
    }
}
