//! Everything that is not understood, or of which it is not known what it means.

use super::*;

/// Each `part` is wrong, and the error has its line.
fn each_is_refused(table: &[(&str, &str)], document: impl Fn(&str) -> String) {
    for (part, wanted) in table {
        let errors: Vec<String> = errors(&document(part))
            .iter()
            .map(ToString::to_string)
            .collect();
        let found = errors
            .iter()
            .any(|error| error.starts_with("mtls.yaml:5: ") && error.contains(wanted));
        assert!(found, "{part}: {errors:#?}");
    }
}

#[test]
fn each_wrong_field_is_refused() {
    let table = [
        ("mtls: STRICT", "spec.mtls must be a mapping"),
        (
            "mtls: { mode: STRCT }",
            "spec.mtls.mode \"STRCT\" is not known; did you mean `STRICT`?",
        ),
        ("mtls: { mode: true }", "spec.mtls.mode must be a string"),
        ("mtls: { mode: }", "spec.mtls.mode has no value"),
        (
            "mtls: { mods: STRICT }",
            "spec.mtls.mods is not a known field; did you mean `mode`?",
        ),
        (
            "mtsl: { mode: STRICT }",
            "spec.mtsl is not a known field; did you mean `mtls`?",
        ),
        (
            "selector: { matchLabels: { app: 'w*' } }",
            "spec.selector.matchLabels.app holds a wildcard",
        ),
        (
            "portLevelMtls: { 80: { mode: STRICT } }",
            "none is selected; write `selector:",
        ),
        (
            "selector: {}, portLevelMtls: { 80: { mode: STRICT } }",
            "none is selected; write `selector:",
        ),
    ];
    each_is_refused(&table, |part| document("a", &format!("{{ {part} }}")));
}

#[test]
fn each_wrong_port_is_refused() {
    let table = [
        ("{}", "spec.portLevelMtls names no port"),
        (
            "[80]",
            "spec.portLevelMtls must be a mapping, but is a list",
        ),
        (
            "{ 0: { mode: STRICT } }",
            "spec.portLevelMtls.0 is not the number of a port; write a number",
        ),
        (
            "{ 65536: { mode: STRICT } }",
            "spec.portLevelMtls.65536 is not the number of a port",
        ),
        (
            "{ http: { mode: STRICT } }",
            "spec.portLevelMtls.http is not the number of a port",
        ),
        (
            "{ '080': { mode: STRICT } }",
            "spec.portLevelMtls.080 is not the number of a port",
        ),
        (
            "{ 80: { mode: STRICT }, '80': {} }",
            "spec.portLevelMtls.80 is given twice",
        ),
        (
            "{ 80: { mode: OFF } }",
            "spec.portLevelMtls.80.mode \"OFF\" is not known",
        ),
        ("{ 80: STRICT }", "spec.portLevelMtls.80 must be a mapping"),
    ];
    each_is_refused(&table, |part| {
        let selector = "selector: { matchLabels: { app: web } }";
        document("a", &format!("{{ {selector}, portLevelMtls: {part} }}"))
    });
}

#[test]
fn two_of_one_scope_are_refused() {
    let of = |name: &str, selector: &str| {
        let selector = if selector.is_empty() {
            String::new()
        } else {
            format!("selector: {{ matchLabels: {selector} }}, ")
        };
        document(name, &format!("{{ {selector}mtls: {{ mode: STRICT }} }}"))
    };
    for (one, other, wanted) in [
        (
            of("a", ""),
            of("b", ""),
            "is for its whole namespace, as is shop/a",
        ),
        (of("a", ""), of("zoo/b", ""), ""),
        (of("a", ""), of("b", "{ app: web }"), ""),
        (
            of("a", "{ app: web }"),
            of("b", "{ app: web }"),
            "may select a workload that shop/a selects too",
        ),
        (
            of("a", "{ app: web }"),
            of("b", "{ version: v1 }"),
            "may select a workload that shop/a selects too",
        ),
        (of("a", "{ app: web }"), of("b", "{ app: db }"), ""),
        (of("a", "{ app: web }"), of("zoo/b", "{ app: web }"), ""),
        (
            of("a", ""),
            of("a", ""),
            "PeerAuthentication shop/a is defined twice",
        ),
    ] {
        let text = format!("{one}{other}");
        match Model::parse(&[source(&text)]) {
            Ok(_) => assert_eq!(wanted, "", "{text}"),
            Err(errors) => {
                let error = errors[0].to_string();
                assert!(!wanted.is_empty() && error.contains(wanted), "{error}");
                assert!(error.starts_with("mtls.yaml:7: "), "{error}");
                assert!(error.contains("at mtls.yaml:2; "), "{error}");
            }
        }
    }
}
