//! What holds for all documents and workloads.

use proptest::{collection::vec, prelude::*, sample::select};

use super::*;

/// Items of `accessLogging`, each with whether it speaks of the client's side.
fn item() -> impl Strategy<Value = (String, bool)> {
    let mode = select(&["CLIENT", "SERVER", "CLIENT_AND_SERVER"]);
    let provider = select(&[
        "",
        "providers: [{ name: a }], ",
        "providers: [{ name: b }], ",
    ]);
    (mode, provider, any::<bool>()).prop_map(|(mode, provider, disabled)| {
        let text = format!("{{ {provider}match: {{ mode: {mode} }}, disabled: {disabled} }}");
        (text, mode != "SERVER")
    })
}

fn access_logs(name: &str, selector: &str, items: &[(String, bool)]) -> String {
    let items: Vec<&str> = items.iter().map(|(text, _)| &**text).collect();
    let items = items.join(", ");
    document(name, &format!("{{ {selector}accessLogging: [{items}] }}"))
}

proptest! {
    #[test]
    fn the_nearest_document_that_speaks_of_a_side_decides_alone(
        mesh in vec(item(), 1..3), namespace in vec(item(), 1..3), workload in vec(item(), 1..3),
    ) {
        let web = "selector: { matchLabels: { app: web } }, ";
        let documents = [
            ("shop/w", web, &workload), ("shop/n", "", &namespace), ("istio-system/m", "", &mesh),
        ];
        let texts = documents.map(|(name, selector, items)| {
            let speaks = items.iter().any(|(_, of_client)| *of_client);
            (access_logs(name, selector, items), speaks)
        });
        let all: String = texts.iter().map(|(text, _)| &**text).collect();
        let mut speaking = texts.into_iter().filter(|(_, speaks)| *speaks);
        let alone = speaking.next().map(|(text, _)| text).unwrap_or_default();
        let found = logs(&told(&model(&all), "shop/web"), Side::Client);
        let wanted = match alone.is_empty() {
            true => None,
            false => logs(&told(&model(&alone), "shop/web"), Side::Client),
        };
        prop_assert_eq!(found, wanted);
    }

    #[test]
    fn no_provider_gets_a_line_twice(items in vec(item(), 1..6)) {
        let told = told(&model(&access_logs("a", "", &items)), "shop/web");
        for side in [Side::Client, Side::Server] {
            let mut names = logs(&told, side).unwrap_or_default();
            let count = names.len();
            names.sort();
            names.dedup();
            prop_assert_eq!(names.len(), count);
        }
    }

    #[test]
    fn any_text_is_answered(
        text in "\\PC{0,60}",
        begin in select(&[
            "accessLogging: [{ filter: { expression: ", "metrics: [{ overrides: [{ ",
            "tracing: [{ customTags: { a: { ", "x: ",
        ]),
    ) {
        let _ = Model::parse(&[source(&document("a", &format!("{{ {begin}{text}")))]);
    }
}
