//! When an endpoint is left out.

use super::*;
use crate::breaker::{Outcome, Settings};

#[test]
fn the_old_count_of_errors_is_that_of_today_and_is_warned_of() {
    let text = policy("outlierDetection: { consecutiveErrors: 3, maxEjectionPercent: 50 }");
    let outliers = outliers(&text);
    assert_eq!(outliers.consecutive_errors, Some(3));
    assert_eq!(outliers.consecutive_gateway_errors, None);
    let warnings = warnings(&text);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].contains("consecutiveErrors is deprecated"),
        "{warnings:?}"
    );
}

fn outliers(text: &str) -> OutlierDetection {
    of(text, None, 80)
        .outlier_detection
        .expect("outlier detection")
}

#[test]
fn what_outlier_detection_counts_and_what_it_does_not() {
    for (fields, any, gateway, local) in [
        ("interval: 1s", Some(5), None, LocalOrigin::Together),
        (
            "consecutive5xxErrors: 0, consecutiveGatewayErrors: 3",
            None,
            Some(3),
            LocalOrigin::Together,
        ),
        (
            "consecutive5xxErrors: 9, consecutiveGatewayErrors: 0",
            Some(9),
            None,
            LocalOrigin::Together,
        ),
        (
            "splitExternalLocalOriginErrors: true",
            Some(5),
            None,
            LocalOrigin::Apart(Some(5)),
        ),
        (
            "splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 0",
            Some(5),
            None,
            LocalOrigin::Apart(None),
        ),
    ] {
        let outliers = outliers(&policy(&format!("outlierDetection: {{ {fields} }}")));
        let found = (
            outliers.consecutive_errors,
            outliers.consecutive_gateway_errors,
            outliers.local_origin,
        );
        assert_eq!(found, (any, gateway, local), "{fields}");
    }
}

#[test]
fn gateway_errors_are_no_others_once_the_statuses_of_others_are_written() {
    let fields = "consecutiveGatewayErrors: 9, outlierDetectionHttpErrorCodes: [500, 429]";
    let text = policy(&format!("outlierDetection: {{ {fields} }}"));
    assert_eq!(warnings(&text), [""; 0]);
    assert_eq!(outliers(&text).error_statuses, Some(vec![500, 429]));
}

#[test]
fn a_breaker_is_set_to_what_is_written() {
    assert_eq!(
        outliers(&policy("outlierDetection: { interval: 10s }")).settings(),
        Settings {
            consecutive_local_origin: None,
            ..Settings::default()
        }
    );
    let fields = "consecutive5xxErrors: 7, consecutiveGatewayErrors: 2, \
                  splitExternalLocalOriginErrors: true, consecutiveLocalOriginFailures: 3, \
                  interval: 1s, baseEjectionTime: 10m, maxEjectionPercent: 50, minHealthPercent: 40";
    assert_eq!(
        outliers(&policy(&format!("outlierDetection: {{ {fields} }}"))).settings(),
        Settings {
            consecutive_5xx: Some(7),
            consecutive_gateway: Some(2),
            consecutive_local_origin: Some(3),
            split_local_origin: true,
            interval: Duration::from_secs(1),
            base_ejection_time: Duration::from_secs(600),
            max_ejection_time: Duration::from_secs(600),
            max_ejection_percent: 50,
            min_health_percent: 40,
        }
    );
}

#[test]
fn the_statuses_that_are_written_are_the_failures() {
    use Outcome::{GatewayError, GatewayErrorOnly, ServerError, Success};
    let plain = outliers(&policy("outlierDetection: { interval: 1s }"));
    let fields = "outlierDetection: { outlierDetectionHttpErrorCodes: [429, 500, 504] }";
    let written = outliers(&policy(fields));
    for (status, of_plain, of_written) in [
        (200, Success, Success),
        (429, Success, ServerError),
        (500, ServerError, ServerError),
        (501, ServerError, Success),
        (503, GatewayError, GatewayErrorOnly),
        (504, GatewayError, GatewayError),
    ] {
        assert_eq!(plain.outcome(status), of_plain, "{status}");
        assert_eq!(written.outcome(status), of_written, "{status}");
    }
}

#[test]
fn a_budget_is_a_share_of_requests_and_a_few_at_any_rate() {
    let of = |fields: &str| {
        of(&policy(fields), None, 80)
            .retry_budget
            .expect("a budget")
    };
    let plain = of("retryBudget: { minRetryConcurrency: 3 }");
    for (requests, most) in [
        (0, 3),
        (15, 3),
        (19, 3),
        (20, 4),
        (1_000, 200),
        (u32::MAX, 858_993_459),
    ] {
        assert_eq!(plain.most(requests), most, "{requests}");
    }
    assert_eq!(of("retryBudget: { percent: 100 }").most(7), 7);
    assert_eq!(of("retryBudget: { percent: 0 }").most(700), 3);
}
