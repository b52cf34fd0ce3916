//! What is read of a connection before any library reads it.

use signet_daemon::socket::Authority;

/// The authorities of requests are mended the same however the bytes come, once and for all, and by
/// nothing but hyphens. The first byte says in pieces of which size they come.
pub(crate) fn authority(data: &[u8]) {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let mut whole = bytes.to_vec();
    Authority::default().mend(&mut whole);
    let mut again = whole.clone();
    Authority::default().mend(&mut again);
    assert_eq!(again, whole);
    let mut pieces = bytes.to_vec();
    let mut authority = Authority::default();
    for piece in pieces.chunks_mut(usize::from(*size).max(1)) {
        authority.mend(piece);
    }
    assert_eq!(pieces, whole);
    let mut changes = bytes.iter().zip(&whole);
    assert!(changes.all(|(before, after)| before == after || *after == b'-'));
}
