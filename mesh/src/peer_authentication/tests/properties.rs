//! What holds for all documents and workloads.

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;

const MODES: [&str; 4] = ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"];

fn mode() -> impl Strategy<Value = &'static str> {
    select(&MODES)
}

/// What each level says, if there is a document: the workload, its port 80, its namespace, the
/// mesh.
fn text(levels: &[Option<&str>; 4]) -> String {
    let [workload, port, namespace, mesh] = levels;
    let mtls = |mode: &Option<&str>| {
        mode.map_or_else(String::new, |mode| format!("mtls: {{ mode: {mode} }}, "))
    };
    let ports = port.map_or_else(String::new, |mode| {
        format!("portLevelMtls: {{ 80: {{ mode: {mode} }} }}, ")
    });
    let selected = format!(
        "{{ {}{ports}selector: {{ matchLabels: {{ app: web }} }} }}",
        mtls(workload)
    );
    let mut text = document("w", &selected);
    for (name, level) in [("shop/n", namespace), ("istio-system/m", mesh)] {
        if level.is_some() {
            text += &document(name, &format!("{{ {} }}", mtls(level)));
        }
    }
    text
}

proptest! {
    #[test]
    fn the_nearest_that_is_set_decides_and_else_it_is_strict(
        workload in option::of(mode()), port in option::of(mode()),
        namespace in option::of(mode()), mesh in option::of(mode()),
    ) {
        let model = model(&text(&[workload, port, namespace, mesh]));
        let nearest = |levels: &[Option<&'static str>]| {
            let mut set = levels.iter().flatten().filter(|mode| **mode != "UNSET");
            set.next().copied().unwrap_or("STRICT")
        };
        for (name, number, levels) in [
            ("shop/web", 80, &[port, workload, namespace, mesh][..]),
            ("shop/web", 81, &[workload, namespace, mesh]),
            ("shop/db", 80, &[namespace, mesh]),
            ("zoo/web", 80, &[mesh]),
        ] {
            let decided = decided(&model, name, number);
            let mode = decided.split(' ').next();
            prop_assert_eq!(mode, Some(nearest(levels)), "{}:{}", name, number);
            prop_assert_eq!(
                decided.ends_with("by default"),
                levels.iter().flatten().all(|mode| *mode == "UNSET")
            );
        }
    }

    #[test]
    fn no_workload_is_selected_by_two_that_were_accepted(
        selectors in vec(vec((select(&["app", "tier"]), select(&["a", "b"])), 0..3), 1..4),
        app in select(&["a", "b"]), tier in select(&["a", "b"]),
    ) {
        let labels = |selector: &Vec<(&str, &str)>| -> BTreeMap<String, String> {
            let owned = selector.iter().map(|(key, value)| ((*key).into(), (*value).into()));
            owned.collect()
        };
        let selectors: Vec<_> = selectors.iter().map(labels).collect();
        let text: String = selectors.iter().enumerate().map(|(index, labels)| {
            let mtls = "mtls: { mode: STRICT }";
            let pairs: Vec<_> = labels.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            let selector = format!("selector: {{ matchLabels: {{ {} }} }}", pairs.join(", "));
            let selector = if pairs.is_empty() { "" } else { &selector };
            let comma = if pairs.is_empty() { "" } else { ", " };
            document(&format!("d{index}"), &format!("{{ {selector}{comma}{mtls} }}"))
        }).collect();
        if Model::parse(&[source(&text)]).is_ok() {
            let held = labels(&vec![("app", app), ("tier", tier)]);
            let selects = |it: &&BTreeMap<String, String>| {
                !it.is_empty() && it.iter().all(|(key, value)| held.get(key) == Some(value))
            };
            prop_assert!(selectors.iter().filter(selects).count() <= 1);
            prop_assert!(selectors.iter().filter(|it| it.is_empty()).count() <= 1);
        }
    }

    #[test]
    fn any_text_is_answered(
        text in "\\PC{0,60}",
        begin in select(&["mtls: { mode: ", "portLevelMtls: { ", "selector: {", "x: "]),
    ) {
        let _ = Model::parse(&[source(&document("a", &format!("{{ {begin}{text}")))]);
    }
}
