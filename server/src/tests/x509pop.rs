//! Attestation by certificate, through the API.

use super::*;

/// A CA in a PEM file and a node certificate below it.
fn node_certificate(folder: &TempDir) -> (Vec<u8>, PrivateKey) {
    let mut ca = rcgen::CertificateParams::default();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    // As Go makes certificates when nothing is said: no key usage of the CA, and no start.
    ca.not_before = rcgen::date_time_ymd(1, 1, 1);
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "nodes");
    let ca_key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let ca = rcgen::CertifiedIssuer::self_signed(ca, ca_key).unwrap();
    std::fs::write(folder.path().join("ca.pem"), ca.pem()).unwrap();
    let mut node = rcgen::CertificateParams::default();
    node.distinguished_name
        .push(rcgen::DnType::CommonName, "node-1");
    node.not_before = rcgen::date_time_ymd(1, 1, 1);
    node.key_usages = vec![rcgen::KeyUsagePurpose::DigitalSignature];
    let key = PrivateKey::generate(KeyType::EcP256).unwrap();
    let der = node.signed_by(&key, &ca).unwrap().der().to_vec();
    (der, key)
}

fn base64(bytes: &[u8]) -> String {
    base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)
}

/// What an agent with `key` answers to an ECDSA challenge.
fn prove(key: &PrivateKey, challenge: &[u8]) -> Vec<u8> {
    let challenge: serde_json::Value = serde_json::from_slice(challenge).unwrap();
    let nonce = challenge["ecdsa_signature"]["nonce"].as_str().unwrap();
    let nonce = base64::Engine::decode(&base64::prelude::BASE64_STANDARD, nonce).unwrap();
    let own = [1; 32];
    let signature = key.sign_nonce(&[&nonce[..], &own].concat()).unwrap();
    let signet_identity::key::NonceSignature::Ecdsa { r, s } = signature else {
        panic!("an EC key makes ECDSA signatures")
    };
    let proof = serde_json::json!({ "nonce": base64(&own), "r": base64(&r), "s": base64(&s) });
    serde_json::json!({ "ecdsa_signature": proof })
        .to_string()
        .into_bytes()
}

async fn attest_by_certificate(
    server: &Running,
    certificate: &[u8],
    key: &PrivateKey,
) -> Result<attest_agent_response::Result, Status> {
    let csr = csr::build(key, Subject::spire(), None, &[]).unwrap();
    let payload = serde_json::json!({ "certificates": [base64(certificate)] });
    let params = attest_agent_request::Params {
        data: Some(types::AttestationData {
            r#type: "x509pop".to_owned(),
            payload: payload.to_string().into_bytes(),
        }),
        params: Some(AgentX509svidParams { csr }),
    };
    let (say, requests) = tokio::sync::mpsc::channel(2);
    let step = |step| AttestAgentRequest { step: Some(step) };
    say.send(step(attest_agent_request::Step::Params(params)))
        .await
        .unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let answers = AgentClient::new(server.remote(None).await)
        .attest_agent(requests)
        .await?;
    let mut answers = answers.into_inner();
    let first = answers.message().await?.unwrap().step.unwrap();
    let attest_agent_response::Step::Challenge(challenge) = first else {
        panic!("attested without a challenge")
    };
    let proof = attest_agent_request::Step::ChallengeResponse(prove(key, &challenge));
    say.send(step(proof)).await.unwrap();
    match answers.message().await?.unwrap().step.unwrap() {
        attest_agent_response::Step::Result(result) => Ok(result),
        attest_agent_response::Step::Challenge(_) => panic!("challenged twice"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_a_certificate_attests_again_and_again_but_does_not_renew() {
    let folder = TempDir::new().unwrap();
    let (certificate, key) = node_certificate(&folder);
    let plugins = format!(
        "plugins {{\n NodeAttestor \"x509pop\" {{\n plugin_data {{\n ca_bundle_path = \"{}\"\n}}\n}}\n}}\n",
        folder.path().join("ca.pem").display()
    );
    std::fs::write(folder.path().join("plugins.conf"), plugins).unwrap();
    let server = Running::start_in(folder).await;
    let first = attest_by_certificate(&server, &certificate, &key)
        .await
        .unwrap();
    assert!(first.reattestable);
    let again = attest_by_certificate(&server, &certificate, &key)
        .await
        .unwrap();
    assert_eq!(first.svid.unwrap().id, again.svid.as_ref().unwrap().id);
    let stranger = PrivateKey::generate(KeyType::EcP256).unwrap();
    let refused = attest_by_certificate(&server, &certificate, &stranger)
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    let agent = Agent::new(again.svid.unwrap(), &key);
    let mut client = AgentClient::new(server.remote(Some(agent.identity)).await);
    let csr = csr::build(&key, Subject::spire(), None, &[]).unwrap();
    let params = Some(AgentX509svidParams { csr });
    let refused = client
        .renew_agent(RenewAgentRequest { params })
        .await
        .unwrap_err();
    assert_eq!(reason(&refused), Some(Reason::AgentMustReattest));
    // No plugin of that name is configured, and none is needed.
    let by_token = server.attest(&server.token().await).await;
    assert!(by_token.is_ok(), "{:?}", by_token.err());
    server.stop().await;
}
