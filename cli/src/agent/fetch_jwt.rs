//! `signet agent api fetch jwt`.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
};

use anyhow::{Context as _, ensure};
use signet_identity::id::parse_trust_domain_id;
use signet_proto::workload::{
    JwtBundlesRequest, JwtBundlesResponse, JwtSvid, JwtSvidRequest, JwtSvidResponse,
};

use super::{Agent, Work, request};
use crate::{
    grpc,
    output::{Answer, Text},
};

/// Fetches JWT-SVIDs and the bundles that verify them.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchJwt {
    /// A comma-separated list of audience values
    #[arg(long, value_name = "AUDIENCE")]
    audience: Option<String>,

    /// The SPIFFE ID of the wanted subject
    #[arg(long, alias = "spiffeID", value_name = "SPIFFE_ID")]
    spiffe_id: Option<String>,
}

impl Work for FetchJwt {
    async fn work(self, agent: &Agent) -> anyhow::Result<Answer> {
        let audience = self.audience.unwrap_or_default();
        ensure!(!audience.is_empty(), "audience must be specified");
        let mut client = agent.client().await?;
        let stream = client.fetch_jwt_bundles(request(JwtBundlesRequest {}));
        let bundles = grpc::first(agent.timeout, stream)
            .await
            .context("failed to receive JWT bundles")?;
        let wanted = JwtSvidRequest {
            audience: audience.split(',').map(str::to_owned).collect(),
            spiffe_id: self.spiffe_id.unwrap_or_default(),
        };
        let answer = client.fetch_jwtsvid(request(wanted));
        let mut svids = grpc::call(agent.timeout, answer).await?;
        check(&svids, &bundles)?;
        // Workload API section 8: of those that share a hint, the first counts.
        let mut hints = HashSet::new();
        let tokens = &mut svids.svids;
        tokens.retain(|svid| svid.hint.is_empty() || hints.insert(svid.hint.clone()));
        let text = Text::out(text(&svids, &bundles));
        Answer::message(&svids, "JWTSVIDResponse", text)?.and(&bundles, "JWTBundlesResponse")
    }
}

/// Whoever leaves out what is mandatory sent no answer (SPIFFE Workload API section 4.5).
fn check(svids: &JwtSvidResponse, bundles: &JwtBundlesResponse) -> anyhow::Result<()> {
    ensure!(
        !svids.svids.is_empty(),
        "workload response contains no svids"
    );
    let filled = |svid: &JwtSvid| !svid.spiffe_id.is_empty() && !svid.svid.is_empty();
    ensure!(
        svids.svids.iter().all(filled),
        "workload response contains a JWT-SVID without its SPIFFE ID or its token"
    );
    ensure!(
        !bundles.bundles.is_empty(),
        "workload response contains no JWT bundles"
    );
    for id in bundles.bundles.keys() {
        parse_trust_domain_id(id).context("failed to parse JWT bundles")?;
    }
    Ok(())
}

fn text(svids: &JwtSvidResponse, bundles: &JwtBundlesResponse) -> String {
    let mut out = String::new();
    for svid in &svids.svids {
        let (id, token, hint) = (&svid.spiffe_id, &svid.svid, &svid.hint);
        let _ = writeln!(out, "token({id}):\n\t{token}");
        if !hint.is_empty() {
            let _ = writeln!(out, "hint({id}):\n\t{hint}");
        }
    }
    // In a stable order, so that two runs can be compared.
    for (trust_domain, keys) in bundles.bundles.iter().collect::<BTreeMap<_, _>>() {
        let keys = String::from_utf8_lossy(keys);
        let _ = writeln!(out, "bundle({trust_domain}):\n\t{keys}");
    }
    out
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn tokens_and_bundles_are_indented_under_their_names() {
        let svid = |path: &str, hint: &str| JwtSvid {
            spiffe_id: format!("spiffe://a.test/{path}"),
            svid: format!("{path}.token"),
            hint: hint.to_owned(),
        };
        let svids = JwtSvidResponse {
            svids: vec![svid("w", ""), svid("v", "external")],
        };
        let bundles = JwtBundlesResponse {
            bundles: HashMap::from([
                ("spiffe://b.test".to_owned(), "{}".into()),
                ("spiffe://a.test".to_owned(), "{\"keys\":[]}".into()),
            ]),
        };
        assert_eq!(
            text(&svids, &bundles),
            "\
token(spiffe://a.test/w):
\tw.token
token(spiffe://a.test/v):
\tv.token
hint(spiffe://a.test/v):
\texternal
bundle(spiffe://a.test):
\t{\"keys\":[]}
bundle(spiffe://b.test):
\t{}
"
        );
    }
}
