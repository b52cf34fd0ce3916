//! A client of the SPIFFE Workload API that is made of the public API of the crates `spiffe` and
//! `spiffe-rustls`, and of `spire-api` for delegates, alone.
//!
//! ```text
//! signet-interop SOCKET fetch
//! signet-interop SOCKET jwt AUDIENCE
//! signet-interop SOCKET validate-local [AUDIENCE TOKEN]...
//! signet-interop SOCKET validate-agent [AUDIENCE TOKEN]...
//! signet-interop SOCKET watch
//! signet-interop SOCKET serve PORT [SPIFFE_ID]...
//! signet-interop SOCKET dial [PORT SPIFFE_ID]...
//! signet-interop SOCKET delegate-fetch ADMIN_SOCKET AUDIENCE WORKLOAD
//! signet-interop SOCKET delegate-watch ADMIN_SOCKET WORKLOAD
//! ```
//!
//! Every line of standard output is a JSON object; the clients in the other languages print the
//! same ones. The last two verbs are those of the crate `spire-api`.

mod delegate;
mod fetch;
mod tls;
mod watch;

use anyhow::Context as _;
use serde_json::{Value, json};
use spiffe::{JwtBundleSet, X509BundleSet, X509Source};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Err(error) = run(&arguments).await {
        say(&json!({ "error": format!("{error:#}") }));
    }
}

async fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [socket, verb, arguments @ ..] = arguments else {
        anyhow::bail!("usage: signet-interop SOCKET VERB [ARGUMENT]...");
    };
    let endpoint = unix(socket);
    match verb.as_str() {
        "fetch" => fetch::everything(&endpoint).await,
        "jwt" => fetch::token(&endpoint, first(arguments)?).await,
        "validate-local" => fetch::validate_here(&endpoint, arguments).await,
        "validate-agent" => fetch::validate_there(&endpoint, arguments).await,
        "watch" => watch::run(&endpoint).await,
        "serve" => tls::serve(&endpoint, first(arguments)?, arguments.get(1..)).await,
        "dial" => tls::dial(&endpoint, arguments).await,
        "delegate-fetch" => match arguments {
            [admin, audience, whom] => delegate::fetch(&unix(admin), audience, whom).await,
            _ => anyhow::bail!("usage: delegate-fetch ADMIN_SOCKET AUDIENCE WORKLOAD"),
        },
        "delegate-watch" => match arguments {
            [admin, whom] => delegate::watch(&unix(admin), whom).await,
            _ => anyhow::bail!("usage: delegate-watch ADMIN_SOCKET WORKLOAD"),
        },
        verb => anyhow::bail!("unknown verb {verb:?}"),
    }
}

fn unix(socket: &str) -> String {
    format!("unix:{socket}")
}

fn first(arguments: &[String]) -> anyhow::Result<&str> {
    arguments
        .first()
        .map(String::as_str)
        .context("an argument is missing")
}

#[expect(
    clippy::print_stdout,
    reason = "what this program says, it says on standard output"
)]
fn say(line: &Value) {
    println!("{line}");
}

async fn source(endpoint: &str) -> anyhow::Result<X509Source> {
    Ok(X509Source::builder().endpoint(endpoint).build().await?)
}

fn authorities(bundles: &X509BundleSet) -> Value {
    bundles
        .iter()
        .map(|(domain, bundle)| (domain.to_string(), json!(bundle.authorities().len())))
        .collect()
}

fn keys(bundles: &JwtBundleSet) -> Value {
    bundles
        .iter()
        .map(|(domain, bundle)| (domain.to_string(), json!(bundle.jwt_authorities().count())))
        .collect()
}
