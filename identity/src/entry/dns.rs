//! DNS names in entries and requests. A name is written as it will stand in the certificate: ASCII,
//! lower or upper case, with a wildcard only as the whole first label. Underscores may stand where
//! letters may: host names have none, but names of containers and services do, and SPIRE takes
//! them.

/// Why a name is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} {reason}")]
pub struct DnsNameError {
    name: String,
    reason: &'static str,
}

/// Checks one DNS name.
///
/// # Errors
/// The rule that the name breaks.
pub fn check_dns_name(name: &str) -> Result<(), DnsNameError> {
    let refused = |reason| {
        Err(DnsNameError {
            name: name.to_owned(),
            reason,
        })
    };
    if name.is_empty() {
        return refused("is empty");
    }
    if name.ends_with('.') {
        return refused("ends with a dot; leave it out");
    }
    let plain = name.strip_prefix("*.").unwrap_or(name);
    if plain.contains('*') {
        return refused("has a wildcard that is not the whole first label");
    }
    if plain.split('.').any(str::is_empty) {
        return refused("has an empty label");
    }
    if plain.split('.').any(|label| label.len() > MAX_LABEL) {
        return refused("has a label of more than 63 characters");
    }
    if name.len() > MAX_NAME {
        return refused("has more than 253 characters");
    }
    if !name.is_ascii() {
        return refused("is not ASCII; write it in its xn-- form");
    }
    if idna::domain_to_ascii_strict(&plain.replace('_', "a")).is_err() {
        return refused("is not a DNS name; use letters, digits, underscores and inner hyphens");
    }
    Ok(())
}

const MAX_LABEL: usize = 63;
const MAX_NAME: usize = 253;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_and_wildcards_are_accepted() {
        for name in [
            "web",
            "web.example.org",
            "*.example.org",
            "xn--bcher-kva.example",
            "10.a",
            "A.b",
            "my_service",
            "_sip._tcp.example.org",
        ] {
            assert_eq!(check_dns_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long_label = "a".repeat(64);
        let long_name = ["a".repeat(60).as_str(); 5].join(".");
        for name in [
            "",
            ".",
            "web.",
            ".web",
            "a..b",
            "*",
            "*.",
            "a.*.b",
            "w*.example.org",
            "*.*.example.org",
            "-a.example",
            "a-.example",
            "-_.example",
            "a b",
            "a/b",
            "b\u{fc}cher.example",
            "xn--a",
            &long_label,
            &long_name,
        ] {
            assert!(check_dns_name(name).is_err(), "{name:?} was accepted");
        }
    }
}
