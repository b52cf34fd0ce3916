//! Callers without an identity.

use signet_proto::workload::{
    JwtBundlesRequest, JwtSvidRequest, ValidateJwtSvidRequest, ValidateJwtSvidResponse,
    X509BundlesRequest,
};
use signet_tests::testbed::{
    Agent, JOIN_TOKEN,
    grpc::{self, workload},
};
use tonic::{Code, Response, Status};

use super::{
    domain::Domain,
    world::{Client, World, code, empty, first, next},
};

#[tokio::test(flavor = "multi_thread")]
async fn wlapi_29_37_42_55_who_is_not_registered_is_denied_svids_tokens_and_bundles() {
    let world = empty();
    let mut client = world.client();
    let answers = [
        code(&first(client.clone()).await),
        code(
            &next(
                client
                    .fetch_x509_bundles(workload(X509BundlesRequest {}))
                    .await,
            )
            .await,
        ),
        code(
            &next(
                client
                    .fetch_jwt_bundles(workload(JwtBundlesRequest {}))
                    .await,
            )
            .await,
        ),
        code(&client.fetch_jwtsvid(workload(token_request(""))).await),
        code(
            &client
                .fetch_jwtsvid(workload(token_request("spiffe://example.org/w")))
                .await,
        ),
    ];
    assert_eq!(answers, [Code::PermissionDenied; 5]);
}

/// With the operator's leave, whoever only verifies others sees the own trust domain's bundles, and
/// those alone.
#[tokio::test(flavor = "multi_thread")]
async fn wlapi_42_55_unauthenticated_verifiers_see_the_own_bundle_if_the_operator_lets_them() {
    let world = empty();
    let other = Domain::new("other.org");
    world.set_bundle(&other.id(), &other.document());
    let token = world.server.token(&[]);
    let id = format!("spiffe://example.org/spire/agent/join_token/{token}");
    let flags = ["--join-token", &token, "--allow-unauthenticated-verifiers"];
    let open = Agent::start(&world.server, "open", JOIN_TOKEN, &flags, id);
    open.is_healthy();
    let mut client = grpc::workload_api(open.socket.clone());
    let x509 = next(
        client
            .fetch_x509_bundles(workload(X509BundlesRequest {}))
            .await,
    )
    .await;
    let keys: Vec<String> = x509.unwrap().bundles.into_keys().collect();
    assert_eq!(keys, ["spiffe://example.org"]);
    let jwt = next(
        client
            .fetch_jwt_bundles(workload(JwtBundlesRequest {}))
            .await,
    )
    .await;
    let keys: Vec<String> = jwt.unwrap().bundles.into_keys().collect();
    assert_eq!(keys, ["spiffe://example.org"]);
    assert_eq!(code(&first(client.clone()).await), Code::PermissionDenied);
    let token = client.fetch_jwtsvid(workload(token_request(""))).await;
    assert_eq!(code(&token), Code::PermissionDenied);
}

/// The standard is silent; we do as SPIRE does: such a caller is answered, with the own trust
/// domain's keys.
#[tokio::test(flavor = "multi_thread")]
async fn wlapi_46_a_caller_without_an_identity_may_validate_tokens_of_its_own_trust_domain() {
    let world = empty();
    let id = "spiffe://example.org/minted";
    let minted = world
        .server
        .run(&["jwt", "mint", "--spiffe-id", id, "--audience", "orders"])
        .ok();
    let answer = validate(&world, minted.trim()).await.unwrap().into_inner();
    assert_eq!(answer.spiffe_id, id);
    // A federated domain's keys are for those whose entries federate with it.
    let other = Domain::new("other.org");
    world.set_bundle(&other.id(), &other.document());
    let foreign = other.token(&Domain::header(), &other.claims("/w"));
    assert_eq!(
        code(&validate(&world, &foreign).await),
        Code::InvalidArgument
    );
}

async fn validate(world: &World, token: &str) -> Result<Response<ValidateJwtSvidResponse>, Status> {
    let mut client: Client = world.client();
    let request = ValidateJwtSvidRequest {
        audience: "orders".to_owned(),
        svid: token.to_owned(),
    };
    client.validate_jwtsvid(workload(request)).await
}

fn token_request(id: &str) -> JwtSvidRequest {
    JwtSvidRequest {
        audience: vec!["orders".to_owned()],
        spiffe_id: id.to_owned(),
    }
}
