//! What the validators of the targets trust: one trust domain, whose keys nobody has.

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, SystemTime},
};

use signet_identity::{TrustDomain, bundle::Bundle, trust::Trust};

/// The authorities of `example.org`.
pub(crate) static BUNDLE: LazyLock<Arc<Bundle>> = LazyLock::new(|| {
    let document = include_str!("../world/bundle.json");
    Arc::new(Bundle::from_document(domain(), document).expect("the bundle of the world"))
});

/// The same, for chains.
pub(crate) static TRUST: LazyLock<Trust> = LazyLock::new(|| Trust::new([&**BUNDLE]));

/// The one valid leaf.
pub(crate) const LEAF: &[u8] = include_bytes!("../world/leaf.der");

/// The one valid token.
pub(crate) const TOKEN: &str = include_str!("../world/token.jwt");

/// The trust domain.
pub(crate) fn domain() -> TrustDomain {
    TrustDomain::new("example.org").expect("a name")
}

/// When everything in the world is valid: 2027-01-15.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}
