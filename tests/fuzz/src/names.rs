//! Names: SPIFFE IDs, the entries that carry them, paths of requests.

use prost::Message as _;
use signet_identity::{entry::Entry, id};
use signet_mesh::HttpPath;
use signet_proto::spire::api::types;

/// An ID is accepted exactly when the standard's grammar has it, and is never rewritten.
pub(crate) fn spiffe_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let read = id::parse(text);
    assert_eq!(read.is_ok(), is_id(text), "{text:?}: {read:?}");
    let Ok(read) = read else { return };
    assert_eq!(read.to_string(), text);
    assert_eq!(id::from_proto(Some(&id::to_proto(&read))), Ok(read));
}

/// An entry that was read is written and read again the same.
pub(crate) fn entry(data: &[u8]) {
    let Ok(message) = types::Entry::decode(data) else {
        return;
    };
    let Ok(entry) = Entry::from_proto(&message) else {
        return;
    };
    let again = Entry::from_proto(&entry.to_proto(None));
    assert_eq!(again.expect("an entry that we wrote"), entry);
}

/// A path in normal form stays as it is, and hides no second reading.
pub(crate) fn http_path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(path) = HttpPath::parse(text) else {
        return;
    };
    let normal = path.as_str();
    let again = HttpPath::parse(normal).expect("a normal path is a path");
    assert_eq!(again.as_str(), normal);
    assert!(!again.was_changed(), "{text:?} → {normal:?}");
    assert_eq!(path.was_changed(), normal != text);
    let segments = || normal.split('/');
    assert!(
        segments().all(|segment| segment != "." && segment != ".."),
        "{normal:?}"
    );
    assert!(!normal.contains("//"), "{normal:?}");
    assert!(
        !normal
            .bytes()
            .any(|byte| byte <= b' ' || byte >= 0x7f || byte == b'\\')
    );
}

/// SPIFFE-ID §2, written a second time and in another way.
fn is_id(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("spiffe://") else {
        return false;
    };
    let (name, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let of_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
    let of_path = |byte: u8| of_name(byte) || byte.is_ascii_uppercase();
    let segment =
        |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(of_path);
    text.len() <= 2048
        && (1..=255).contains(&name.len())
        && name.bytes().all(of_name)
        && path.split('/').skip(1).all(segment)
}
