//! Headers that a proxy takes away, and those it sets.

use http::{HeaderMap, HeaderName, HeaderValue, header};
use signet_identity::SpiffeId;
use uuid::{Builder, fmt::Hyphenated};

/// The caller's identity, for the application; only ever set by the proxy.
pub(crate) const X_FORWARDED_CLIENT_CERT: HeaderName =
    HeaderName::from_static("x-forwarded-client-cert");
/// Names a request in logs and refusals.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Removes what concerns one hop only (RFC 9110 §7.6.1).
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        for name in named_by_connection(headers) {
            headers.remove(name);
        }
    }
    // `TE: trailers` is the one value that may pass, and gRPC needs it.
    let trailers = headers
        .get(header::TE)
        .is_some_and(|value| value == "trailers");
    // Looking each of them up would take longer than looking at the few that there are.
    if headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        for name in &HOP_BY_HOP {
            headers.remove(name);
        }
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes from the trailers of a request what the proxy says in its head, for an application that
/// makes no difference between the two.
pub(crate) fn strip_trailers(trailers: &mut HeaderMap) {
    strip_hop_by_hop(trailers);
    for name in [X_FORWARDED_CLIENT_CERT, X_REQUEST_ID, header::HOST] {
        trailers.remove(name);
    }
}

/// The request's id: the one it has if it is a plausible one, else a new one.
pub(crate) fn request_id(headers: &mut HeaderMap) -> HeaderValue {
    if let Some(id) = headers.get(&X_REQUEST_ID).filter(|id| plausible(id)) {
        return id.clone();
    }
    let mut text = [0; Hyphenated::LENGTH];
    // It tells requests apart, and is no secret.
    let id = Builder::from_random_bytes(fastrand::u128(..).to_le_bytes()).into_uuid();
    let text = id.hyphenated().encode_lower(&mut text);
    let id = HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("-"));
    headers.insert(X_REQUEST_ID, id.clone());
    id
}

/// Envoy's form of the header: our ID, the SHA-256 of the caller's certificate, its ID.
pub(crate) fn client_cert(own: &SpiffeId, hash: &str, peer: &SpiffeId) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("By={own};Hash={hash};URI={peer}")).ok()
}

fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect()
}

fn plausible(id: &HeaderValue) -> bool {
    id.len() <= MAX_REQUEST_ID && id.as_bytes().iter().all(u8::is_ascii_graphic) && !id.is_empty()
}

const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
const MAX_REQUEST_ID: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect()
    }

    #[test]
    fn headers_of_one_hop_are_removed_with_those_that_connection_names() {
        let mut map = headers(&[
            ("connection", "close, X-Secret"),
            ("x-secret", "1"),
            ("te", "gzip"),
            ("transfer-encoding", "chunked"),
            ("accept", "*/*"),
        ]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("accept", "*/*")]));
    }

    #[test]
    fn te_trailers_passes() {
        let mut map = headers(&[("te", "trailers")]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map, headers(&[("te", "trailers")]));
    }

    #[test]
    fn a_plausible_request_id_is_kept_and_any_other_replaced() {
        let mut map = headers(&[("x-request-id", "abc-1")]);
        assert_eq!(request_id(&mut map), "abc-1");
        let mut map = headers(&[("x-request-id", "a b")]);
        let id = request_id(&mut map);
        assert_eq!(id.len(), 36);
        assert_eq!(map.get(X_REQUEST_ID), Some(&id));
    }
}
