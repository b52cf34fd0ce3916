//! Names of headers that documents may speak of.

use http::HeaderName;

use crate::problem::Problems;

/// A header that says something between client and application: neither the authority, nor one by
/// which messages are framed.
pub(crate) fn read(
    text: &str,
    location: &str,
    line: u64,
    problems: &mut Problems,
) -> Option<HeaderName> {
    let (why, remedy) = if text.starts_with(':') || is_authority(text) {
        (
            "is no header that can be changed",
            "only the authority of requests can, under `set` of a route",
        )
    } else if FRAMING.iter().any(|name| text.eq_ignore_ascii_case(name)) {
        (
            "belongs to the connection, and the proxy sets it itself",
            "remove it",
        )
    } else {
        match HeaderName::try_from(text) {
            Ok(name) => return Some(name),
            Err(_) => (
                "is not the name of a header",
                "write letters, digits and '-'",
            ),
        }
    };
    problems.error(line, format!("{location}: {text:?} {why}"), remedy);
    None
}

/// Whether it names the host that a request is for.
pub(crate) fn is_authority(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || name.eq_ignore_ascii_case(":authority")
}

/// RFC 9110 §7.6.1, and what says how long a message is.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];
