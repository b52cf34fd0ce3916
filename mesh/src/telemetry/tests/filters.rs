//! Filters of the access log mean what they mean in CEL.

use proptest::prelude::*;

use super::*;

fn filter(expression: &str) -> LogFilter {
    let spec = format!("{{ accessLogging: [{{ filter: {{ expression: '{expression}' }} }}] }}");
    let told = told(&model(&document("a", &spec)), "shop/web");
    let logs = told.access_log(Side::Client).expect("a log");
    logs[0].filter.clone().expect("a filter")
}

#[test]
fn each_comparison_keeps_what_it_says() {
    for (expression, kept, dropped) in [
        ("response.code >= 400", [400, 503], [399, 200]),
        ("response.code > 400", [401, 503], [400, 200]),
        ("response.code < 400", [399, 200], [400, 503]),
        ("response.code <= 400", [400, 200], [401, 503]),
        ("response.code == 404", [404, 404], [403, 405]),
        ("response.code!=404", [403, 405], [404, 404]),
        ("(response.code >= 400)", [400, 503], [399, 200]),
        ("!(response.code >= 400)", [399, 200], [400, 503]),
        ("!!(response.code >= 400)", [400, 503], [399, 200]),
        ("has(response.code)", [100, 599], [0, 0]),
        (
            "response.code >= 400 && response.code < 500",
            [400, 499],
            [399, 500],
        ),
        (
            "response.code < 200 || response.code >= 500",
            [199, 500],
            [200, 499],
        ),
        // `&&` binds closer than `||`.
        (
            "response.code == 1 || response.code > 400 && response.code < 500",
            [1, 404],
            [500, 2],
        ),
        (
            "response.code < 500 && response.code > 400 || response.code == 600",
            [404, 600],
            [400, 500],
        ),
        (
            "(response.code == 1 || response.code > 400) && response.code < 500",
            [1, 404],
            [500, 2],
        ),
    ] {
        let filter = filter(expression);
        for code in kept {
            assert!(filter.keeps(Some(code)), "{expression} keeps {code}");
        }
        for code in dropped.into_iter().filter(|code| *code > 0) {
            assert!(!filter.keeps(Some(code)), "{expression} drops {code}");
        }
    }
}

#[test]
fn without_a_response_nothing_is_kept_but_what_does_not_ask_for_it() {
    for (expression, kept) in [
        ("response.code >= 400", false),
        ("!(response.code >= 400)", false),
        ("response.code >= 400 || response.code < 400", false),
        ("has(response.code)", false),
        ("!has(response.code)", true),
        ("!has(response.code) || response.code >= 400", true),
        ("response.code >= 400 || !has(response.code)", true),
        ("response.code >= 400 && !has(response.code)", false),
        ("!(response.code >= 400 && has(response.code))", true),
        ("has(response.code) || response.code >= 400", false),
    ] {
        assert_eq!(filter(expression).keeps(None), kept, "{expression}");
    }
}

#[test]
fn what_is_not_read_of_an_expression_is_refused() {
    let deep = format!("{}response.code > 1{}", "(".repeat(17), ")".repeat(17));
    let long = vec!["response.code > 1"; 60].join(" || ");
    for (expression, wanted) in [
        ("", "it ends too early"),
        ("   ", "it ends too early"),
        ("request.method == \"GET\"", "'\"' is not expected there"),
        ("request.method", "`request.method` is not supported yet"),
        (
            "connection.mtls == false",
            "`connection.mtls` is not supported yet",
        ),
        ("true", "`true` is not supported yet"),
        ("400 <= response.code", "`400` is not supported yet"),
        ("response.code", "has to be compared with a number"),
        ("response.code = 400", "'=' is not expected there"),
        ("response.code >= 4.0", "only with a whole number"),
        ("response.code >= 4u", "only with a whole number"),
        ("response.code >= 0400", "only with a whole number"),
        ("response.code >= -1", "'-' is not expected there"),
        ("response.code >= 99999999999", "only with a whole number"),
        ("response.code >= response.code", "only with a whole number"),
        ("response.code >= 400 < 500", "`<` is not expected there"),
        ("response.code >= 400 &&", "it ends too early"),
        ("&& response.code >= 400", "`&&` is not supported yet"),
        (
            "!response.code >= 400",
            "`response.code` is not supported yet",
        ),
        ("has(request.id)", "`has` is read only of `response.code`"),
        ("has response.code", "`has` is read only of `response.code`"),
        ("has(response.code", "a `)` is missing"),
        ("(response.code >= 400", "a `)` is missing"),
        ("response.code >= 400)", "`)` is not expected there"),
        (
            "has(response.code) ? response.code : 1",
            "'?' is not expected there",
        ),
        ("response.code in [500]", "'[' is not expected there"),
        (deep.as_str(), "it is nested too deeply"),
        (long.as_str(), "it is longer than 1024 bytes"),
    ] {
        let spec = format!("{{ accessLogging: [{{ filter: {{ expression: '{expression}' }} }}] }}");
        let error = errors(&document("a", &spec))[0].to_string();
        let location = "telemetry.yaml:5: spec.accessLogging[0].filter.expression \"";
        assert!(error.starts_with(location), "{error}");
        assert!(error.contains(wanted), "{expression}: {error}");
        assert!(error.contains("; read are `response.code`"), "{error}");
    }
}

/// An expression, and what CEL makes of it; `None` is a failure.
#[derive(Debug, Clone)]
struct Expected {
    text: String,
    value: Option<bool>,
}

/// Expressions about a call with this code.
fn expression(code: Option<u16>) -> impl Strategy<Value = Expected> {
    let leaf = prop_oneof![
        Just(Expected {
            text: "has(response.code)".to_owned(),
            value: Some(code.is_some()),
        }),
        (0u16..4).prop_map(move |number| Expected {
            text: format!("response.code >= {number}"),
            value: code.map(|code| code >= number),
        }),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            inner.clone().prop_map(|it| Expected {
                text: format!("!({})", it.text),
                value: it.value.map(|value| !value),
            }),
            (inner.clone(), inner, any::<bool>()).prop_map(|(a, b, or)| {
                let symbol = if or { "||" } else { "&&" };
                let value = match (a.value, b.value) {
                    (Some(enough), _) | (_, Some(enough)) if enough == or => Some(or),
                    (Some(_), Some(_)) => Some(!or),
                    (None, _) | (_, None) => None,
                };
                Expected {
                    text: format!("({}) {symbol} ({})", a.text, b.text),
                    value,
                }
            }),
        ]
    })
}

proptest! {
    #[test]
    fn an_expression_keeps_what_it_keeps_in_cel(
        (code, expected) in proptest::option::of(0u16..4)
            .prop_flat_map(|code| (Just(code), expression(code))),
    ) {
        let kept = filter(&expected.text).keeps(code);
        prop_assert_eq!(kept, expected.value == Some(true), "{}", expected.text);
    }

    #[test]
    fn any_expression_is_answered(text in "(response\\.code|has|[<>=!&|()4 ]|[a-z.]){0,24}") {
        let spec = format!("{{ accessLogging: [{{ filter: {{ expression: \"{text}\" }} }}] }}");
        let _ = Model::parse(&[source(&document("a", &spec))]);
    }
}
