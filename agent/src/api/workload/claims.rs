//! The claims of a valid JWT-SVID, as the protobuf `Struct` of the Workload API.

use std::collections::BTreeSet;

use prost_types::{ListValue, Struct, Value, value::Kind};
use serde_json::{Map, Value as Json};

/// All claims, as they stand in the token.
pub(super) fn all(claims: &Map<String, Json>) -> Struct {
    of(claims.iter())
}

/// The registered claims and those that the operator allows: what another trust domain says of
/// its workloads beyond that is its own affair.
pub(super) fn of_foreign(claims: &Map<String, Json>, allowed: &BTreeSet<String>) -> Struct {
    let passes = |name: &str| REGISTERED.contains(&name) || allowed.contains(name);
    of(claims.iter().filter(|(name, _)| passes(name)))
}

fn of<'a>(claims: impl Iterator<Item = (&'a String, &'a Json)>) -> Struct {
    Struct {
        fields: claims
            .map(|(name, claim)| (name.clone(), value(claim)))
            .collect(),
    }
}

fn value(json: &Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(truth) => Kind::BoolValue(*truth),
        // A `Struct` has no other number; JSON's own readers do the same.
        Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or(f64::NAN)),
        Json::String(text) => Kind::StringValue(text.clone()),
        Json::Array(items) => Kind::ListValue(ListValue {
            values: items.iter().map(value).collect(),
        }),
        Json::Object(members) => Kind::StructValue(all(members)),
    };
    Value { kind: Some(kind) }
}

/// RFC 7519 §4.1.
const REGISTERED: [&str; 7] = ["iss", "sub", "aud", "exp", "nbf", "iat", "jti"];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> Map<String, Json> {
        let Json::Object(claims) = json!({
            "sub": "spiffe://other.org/w", "aud": ["a", "b"], "exp": 4_000_000_000_u64,
            "admin": true, "team": { "name": "x", "size": null },
        }) else {
            panic!("an object");
        };
        claims
    }

    #[test]
    fn every_kind_of_json_value_arrives() {
        let claims = all(&claims());
        let kind = |name: &str| claims.fields.get(name).unwrap().kind.clone().unwrap();
        assert_eq!(
            kind("sub"),
            Kind::StringValue("spiffe://other.org/w".to_owned())
        );
        assert_eq!(kind("exp"), Kind::NumberValue(4e9));
        assert_eq!(kind("admin"), Kind::BoolValue(true));
        let Kind::ListValue(audience) = kind("aud") else {
            panic!("a list");
        };
        assert_eq!(audience.values.len(), 2);
        let Kind::StructValue(team) = kind("team") else {
            panic!("an object");
        };
        assert_eq!(
            team.fields.get("size").unwrap().kind,
            Some(Kind::NullValue(0))
        );
    }

    #[test]
    fn private_claims_of_a_foreign_token_pass_only_if_allowed() {
        let names = |allowed: &[&str]| -> Vec<String> {
            let allowed = allowed.iter().map(ToString::to_string).collect();
            of_foreign(&claims(), &allowed).fields.into_keys().collect()
        };
        assert_eq!(names(&[]), ["aud", "exp", "sub"]);
        assert_eq!(names(&["team"]), ["aud", "exp", "sub", "team"]);
    }
}
