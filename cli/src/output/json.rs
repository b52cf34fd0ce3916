//! Any message of ours as one line of JSON, from the compiled descriptors.
//!
//! The form is protobuf's JSON with the names of the `.proto` files: 64-bit integers are
//! strings, bytes are base64, every field stands there even when it is empty, and a message
//! that is absent does not. Keys are sorted, and `<`, `>` and `&` are escaped, as in the
//! output that scripts were written for.

use anyhow::Context as _;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, MapKey, ReflectMessage as _, Value as Field,
};
use serde_json::{Map, Number, Value};

/// `message`, whose protobuf type is `name`, as one line without its end.
pub(crate) fn document(message: &impl Message, name: &str) -> anyhow::Result<String> {
    Ok(escape_html(&value(message, name)?.to_string()))
}

/// A JSON text with the three characters escaped that a web page might trip over.
fn escape_html(json: &str) -> String {
    // They can only stand inside a string: JSON has no other use for them.
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

fn value(message: &impl Message, name: &str) -> anyhow::Result<Value> {
    let pool = DescriptorPool::decode(signet_proto::DESCRIPTORS)
        .context("the protobuf descriptors of this build")?;
    let descriptor = pool
        .get_message_by_name(name)
        .with_context(|| format!("no protobuf message is called {name}"))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .with_context(|| format!("the message does not read as {name}"))?;
    Ok(message_value(&dynamic))
}

fn message_value(message: &DynamicMessage) -> Value {
    match message.descriptor().full_name() {
        "google.protobuf.Struct" => field_named(message, "fields").unwrap_or_default(),
        "google.protobuf.ListValue" => field_named(message, "values").unwrap_or_default(),
        "google.protobuf.Value" => one_of(message),
        _ => plain_message(message),
    }
}

fn plain_message(message: &DynamicMessage) -> Value {
    let shown = message
        .descriptor()
        .fields()
        // A field that can be absent is shown only when it is there.
        .filter(|field| !field.supports_presence() || message.has_field(field))
        .map(|field| {
            let value = field_value(&field, &message.get_field(&field));
            (field.name().to_owned(), value)
        })
        .collect::<Map<_, _>>();
    Value::Object(shown)
}

/// `google.protobuf.Value`: the one field that is set, as itself.
fn one_of(message: &DynamicMessage) -> Value {
    message
        .fields()
        .next()
        .filter(|(field, _)| field.name() != "null_value")
        .map(|(field, value)| field_value(&field, value))
        .unwrap_or_default()
}

fn field_named(message: &DynamicMessage, name: &str) -> Option<Value> {
    let field = message.descriptor().get_field_by_name(name)?;
    Some(field_value(&field, &message.get_field(&field)))
}

fn field_value(field: &FieldDescriptor, value: &Field) -> Value {
    if let Some(items) = value.as_list() {
        let items = items.iter().map(|item| scalar(field, item));
        return items.filter(|item| !item.is_null()).collect();
    }
    let Some(entries) = value.as_map() else {
        return scalar(field, value);
    };
    let entries = entries
        .iter()
        .map(|(key, item)| (key_text(key), scalar(field, item)));
    let shown = entries.filter(|(_, item)| !item.is_null());
    Value::Object(shown.collect())
}

fn scalar(field: &FieldDescriptor, value: &Field) -> Value {
    match value {
        Field::Bool(flag) => Value::Bool(*flag),
        Field::I32(number) => Value::from(*number),
        Field::U32(number) => Value::from(*number),
        Field::I64(number) => Value::String(number.to_string()),
        Field::U64(number) => Value::String(number.to_string()),
        Field::F32(number) => real(f64::from(*number)),
        Field::F64(number) => real(*number),
        Field::String(text) => Value::String(text.clone()),
        Field::Bytes(bytes) => Value::String(STANDARD.encode(bytes)),
        Field::EnumNumber(number) => enum_name(field, *number),
        Field::Message(message) => message_value(message),
        // Neither a list nor a map can stand inside one.
        Field::List(_) | Field::Map(_) => Value::Null,
    }
}

/// A whole number without a fraction, as people write a time or a count.
fn real(number: f64) -> Value {
    /// Up to here every whole number has its own `f64`, and Go writes it without exponent.
    const WHOLE: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= WHOLE {
        let digits = format!("{number:.0}");
        if let Ok(whole) = digits.parse::<i64>() {
            return Value::from(whole);
        }
    }
    Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
}

fn enum_name(field: &FieldDescriptor, number: i32) -> Value {
    let kind = field.kind();
    let name = kind.as_enum().and_then(|kind| kind.get_value(number));
    name.map_or_else(
        || Value::from(number),
        |value| Value::String(value.name().to_owned()),
    )
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(flag) => flag.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
        MapKey::String(text) => text.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use prost_types::{ListValue, Struct, value::Kind as StructKind};
    use signet_proto::{
        spire::api::{server::entry::v1::ListEntriesResponse, types},
        workload,
    };

    use super::*;

    #[test]
    fn an_entry_shows_every_field_and_no_absent_message() {
        let response = ListEntriesResponse {
            entries: vec![types::Entry {
                id: "e1".to_owned(),
                spiffe_id: Some(types::Spiffeid {
                    trust_domain: "a.test".to_owned(),
                    path: "/w".to_owned(),
                }),
                created_at: 1_547_583_197,
                ..types::Entry::default()
            }],
            next_page_token: String::new(),
        };
        assert_eq!(
            document(&response, "spire.api.server.entry.v1.ListEntriesResponse").unwrap(),
            concat!(
                r#"{"entries":[{"admin":false,"created_at":"1547583197","dns_names":[],"#,
                r#""downstream":false,"expires_at":"0","federates_with":[],"hint":"","id":"e1","#,
                r#""jwt_svid_ttl":0,"revision_number":"0","selectors":[],"#,
                r#""spiffe_id":{"path":"/w","trust_domain":"a.test"},"#,
                r#""store_svid":false,"x509_svid_ttl":0}],"next_page_token":""}"#,
            )
        );
    }

    #[test]
    fn bytes_are_base64_and_maps_are_sorted() {
        let response = workload::JwtBundlesResponse {
            bundles: HashMap::from([
                ("b".to_owned(), vec![0xff, 0xfe].into()),
                ("a<".to_owned(), vec![1].into()),
            ]),
        };
        assert_eq!(
            document(&response, "JWTBundlesResponse").unwrap(),
            r#"{"bundles":{"a\u003c":"AQ==","b":"//4="}}"#
        );
    }

    #[test]
    fn claims_are_json_of_their_own_without_nulls() {
        let number = |number| Some(StructKind::NumberValue(number));
        let kinds = [
            ("exp", number(1_700_000_000.0)),
            ("ratio", number(0.5)),
            ("none", Some(StructKind::NullValue(0))),
            (
                "aud",
                Some(StructKind::ListValue(ListValue {
                    values: vec![prost_types::Value {
                        kind: Some(StructKind::StringValue("api".to_owned())),
                    }],
                })),
            ),
        ];
        let fields = kinds
            .into_iter()
            .map(|(name, kind)| (name.to_owned(), prost_types::Value { kind }))
            .collect::<BTreeMap<_, _>>();
        let response = workload::ValidateJwtSvidResponse {
            spiffe_id: "spiffe://a.test/w".to_owned(),
            claims: Some(Struct { fields }),
        };
        assert_eq!(
            document(&response, "ValidateJWTSVIDResponse").unwrap(),
            concat!(
                r#"{"claims":{"aud":["api"],"exp":1700000000,"ratio":0.5},"#,
                r#""spiffe_id":"spiffe://a.test/w"}"#
            )
        );
    }

    #[test]
    fn nothing_is_an_empty_document() {
        assert_eq!(document(&(), "google.protobuf.Empty").unwrap(), "{}");
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = document(&(), "no.such.Message").unwrap_err();
        assert_eq!(
            error.to_string(),
            "no protobuf message is called no.such.Message"
        );
    }
}
