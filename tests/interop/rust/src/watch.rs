//! What the crate's sources tell as time passes.

use std::time::Duration;

use serde_json::{Value, json};
use spiffe::{JwtSource, X509Context, X509Source, X509Svid};
use tokio::time::sleep;

use crate::{authorities, keys, say, source};

/// Follows both sources; the crate's streams do not come back after an error, its sources do.
pub(crate) async fn run(endpoint: &str) -> anyhow::Result<()> {
    let x509 = source(endpoint).await?;
    let jwt = JwtSource::builder().endpoint(endpoint).build().await?;
    tokio::try_join!(follow_x509(&x509), follow_jwt(&jwt), hold(&x509))?;
    Ok(())
}

async fn follow_x509(source: &X509Source) -> anyhow::Result<()> {
    let mut updates = source.updated();
    loop {
        say(&match source.state().context() {
            Ok(context) => material(&context),
            Err(error) => json!({ "event": "x509-error", "error": error.to_string() }),
        });
        updates.changed().await?;
    }
}

async fn follow_jwt(source: &JwtSource) -> anyhow::Result<()> {
    let mut updates = source.updated();
    loop {
        say(&match source.state().bundle_set() {
            Ok(bundles) => json!({ "event": "jwt", "bundles": keys(&bundles) }),
            Err(error) => json!({ "event": "jwt-error", "error": error.to_string() }),
        });
        updates.changed().await?;
    }
}

/// Once a second: the identity that a connection would be made with now.
async fn hold(source: &X509Source) -> anyhow::Result<()> {
    loop {
        say(&match source.svid() {
            Ok(svid) => json!({
                "event": "held",
                "id": svid.spiffe_id().to_string(),
                "serial": serial(&svid),
            }),
            Err(error) => json!({ "event": "held", "error": error.to_string() }),
        });
        sleep(Duration::from_secs(1)).await;
    }
}

fn material(context: &X509Context) -> Value {
    let Some(svid) = context.default_svid() else {
        return json!({ "event": "x509-error", "error": "no default SVID" });
    };
    json!({
        "event": "x509",
        "id": svid.spiffe_id().to_string(),
        "serial": serial(svid),
        "bundles": authorities(context.bundle_set()),
    })
}

pub(crate) fn serial(svid: &X509Svid) -> String {
    match x509_parser::parse_x509_certificate(svid.leaf().as_bytes()) {
        Ok((_, certificate)) => certificate.raw_serial_as_string(),
        Err(error) => error.to_string(),
    }
}
