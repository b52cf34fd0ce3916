//! Everything that is not understood, that would do nothing, or more than is meant.

use super::*;

/// Each `part` is wrong, and the error has its line and begins with its location.
fn each_is_refused(table: &[(&str, &str)], spec: impl Fn(&str) -> String) {
    for (part, wanted) in table {
        let text = document("a", &spec(part));
        let errors: Vec<String> = errors(&text).iter().map(ToString::to_string).collect();
        let found = errors
            .iter()
            .any(|error| error.starts_with("telemetry.yaml:5: ") && error.contains(wanted));
        assert!(found, "{part}: {errors:#?}");
    }
}

#[test]
fn each_wrong_access_log_is_refused() {
    let table = [
        (
            "{ accessLogging: [] }",
            "spec.accessLogging is an empty list",
        ),
        ("{ accessLogging: {} }", "spec.accessLogging must be a list"),
        ("{ accessLoging: [{}] }", "did you mean `accessLogging`?"),
        (
            "{ targetRefs: [{}] }",
            "spec.targetRefs is not supported yet; select",
        ),
        (
            "{ accessLogging: [{ match: { mode: BOTH } }] }",
            "spec.accessLogging[0].match.mode \"BOTH\" is not known",
        ),
        (
            "{ accessLogging: [{}, { mode: CLIENT }] }",
            "spec.accessLogging[1].mode is not a known field",
        ),
        (
            "{ accessLogging: [{ disabled: 'true' }] }",
            "spec.accessLogging[0].disabled must be true or false",
        ),
        (
            "{ accessLogging: [{ disabled: true, filter: { expression: response.code > 1 } }] }",
            "spec.accessLogging[0].filter has no effect",
        ),
        (
            "{ accessLogging: [{ filter: {} }] }",
            "spec.accessLogging[0].filter.expression is missing; write",
        ),
        (
            "{ accessLogging: [{ providers: [] }] }",
            "providers is an empty list",
        ),
        (
            "{ accessLogging: [{ providers: [otel] }] }",
            "spec.accessLogging[0].providers[0] must be a mapping",
        ),
        (
            "{ accessLogging: [{ providers: [{}] }] }",
            "spec.accessLogging[0].providers[0].name is missing",
        ),
        (
            "{ accessLogging: [{ providers: [{ name: a }, { name: a }] }] }",
            "spec.accessLogging[0].providers[1] names a again",
        ),
    ];
    each_is_refused(&table, ToString::to_string);
}

#[test]
fn each_wrong_override_of_metrics_is_refused() {
    let table = [
        ("{}", "spec.metrics[0] says nothing"),
        (
            "{ reportingInterval: 5s }",
            "spec.metrics[0].reportingInterval is not supported yet",
        ),
        (
            "{ overrides: [{}] }",
            "spec.metrics[0].overrides[0] changes nothing",
        ),
        (
            "{ overrides: [{ match: {} }] }",
            "overrides[0] changes nothing",
        ),
        (
            "{ overrides: [{ match: { metric: REQUESTS_COUNT }, disabled: true }] }",
            "match.metric \"REQUESTS_COUNT\" is not known; did you mean `REQUEST_COUNT`?",
        ),
        (
            "{ overrides: [{ match: { customMetric: x }, disabled: true }] }",
            "match.customMetric is not supported yet; name a standard metric",
        ),
        (
            "{ overrides: [{ match: { mode: SERVR }, disabled: true }] }",
            "did you mean `SERVER`?",
        ),
    ];
    each_is_refused(&table, |part| format!("{{ metrics: [{part}] }}"));
}

#[test]
fn each_wrong_tag_of_a_metric_is_refused() {
    let table = [
        ("{}", "tagOverrides names no tag"),
        ("[a]", "tagOverrides must be a mapping"),
        (
            "{ a: {} }",
            "tagOverrides.a.value is missing; write a constant",
        ),
        (
            "{ a: { value: request.host } }",
            "tagOverrides.a.value \"request.host\" is not a constant; other values are not supported yet",
        ),
        ("{ a: { value: prod } }", "is not a constant"),
        ("{ a: { value: \"'a' + 'b'\" } }", "is not a constant"),
        ("{ a: { value: \"'\" } }", "is not a constant"),
        ("{ a: { value: '\"a\\n\"' } }", "is not a constant"),
        (
            "{ a: { value: 1 } }",
            "tagOverrides.a.value must be a string",
        ),
        (
            "{ a: { operation: REMOVE, value: \"'a'\" } }",
            "tagOverrides.a.value has no effect on a tag that is removed",
        ),
        (
            "{ a: { operation: DELETE } }",
            "operation \"DELETE\" is not known",
        ),
        (
            "{ a-b: { value: \"'a'\" } }",
            "is not a name that a tag can have",
        ),
        (
            "{ 1a: { value: \"'a'\" } }",
            "is not a name that a tag can have",
        ),
        (
            "{ __a: { value: \"'a'\" } }",
            "is not a name that a tag can have",
        ),
        (
            "{ le: { value: \"'a'\" } }",
            "is not a name that a tag can have",
        ),
        (
            "{ a: { value: \"'a'\" }, a: { value: \"'b'\" } }",
            "tagOverrides.a is given twice",
        ),
    ];
    each_is_refused(&table, |part| {
        format!("{{ metrics: [{{ overrides: [{{ tagOverrides: {part} }}] }}] }}")
    });
}

#[test]
fn each_wrong_tracing_is_refused() {
    let table = [
        ("{}", "spec.tracing[0] changes nothing"),
        (
            "{ match: { mode: CLIENT } }",
            "spec.tracing[0] changes nothing",
        ),
        (
            "{ providers: [{ name: a }, { name: b }] }",
            "spec.tracing[0].providers names more than one",
        ),
        (
            "{ randomSamplingPercentage: 101 }",
            "spec.tracing[0].randomSamplingPercentage 101 is no share",
        ),
        (
            "{ randomSamplingPercentage: { value: 1 } }",
            "randomSamplingPercentage must be a number",
        ),
        (
            "{ disableContextPropagation: true }",
            "disableContextPropagation is not supported yet",
        ),
    ];
    each_is_refused(&table, |part| format!("{{ tracing: [{part}] }}"));
}

#[test]
fn each_wrong_tag_of_a_span_is_refused() {
    let table = [
        ("{ customTags: [a] }", "customTags must be a mapping"),
        (
            "{ customTags: { a: {} } }",
            "must have one of literal, header",
        ),
        (
            "{ customTags: { a: { literal: { value: b }, header: { name: c } } } }",
            "spec.tracing[0].customTags.a must have one of literal, header",
        ),
        (
            "{ customTags: { a: { formatter: { value: b } } } }",
            "customTags.a.formatter is not supported yet",
        ),
        (
            "{ customTags: { a: { literal: {} } } }",
            "literal.value is missing",
        ),
        (
            "{ customTags: { a: { header: {} } } }",
            "header.name is missing",
        ),
        (
            "{ customTags: { a: { header: { name: b c } } } }",
            "customTags.a.header.name \"b c\" is not the name of a header",
        ),
        (
            "{ customTags: { a: { environment: { name: b=c } } } }",
            "is not the name of a variable",
        ),
        (
            "{ customTags: { a b: { literal: { value: c } } } }",
            "is not a name",
        ),
        (
            "{ customTags: { a: { literal: { value: b } }, a: { literal: { value: c } } } }",
            "customTags.a is given twice",
        ),
    ];
    each_is_refused(&table, |part| format!("{{ tracing: [{part}] }}"));
}

#[test]
fn two_of_one_scope_are_refused() {
    let of = |name: &str, selector: &str| {
        document(name, &format!("{{ {selector}accessLogging: [{{}}] }}"))
    };
    let web = "selector: { matchLabels: { app: web } }, ";
    for (other, good) in [
        (of("b", ""), false),
        (of("zoo/b", ""), true),
        (of("b", web), true),
    ] {
        let text = of("a", "") + &other;
        match Model::parse(&[source(&text)]) {
            Ok(_) => assert!(good, "{text}"),
            Err(errors) => {
                let error = errors[0].to_string();
                let wanted = "Telemetry shop/b is for its whole namespace, as is shop/a";
                assert!(!good && error.contains(wanted), "{error}");
            }
        }
    }
}

#[test]
fn what_does_probably_nothing_is_warned_of() {
    let remove = "{ metrics: [{ overrides: [{ tagOverrides: \
                  { response_cod: { operation: REMOVE } } }] }] }";
    for (spec, wanted) in [
        ("{}", "Telemetry shop/a says nothing"),
        (
            "{ selector: { matchLabels: { app: web } } }",
            "says nothing",
        ),
        (
            remove,
            "is not a tag of the standard metrics; did you mean `response_code`?",
        ),
    ] {
        let model = model(&document("a", spec));
        let warnings: Vec<String> = model.warnings().iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains(wanted), "{warnings:?}");
    }
}
