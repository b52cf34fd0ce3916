//! `FetchJWTSVID` and `ValidateJWTSVID`.

use prost_types::value::Kind;
use signet_identity::jwt::{Claims, sign};
use signet_proto::workload::{JwtSvidRequest, ValidateJwtSvidRequest, ValidateJwtSvidResponse};
use tonic::{Code, Status};

use super::*;

async fn fetch(api: &Api, audience: &[&str], spiffe_id: &str) -> Status {
    let request = with_header(JwtSvidRequest {
        audience: audience.iter().map(ToString::to_string).collect(),
        spiffe_id: spiffe_id.to_owned(),
    });
    api.client().fetch_jwtsvid(request).await.unwrap_err()
}

async fn validate(
    api: &Api,
    audience: &str,
    svid: &str,
) -> Result<ValidateJwtSvidResponse, Status> {
    let request = with_header(ValidateJwtSvidRequest {
        audience: audience.to_owned(),
        svid: svid.to_owned(),
    });
    Ok(api.client().validate_jwtsvid(request).await?.into_inner())
}

fn claims(id: &str) -> Claims {
    let now = clock::now();
    Claims {
        sub: SpiffeId::new(id).unwrap(),
        aud: vec!["audience".to_owned()],
        iat: now,
        exp: now + Duration::from_secs(300),
        iss: None,
        jti: None,
    }
}

fn foreign_bundle_with(key: &PrivateKey) -> Bundle {
    Bundle {
        jwt_authorities: vec![jwt_authority(key)],
        ..foreign_bundle("other.org", b"x")
    }
}

#[tokio::test]
async fn an_audience_is_mandatory() {
    let api = api().await;
    api.add_signed([entry(1)]);
    for audience in [&[][..], &[""], &["a", ""]] {
        let status = fetch(&api, audience, "").await;
        assert_eq!(status.code(), Code::InvalidArgument, "{audience:?}");
        assert_eq!(status.message(), "audience must be specified");
    }
}

#[tokio::test]
async fn a_malformed_id_is_the_callers_mistake_and_a_foreign_one_is_denied() {
    let api = api().await;
    api.add_signed([entry(1), entry_of_another_workload()]);
    let malformed = fetch(&api, &["a"], "http://example.org/w1").await;
    assert_eq!(malformed.code(), Code::InvalidArgument);
    for id in [
        "spiffe://example.org/w200",
        "spiffe://example.org/w",
        "spiffe://other.org/w1",
    ] {
        assert_eq!(
            fetch(&api, &["a"], id).await.code(),
            Code::PermissionDenied,
            "{id}"
        );
    }
}

#[tokio::test]
async fn who_has_no_entry_gets_no_token() {
    let api = api().await;
    let status = fetch(&api, &["a"], "").await;
    assert_eq!(
        (status.code(), status.message()),
        (Code::PermissionDenied, "no identity issued")
    );
}

#[tokio::test]
async fn a_server_that_is_away_makes_tokens_unavailable() {
    let api = api().await;
    api.add([entry(1)]);
    assert_eq!(fetch(&api, &["a"], "").await.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_valid_token_is_answered_with_its_claims() {
    let api = api().await;
    api.add([entry(1)]);
    let token = sign(&api.jwt_key, KEY_ID, &claims("spiffe://example.org/caller")).unwrap();
    let answer = validate(&api, "audience", &token).await.unwrap();
    assert_eq!(answer.spiffe_id, "spiffe://example.org/caller");
    let fields = answer.claims.unwrap().fields;
    let subject = Kind::StringValue("spiffe://example.org/caller".to_owned());
    assert_eq!(fields["sub"].kind, Some(subject));
    assert!(fields.contains_key("aud") && fields.contains_key("exp"));
}

#[tokio::test]
async fn a_process_without_an_identity_may_validate_own_tokens() {
    let api = api().await;
    let token = sign(&api.jwt_key, KEY_ID, &claims("spiffe://example.org/caller")).unwrap();
    validate(&api, "audience", &token).await.unwrap();
}

#[tokio::test]
async fn an_invalid_token_is_the_callers_mistake_with_a_reason() {
    let api = api().await;
    api.add([entry(1)]);
    let good = claims("spiffe://example.org/caller");
    let expired = Claims {
        exp: clock::now() - Duration::from_secs(300),
        ..good.clone()
    };
    let stranger = PrivateKey::generate(KeyType::EcP256).unwrap();
    for token in [
        "nonsense".to_owned(),
        sign(&api.jwt_key, KEY_ID, &expired).unwrap(),
        sign(&api.jwt_key, "another key", &good).unwrap(),
        sign(&stranger, KEY_ID, &good).unwrap(),
    ] {
        let status = validate(&api, "audience", &token).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{token}");
        assert!(!status.message().is_empty());
    }
    let token = sign(&api.jwt_key, KEY_ID, &good).unwrap();
    let status = validate(&api, "other audience", &token).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn both_fields_of_a_validation_are_mandatory() {
    let api = api().await;
    for (audience, svid) in [("", "token"), ("audience", "")] {
        let status = validate(&api, audience, svid).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().ends_with("must be specified"), "{status}");
    }
}

#[tokio::test]
async fn a_foreign_token_is_valid_only_for_who_federates_with_its_domain() {
    let api = api().await;
    let foreign_key = PrivateKey::generate(KeyType::EcP256).unwrap();
    api.bundle(foreign_bundle_with(&foreign_key));
    api.add([entry(1)]);
    let token = sign(&foreign_key, KEY_ID, &claims("spiffe://other.org/caller")).unwrap();
    let status = validate(&api, "audience", &token).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);

    api.add([Entry {
        federates_with: vec![TrustDomain::new("other.org").unwrap()],
        ..entry(2)
    }]);
    let answer = validate(&api, "audience", &token).await.unwrap();
    assert_eq!(answer.spiffe_id, "spiffe://other.org/caller");
}
