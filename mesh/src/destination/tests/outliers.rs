//! When an endpoint is left out.

use super::*;

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
fn at_least_one_endpoint_may_be_left_out_and_never_more_than_all() {
    for (percent, endpoints, most) in [
        (10, 0, 0),
        (10, 1, 1),
        (10, 4, 1),
        (49, 2, 1),
        (50, 4, 2),
        (50, 5, 2),
        (10, 30, 3),
        (100, 7, 7),
    ] {
        let text = format!("outlierDetection: {{ maxEjectionPercent: {percent} }}");
        let outliers = outliers(&policy(&text));
        assert_eq!(
            outliers.most_ejected(endpoints),
            most,
            "{percent}% of {endpoints}"
        );
    }
}

#[test]
fn who_is_left_out_does_not_matter_when_too_few_are_well() {
    let half = outliers(&policy("outlierDetection: { minHealthPercent: 50 }"));
    assert!(!half.is_panic(2, 4) && half.is_panic(1, 4));
    let never = outliers(&policy("outlierDetection: { interval: 1s }"));
    assert!(!never.is_panic(0, 4));
}

#[test]
fn an_endpoint_is_left_out_longer_each_time() {
    let time = |base: &str, times: u32| {
        let text = format!("outlierDetection: {{ baseEjectionTime: {base} }}");
        outliers(&policy(&text)).ejection_time(times).as_secs()
    };
    for (base, times, wanted) in [
        ("30s", 0, 30),
        ("30s", 1, 30),
        ("30s", 3, 90),
        ("30s", 11, 300),
        ("10m", 1, 600),
        ("10m", 2, 600),
    ] {
        assert_eq!(time(base, times), wanted, "{base}, {times}");
    }
}
