//! The crate `spire-api`: fetches the identities of other workloads from an agent's admin socket.

use std::pin::pin;

use anyhow::Context as _;
use serde_json::json;
use spiffe::X509Svid;
use spire_api::{
    DelegateAttestationRequest, DelegatedIdentityClient, DelegatedIdentityError,
    selectors::Selector,
};
use tokio_stream::{Stream, StreamExt as _};

use crate::{authorities, keys, say, watch::serial};

/// A workload by its process, `pid:7`, or by a selector, `unix:uid:1000`.
fn workload(text: &str) -> anyhow::Result<DelegateAttestationRequest> {
    let (kind, value) = text.split_once(':').context("no colon")?;
    Ok(if kind == "pid" {
        DelegateAttestationRequest::for_pid(value.parse()?)?
    } else {
        let selector = Selector::Generic((kind.to_owned(), value.to_owned()));
        DelegateAttestationRequest::for_selectors(vec![selector])?
    })
}

pub(crate) async fn fetch(endpoint: &str, audience: &str, whom: &str) -> anyhow::Result<()> {
    let client = DelegatedIdentityClient::connect_to(endpoint).await?;
    let whom = workload(whom)?;
    let svid = client.fetch_x509_svid(whom.clone()).await?;
    let tokens = client.fetch_jwt_svids(&[audience], whom).await?;
    let tokens: Vec<_> = tokens
        .iter()
        .map(|token| json!({ "id": token.spiffe_id().to_string(), "audience": token.audience() }))
        .collect();
    say(&json!({
        "id": svid.spiffe_id().to_string(),
        "tokens": tokens,
        "x509_bundles": authorities(&client.fetch_x509_bundles().await?),
        "jwt_bundles": keys(&client.fetch_jwt_bundles().await?),
    }));
    Ok(())
}

/// Follows until every stream has ended.
pub(crate) async fn watch(endpoint: &str, whom: &str) -> anyhow::Result<()> {
    let client = DelegatedIdentityClient::connect_to(endpoint).await?;
    let svids = client.stream_x509_svids(workload(whom)?).await?;
    let x509_bundles = client.stream_x509_bundles().await?;
    let jwt_bundles = client.stream_jwt_bundles().await?;
    tokio::join!(
        follow("x509", svids, |svid: X509Svid| json!({
            "event": "x509",
            "id": svid.spiffe_id().to_string(),
            "serial": serial(&svid),
        })),
        follow("x509-bundles", x509_bundles, |bundles| json!({
            "event": "x509-bundles",
            "bundles": authorities(&bundles),
        })),
        follow("jwt", jwt_bundles, |bundles| json!({
            "event": "jwt",
            "bundles": keys(&bundles),
        })),
    );
    Ok(())
}

async fn follow<T>(
    event: &str,
    stream: impl Stream<Item = Result<T, DelegatedIdentityError>>,
    line: impl Fn(T) -> serde_json::Value,
) {
    let mut stream = pin!(stream);
    while let Some(update) = stream.next().await {
        say(&match update {
            Ok(update) => line(update),
            Err(error) => json!({ "event": format!("{event}-error"), "error": error.to_string() }),
        });
    }
    say(&json!({ "event": format!("{event}-end") }));
}
