//! What a proxy reads of connections and requests before it knows whose they are.

use http::{HeaderMap, HeaderName, HeaderValue};
use signet_proxy::fuzz;

/// More bytes never make another thing of what is known already.
pub(crate) fn first_bytes(data: &[u8]) {
    let mut known = None;
    for end in 0..=data.len().min(LONGEST) {
        let now = fuzz::first_bytes(data.get(..end).unwrap_or_default());
        assert!(known.is_none() || known == now, "{known:?}, then {now:?}");
        known = now;
    }
}

/// Lines are headers. The next hop belongs to the trace that they name.
pub(crate) fn trace(data: &[u8]) {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').take(LONGEST) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().map(HeaderName::from_bytes);
        let value = parts.next().map(HeaderValue::from_bytes);
        if let (Some(Ok(name)), Some(Ok(value))) = (name, value) {
            headers.append(name, value);
        }
    }
    if let Some([read, again]) = fuzz::trace(&mut headers) {
        assert!(read.0 != 0 && read.1 != 0, "{read:?}");
        assert_eq!(read, again);
    }
}

const LONGEST: usize = 512;
