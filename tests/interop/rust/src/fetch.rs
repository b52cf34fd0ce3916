//! What is asked for once: SVIDs, bundles, and whether a token is valid.

use serde_json::json;
use spiffe::{JwtSource, JwtSvid, SpiffeId, WorkloadApiClient};

use crate::{authorities, keys, say};

pub(crate) async fn everything(endpoint: &str) -> anyhow::Result<()> {
    let client = WorkloadApiClient::connect_to(endpoint).await?;
    let svids = client.fetch_all_x509_svids().await?;
    let ids: Vec<String> = svids
        .iter()
        .map(|svid| svid.spiffe_id().to_string())
        .collect();
    let context = client.fetch_x509_context().await?;
    say(&json!({
        "ids": ids,
        "context_bundles": authorities(context.bundle_set()),
        "x509_bundles": authorities(&client.fetch_x509_bundles().await?),
        "jwt_bundles": keys(&client.fetch_jwt_bundles().await?),
    }));
    Ok(())
}

pub(crate) async fn token(endpoint: &str, audience: &str) -> anyhow::Result<()> {
    let client = WorkloadApiClient::connect_to(endpoint).await?;
    let svid = client.fetch_jwt_svid([audience], None).await?;
    say(&json!({
        "id": svid.spiffe_id().to_string(),
        "audience": svid.audience(),
        "token": svid.token(),
    }));
    Ok(())
}

pub(crate) async fn validate_here(endpoint: &str, pairs: &[String]) -> anyhow::Result<()> {
    let source = JwtSource::builder().endpoint(endpoint).build().await?;
    for (audience, token) in in_pairs(pairs) {
        let valid = JwtSvid::parse_and_validate(token, &source, &[audience]);
        verdict(valid.map(|svid| svid.spiffe_id().clone()));
    }
    Ok(())
}

pub(crate) async fn validate_there(endpoint: &str, pairs: &[String]) -> anyhow::Result<()> {
    let client = WorkloadApiClient::connect_to(endpoint).await?;
    for (audience, token) in in_pairs(pairs) {
        let valid = client.validate_jwt_token(audience, token).await;
        verdict(valid.map(|svid| svid.spiffe_id().clone()));
    }
    Ok(())
}

pub(crate) fn in_pairs(arguments: &[String]) -> impl Iterator<Item = (&str, &str)> {
    arguments.chunks_exact(2).filter_map(|pair| match pair {
        [one, two] => Some((one.as_str(), two.as_str())),
        _ => None,
    })
}

fn verdict<E: std::fmt::Display>(valid: Result<SpiffeId, E>) {
    say(&match valid {
        Ok(id) => json!({ "id": id.to_string() }),
        Err(error) => json!({ "error": error.to_string() }),
    });
}
