//! What a verified token of a request says (RFC 7519, JWT-SVID).

use serde_json::{Map, Value};
use signet_identity::SpiffeId;

/// A token whose signature, lifetime and audience were found to be good.
#[derive(Debug, Clone, PartialEq)]
pub struct Token {
    principal: Option<String>,
    claims: Map<String, Value>,
}

/// Which claim is meant: its name, and the names inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPath(Box<[Box<str>]>);

impl Token {
    /// A JWT-SVID. Its principal is the SPIFFE ID that it proves: issuer and subject in one, as
    /// only the trust domain of the subject can have signed it.
    #[must_use]
    pub fn of_svid(id: &SpiffeId, claims: Map<String, Value>) -> Self {
        Self {
            principal: Some(id.to_string()),
            claims,
        }
    }

    /// A token of another issuer. Its principal is `issuer/subject`, as in Istio; without a subject
    /// it has none.
    #[must_use]
    pub fn of_issuer(issuer: &str, claims: Map<String, Value>) -> Self {
        let subject = claims.get("sub").and_then(Value::as_str);
        let subject = subject.filter(|subject| !subject.is_empty());
        Self {
            principal: subject.map(|subject| format!("{issuer}/{subject}")),
            claims,
        }
    }

    /// Who is spoken for.
    #[must_use]
    pub fn principal(&self) -> Option<&str> {
        self.principal.as_deref()
    }

    /// For whom it is.
    pub fn audiences(&self) -> impl Iterator<Item = &str> {
        self.claims.get("aud").into_iter().flat_map(texts)
    }

    pub(crate) fn presenter(&self) -> Option<&str> {
        self.claims.get("azp").and_then(Value::as_str)
    }

    /// The values of a claim: a text, each of a list of texts, or a number or truth value as it is
    /// written in JSON. Of the two claims that are lists in one text (RFC 8693 §4.2), each part.
    pub(crate) fn values(&self, path: &ClaimPath) -> Vec<String> {
        let Some((first, rest)) = path.0.split_first() else {
            return Vec::new();
        };
        let mut value = self.claims.get(&**first);
        for name in rest {
            value = value.and_then(|value| value.get(&**name));
        }
        let parted = rest.is_empty() && SPACE_DELIMITED.contains(&&**first);
        match value {
            Some(Value::String(text)) if parted => {
                text.split_ascii_whitespace().map(str::to_owned).collect()
            }
            Some(value @ (Value::String(_) | Value::Array(_))) => {
                texts(value).map(str::to_owned).collect()
            }
            Some(value @ (Value::Bool(_) | Value::Number(_))) => vec![value.to_string()],
            Some(Value::Null | Value::Object(_)) | None => Vec::new(),
        }
    }
}

impl ClaimPath {
    /// The path in `[name][name]`, or `None` if it is none.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        let names: Vec<Box<str>> = inner.split("][").map(Into::into).collect();
        let plain = |name: &str| !name.is_empty() && !name.contains(['[', ']']);
        (names.len() <= DEEPEST && names.iter().all(|name| plain(name))).then(|| Self(names.into()))
    }
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    value
        .as_str()
        .into_iter()
        .chain(list.iter().filter_map(Value::as_str))
}

const SPACE_DELIMITED: [&str; 2] = ["scope", "permission"];
const DEEPEST: usize = 8;
