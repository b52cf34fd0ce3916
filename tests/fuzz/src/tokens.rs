//! JWT-SVIDs, and the documents of keys that they are checked with.

use std::sync::{Arc, LazyLock};

use signet_identity::{
    bundle::Bundle,
    jwt::{self, Issued, KeySet},
    trust::Trust,
};

use crate::world::{BUNDLE, TOKEN, domain, now};

/// A token is valid only if it is the one that was ever signed.
pub(crate) fn jwt(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(valid) = validate(text) {
        assert_eq!(text, TOKEN);
        assert_eq!(valid.id.to_string(), "spiffe://example.org/w");
    }
    // The same keys, were they those of another issuer.
    if let Ok(issued) = Issued::parse(text)
        && issued.verified(&[], &KEYS, now()).is_ok()
    {
        assert_eq!(text, TOKEN);
    }
}

/// Whether the token of the world is valid.
pub(crate) fn world_is_valid() -> bool {
    validate(TOKEN).is_ok()
}

fn validate(token: &str) -> Result<jwt::ValidJwt, jwt::JwtError> {
    let find = |name: &_| (*name == domain()).then(|| Arc::clone(&BUNDLE));
    jwt::validate(token, "orders", find, now())
}

/// A document that was read is written and read again with the same content.
pub(crate) fn bundle(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = KeySet::parse(text);
    let Ok(read) = Bundle::read_document(domain(), text) else {
        return;
    };
    let bundle = read.bundle;
    let written = bundle.to_document();
    let again = Bundle::read_document(domain(), &written).expect("what we wrote");
    assert!(again.ignored.is_empty(), "{:?}", again.ignored);
    assert!(again.bundle.same_content(&bundle), "{written}");
    let message = Bundle::from_proto(&bundle.to_proto(None)).expect("what we wrote");
    assert!(message.same_content(&bundle), "{written}");
    drop(Trust::new([&bundle]));
}

static KEYS: LazyLock<KeySet> =
    LazyLock::new(|| KeySet::parse(&BUNDLE.to_jwks()).expect("the keys of the world"));
