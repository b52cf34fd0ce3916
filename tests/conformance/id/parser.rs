//! The one reader of IDs that every room uses (SPIFFE-ID §2).

use signet_identity::id::{parse, parse_trust_domain};

use super::examples;

#[test]
fn every_example_is_read_as_the_standard_has_it() {
    assert_eq!(examples::valid().len(), 32);
    assert_eq!(examples::invalid().len(), 90);
    for id in examples::valid() {
        assert_eq!(parse(&id).unwrap().to_string(), id);
    }
    for text in [examples::invalid(), examples::refused_by_choice()].concat() {
        assert!(parse(&text).is_err(), "{text:?} was read");
    }
}

#[track_caller]
fn refused(texts: &[&str]) {
    for text in texts {
        assert!(parse(text).is_err(), "{text:?} was read");
    }
}

#[track_caller]
fn read(texts: &[&str]) {
    for text in texts {
        assert_eq!(parse(text).unwrap().to_string(), *text);
    }
}

#[test]
fn id_01_02_the_scheme_is_spiffe_and_a_name_follows() {
    refused(&[
        "http://example.org/x",
        "spiffes://example.org/x",
        "xspiffe://example.org/x",
        "spiffe:example.org/x",
        "example.org/x",
        "//example.org/x",
        " spiffe://example.org/x",
        "\tspiffe://example.org/x",
        "spiffe://",
        "spiffe:///",
        "spiffe:///path",
    ]);
    read(&["spiffe://example.org/x"]);
}

#[test]
fn id_03_04_06_07_an_id_has_neither_query_fragment_user_nor_port() {
    refused(&[
        "spiffe://example.org?q=1",
        "spiffe://example.org/x?q=1",
        "spiffe://example.org/x?",
        "spiffe://example.org#f",
        "spiffe://example.org/x#f",
        "spiffe://example.org/x#",
        "spiffe://user@example.org/x",
        "spiffe://user:pw@example.org/x",
        "spiffe://@example.org/x",
        "spiffe://example.org:80",
        "spiffe://example.org:80/x",
        "spiffe://example.org:/x",
    ]);
    read(&["spiffe://example.org", "spiffe://example.org/x"]);
}

#[test]
fn id_05_the_path_is_optional() {
    let id = parse("spiffe://example.org").unwrap();
    assert_eq!(id.path(), "");
    assert_eq!(id.to_string(), "spiffe://example.org");
}

#[test]
fn id_09_10_names_are_of_39_bytes_and_never_decoded() {
    for byte in 0..=0xff_u8 {
        let Ok(text) = String::from_utf8([b"spiffe://", &[byte][..], b"/x"].concat()) else {
            continue;
        };
        let allowed = byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
        assert_eq!(parse(&text).is_ok(), allowed, "{text:?}");
    }
    refused(&[
        "spiffe://exam~ple/x",
        "spiffe://exam!ple/x",
        "spiffe://exam*ple/x",
        "spiffe://exam ple/x",
        "spiffe://b\u{fc}cher/x",
        "spiffe://exampl\u{435}/x",
        "spiffe://example\u{3002}org/x",
        "spiffe://ex%61mple.org/x",
        "spiffe://%F0%9F%A4%AF/x",
    ]);
}

#[test]
fn id_11_12_a_name_may_look_like_an_address_or_like_nothing_known() {
    read(&[
        "spiffe://1.2.3.4/service",
        "spiffe://999.999.999.999/x",
        "spiffe://example..org/x",
        "spiffe://.example.org/x",
        "spiffe://example.org./x",
        "spiffe://-example.org/x",
        "spiffe://_/x",
        "spiffe://./x",
        "spiffe://../x",
        "spiffe://xn--bcher-kva.example/x",
    ]);
    refused(&[
        "spiffe://[::1]/x",
        "spiffe://[2001:db8::1]/x",
        "spiffe://[v1.a]/x",
    ]);
    for (one, other) in [("1.2.3.4", "01.2.3.4"), ("example.org", "example.org.")] {
        let (one, other) = (parse_trust_domain(one), parse_trust_domain(other));
        assert_ne!(one.unwrap(), other.unwrap());
    }
}

#[test]
fn id_14_15_16_17_paths_are_taken_as_they_stand_or_not_at_all() {
    refused(&[
        "spiffe://example.org/%61",
        "spiffe://example.org/a%2Fb",
        "spiffe://example.org/%2e%2e",
        "spiffe://example.org/%",
        "spiffe://example.org//",
        "spiffe://example.org//x",
        "spiffe://example.org/x//y",
        "spiffe://example.org/x//",
        "spiffe://example.org/.",
        "spiffe://example.org/..",
        "spiffe://example.org/./x",
        "spiffe://example.org/../x",
        "spiffe://example.org/x/.",
        "spiffe://example.org/x/..",
        "spiffe://example.org/x/./y",
        "spiffe://example.org/x/../y",
        "spiffe://example.org/",
        "spiffe://example.org/x/",
    ]);
    read(&[
        "spiffe://example.org/...",
        "spiffe://example.org/.hidden",
        "spiffe://example.org/..hidden",
        "spiffe://example.org/a.",
        "spiffe://example.org/a..b",
    ]);
}

#[test]
fn id_18_19_segments_are_of_65_bytes_and_any_number() {
    for byte in 0..=0xff_u8 {
        let Ok(text) = String::from_utf8([b"spiffe://example.org/a", &[byte][..]].concat()) else {
            continue;
        };
        let allowed = byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        assert_eq!(parse(&text).is_ok(), allowed, "{text:?}");
    }
    let many = format!("spiffe://example.org{}", "/a".repeat(1014));
    assert_eq!(many.len(), 2048);
    read(&[&many]);
}

#[test]
fn id_21_22_23_an_id_has_2048_bytes_at_most_and_its_name_255() {
    let id = |name: usize, rest: usize| {
        let (name, rest) = ("a".repeat(name), "b".repeat(rest));
        format!("spiffe://{name}/{rest}")
    };
    let longest = id(255, 2048 - 9 - 255 - 1);
    assert_eq!(longest.len(), 2048);
    let filled = |filler: usize| format!("spiffe://example.org/{}", "a".repeat(filler));
    let name = |length: usize| format!("spiffe://{}", "a".repeat(length));
    read(&[&longest, &filled(2027), &name(255), &id(255, 1)]);
    refused(&[&id(255, 1784), &filled(2028), &name(256), &id(256, 1)]);
    assert!(parse_trust_domain(&"a".repeat(255)).is_ok());
    assert!(parse_trust_domain(&"a".repeat(256)).is_err());
}
