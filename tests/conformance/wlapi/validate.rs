//! ValidateJWTSVID: every rule of JWT-SVID, over the wire.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost_types::value::Kind;
use serde_json::{Value, json};
use signet_proto::workload::{JwtSvidRequest, ValidateJwtSvidRequest, ValidateJwtSvidResponse};
use signet_tests::testbed::grpc::workload;
use tonic::{Code, Status};

use super::{
    domain::{Domain, WIT_KEY},
    world::{Registered, code},
};

async fn validate(shared: &Registered, token: &str) -> Result<ValidateJwtSvidResponse, Status> {
    let request = ValidateJwtSvidRequest {
        audience: "orders".to_owned(),
        svid: token.to_owned(),
    };
    let answer = shared
        .world
        .client()
        .validate_jwtsvid(workload(request))
        .await;
    answer.map(tonic::Response::into_inner)
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object[name] = value;
    object
}

fn without(mut object: Value, name: &str) -> Value {
    object.as_object_mut().unwrap().remove(name);
    object
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_43_a_token_with_a_bad_header_is_an_invalid_argument() {
    let shared = Registered::shared();
    let (other, header) = (&shared.other, Domain::header());
    let claims = other.claims("/w");
    for (what, header) in [
        ("no algorithm", with(header.clone(), "alg", json!("none"))),
        (
            "a shared secret",
            with(header.clone(), "alg", json!("HS256")),
        ),
        ("EdDSA", with(header.clone(), "alg", json!("EdDSA"))),
        (
            "another algorithm",
            with(header.clone(), "alg", json!("ES384")),
        ),
        (
            "a spelling of none",
            with(header.clone(), "alg", json!("es256")),
        ),
        ("alg missing", without(header.clone(), "alg")),
        (
            "an unknown key",
            with(header.clone(), "kid", json!("no-such")),
        ),
        (
            "a key for something else",
            with(header.clone(), "kid", json!(WIT_KEY)),
        ),
        ("another type", with(header.clone(), "typ", json!("at+jwt"))),
        ("critical", with(header.clone(), "crit", json!(["exp"]))),
    ] {
        let token = other.token(&header, &claims);
        let answer = validate(&shared, &token).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{what}");
    }
    for header in [
        header.clone(),
        without(header.clone(), "typ"),
        with(header.clone(), "typ", json!("JOSE")),
        with(header.clone(), "x-unknown", json!(1)),
    ] {
        let token = other.token(&header, &claims);
        let answer = validate(&shared, &token).await;
        assert_eq!(code(&answer), Code::Ok, "{header}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_43_a_token_with_bad_claims_is_an_invalid_argument() {
    let shared = Registered::shared();
    let (other, header) = (&shared.other, Domain::header());
    let good = other.claims("/w");
    let now = good["iat"].as_i64().unwrap();
    for (what, claims) in [
        ("no subject", without(good.clone(), "sub")),
        (
            "a subject that is no ID",
            with(good.clone(), "sub", json!("w")),
        ),
        (
            "a subject with a slash at its end",
            with(good.clone(), "sub", json!("spiffe://other.org/w/")),
        ),
        ("no audience", without(good.clone(), "aud")),
        ("an empty audience", with(good.clone(), "aud", json!([]))),
        (
            "another audience",
            with(good.clone(), "aud", json!("billing")),
        ),
        (
            "an audience of another spelling",
            with(good.clone(), "aud", json!("Orders")),
        ),
        ("no end", without(good.clone(), "exp")),
        (
            "an end that has passed",
            with(good.clone(), "exp", json!(now - 3600)),
        ),
        (
            "an end that is text",
            with(good.clone(), "exp", json!("never")),
        ),
        (
            "a beginning to come",
            with(good.clone(), "nbf", json!(now + 3600)),
        ),
    ] {
        let answer = validate(&shared, &other.token(&header, &claims)).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{what}");
    }
    for claims in [
        good.clone(),
        with(good.clone(), "aud", json!("orders")),
        with(good.clone(), "aud", json!(["billing", "orders"])),
        with(good.clone(), "nbf", json!(now - 10)),
        without(good.clone(), "iat"),
    ] {
        let answer = validate(&shared, &other.token(&header, &claims)).await;
        assert_eq!(code(&answer), Code::Ok, "{claims}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_43_a_token_that_is_malformed_or_forged_is_an_invalid_argument() {
    let shared = Registered::shared();
    let other = &shared.other;
    let good = other.token(&Domain::header(), &other.claims("/w"));
    let parts: Vec<&str> = good.split('.').collect();
    let unsigned = format!("{}.{}.", parts[0], parts[1]);
    let padded = format!("{}=.{}.{}", parts[0], parts[1], parts[2]);
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]});
    let moved = URL_SAFE_NO_PAD
        .encode(with(other.claims("/w"), "sub", json!("spiffe://other.org/admin")).to_string());
    let twice = other.token_of_text(
        &Domain::header().to_string(),
        &other
            .claims("/w")
            .to_string()
            .replacen('{', "{\"sub\":\"spiffe://other.org/admin\",", 1),
    );
    for token in [
        "a.b.c",
        "...",
        &unsigned,
        &padded,
        &format!("{good}."),
        &format!("{good} "),
        &format!("Bearer {good}"),
        &flattened.to_string(),
        &format!("{}.{moved}.{}", parts[0], parts[2]),
        &twice,
    ] {
        let answer = validate(&shared, token).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{token}");
    }
    assert_eq!(code(&validate(&shared, &good).await), Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_48_a_token_is_judged_by_the_keys_of_its_own_trust_domain_or_by_none() {
    let shared = Registered::shared();
    let (other, third) = (&shared.other, Domain::new("third.org"));
    let header = Domain::header();
    for (what, token) in [
        (
            "of a domain that nobody knows",
            third.token(&header, &third.claims("/w")),
        ),
        (
            "signed by another domain",
            third.token(&header, &other.claims("/w")),
        ),
        (
            "signed by a federated domain for the own one",
            other.token(
                &header,
                &with(other.claims("/w"), "sub", json!("spiffe://example.org/w")),
            ),
        ),
    ] {
        let answer = validate(&shared, &token).await;
        assert_eq!(code(&answer), Code::InvalidArgument, "{what}");
    }
    let token = other.token(&header, &other.claims("/w"));
    assert_eq!(code(&validate(&shared, &token).await), Code::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_44_45_the_answer_is_the_subject_and_the_claims() {
    let shared = Registered::shared();
    let other = &shared.other;
    // A federated domain's private claims are its own affair, unless the operator wants them.
    let claims = with(other.claims("/w"), "admin", json!(true));
    let answer = validate(&shared, &other.token(&Domain::header(), &claims))
        .await
        .unwrap();
    assert_eq!(answer.spiffe_id, "spiffe://other.org/w");
    let fields = answer.claims.unwrap().fields;
    assert_eq!(
        fields["sub"].kind,
        Some(Kind::StringValue("spiffe://other.org/w".to_owned()))
    );
    assert_eq!(
        fields["exp"].kind,
        Some(Kind::NumberValue(claims["exp"].as_f64().unwrap()))
    );
    assert!(matches!(&fields["aud"].kind, Some(Kind::ListValue(list)) if list.values.len() == 1));
    assert!(!fields.contains_key("admin"), "{fields:?}");
    // Our own tokens, too.
    let request = JwtSvidRequest {
        audience: vec!["orders".to_owned()],
        spiffe_id: "spiffe://example.org/w".to_owned(),
    };
    let token = shared
        .world
        .client()
        .fetch_jwtsvid(workload(request))
        .await
        .unwrap()
        .into_inner();
    let answer = validate(&shared, &token.svids[0].svid).await.unwrap();
    assert_eq!(answer.spiffe_id, "spiffe://example.org/w");
    let fields = answer.claims.unwrap().fields;
    for name in ["sub", "aud", "exp"] {
        assert!(fields.contains_key(name), "{fields:?}");
    }
}
