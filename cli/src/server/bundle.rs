//! `signet server bundle …`: the trust domain's own bundle, and those of others.

use std::{io::Write, path::PathBuf};

use anyhow::{Context as _, bail};
use signet_identity::{
    bundle::{Bundle, Read},
    id, x509,
};
use signet_proto::spire::api::{
    server::bundle::v1::{
        BatchDeleteFederatedBundleRequest, BatchSetFederatedBundleRequest, CountBundlesRequest,
        GetBundleRequest, GetFederatedBundleRequest, ListFederatedBundlesRequest,
        batch_delete_federated_bundle_request::Mode, bundle_client::BundleClient,
    },
    types,
};
use tonic::transport::Channel;

use super::{Administer, Server, Verb, parse};
use crate::{
    files,
    grpc::{self, DEADLINE, MESSAGE_LIMIT},
    output::{Answer, Streams, Text},
};

/// The commands of `signet server bundle`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Prints the server's own bundle
    Show(Verb<Show>),
    /// Lists federated bundle data
    List(Verb<List>),
    /// Creates or updates federated bundle data
    Set(Verb<Set>),
    /// Deletes federated bundle data
    Delete(Verb<Delete>),
    /// Counts bundles
    Count(Verb<Count>),
}

impl Command {
    pub(super) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Show(verb) => verb.execute(streams),
            Self::List(verb) => verb.execute(streams),
            Self::Set(verb) => verb.execute(streams),
            Self::Delete(verb) => verb.execute(streams),
            Self::Count(verb) => verb.execute(streams),
        }
    }
}

/// How a bundle is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum BundleFormat {
    /// X.509 authorities only, as PEM.
    Pem,
    /// The SPIFFE bundle document, with X.509 and JWT authorities.
    Spiffe,
}

#[derive(Debug, clap::Args)]
struct FormatFlag {
    /// The format of the bundle data
    #[arg(long, value_enum, default_value = "pem", ignore_case = true)]
    format: BundleFormat,
}

/// Prints the server's own bundle.
#[derive(Debug, clap::Args)]
pub(crate) struct Show {
    #[command(flatten)]
    format: FormatFlag,
}

/// Lists the bundles of other trust domains.
#[derive(Debug, clap::Args)]
pub(crate) struct List {
    /// The one trust domain to show
    #[arg(long, value_name = "TRUST_DOMAIN")]
    id: Option<String>,

    #[command(flatten)]
    format: FormatFlag,
}

/// Stores the bundle of another trust domain.
#[derive(Debug, clap::Args)]
pub(crate) struct Set {
    /// The trust domain whose bundle it is
    #[arg(long, value_name = "TRUST_DOMAIN")]
    id: Option<String>,

    /// The file with the bundle; standard input when there is none
    #[arg(long, value_name = "FILE")]
    path: Option<PathBuf>,

    #[command(flatten)]
    format: FormatFlag,
}

/// Deletes the bundle of another trust domain.
#[derive(Debug, clap::Args)]
pub(crate) struct Delete {
    /// The trust domain whose bundle it is
    #[arg(long, value_name = "TRUST_DOMAIN")]
    id: Option<String>,

    /// What becomes of entries that federate with it
    #[arg(long, value_enum, default_value = "restrict")]
    mode: DeletionMode,
}

/// What becomes of entries that federate with a deleted bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum DeletionMode {
    /// The bundle is not deleted while there are any.
    Restrict,
    /// They are deleted too.
    Delete,
    /// They stay, and federate with it no more.
    Dissociate,
}

/// Counts bundles, the server's own included.
#[derive(Debug, clap::Args)]
pub(crate) struct Count {}

impl Administer for Show {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut client = client(server).await?;
        let request = GetBundleRequest::default();
        let bundle = grpc::call(DEADLINE, client.get_bundle(request)).await?;
        shown(&bundle, self.format.format)
    }
}

impl Administer for List {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut client = client(server).await?;
        let format = self.format.format;
        if let Some(id) = parse::given(self.id.as_deref()) {
            let request = GetFederatedBundleRequest {
                trust_domain: id.to_owned(),
                output_mask: None,
            };
            let bundle = grpc::call(DEADLINE, client.get_federated_bundle(request)).await?;
            return shown(&bundle, format);
        }
        let request = ListFederatedBundlesRequest::default();
        let response = grpc::call(DEADLINE, client.list_federated_bundles(request)).await?;
        Answer::message(
            &response,
            "spire.api.server.bundle.v1.ListFederatedBundlesResponse",
            Text::out(listed(&response.bundles, format)?),
        )
    }
}

impl Administer for Set {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let Some(id) = parse::given(self.id.as_deref()) else {
            bail!("id flag is required");
        };
        let bytes =
            files::read_bytes(self.path.as_deref()).context("unable to load bundle data")?;
        let (bundle, notes) = read(&bytes, id, self.format.format)?;
        let request = BatchSetFederatedBundleRequest {
            bundle: vec![bundle],
            output_mask: None,
        };
        let mut client = client(server).await?;
        let response = grpc::call(DEADLINE, client.batch_set_federated_bundle(request))
            .await
            .context("failed to set federated bundle")?;
        let result = response.results.first();
        let status = result.and_then(|result| result.status.as_ref());
        let text = match status.filter(|status| status.code != 0) {
            None => Text::out("bundle set.\n"),
            Some(status) => failed(format!(
                "failed to set federated bundle: {}",
                status.message
            )),
        };
        let name = "spire.api.server.bundle.v1.BatchSetFederatedBundleResponse";
        Ok(Answer::message(&response, name, text)?.with_notes(notes))
    }
}

impl Administer for Delete {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let Some(id) = parse::given(self.id.as_deref()) else {
            bail!("id is required");
        };
        let request = BatchDeleteFederatedBundleRequest {
            trust_domains: vec![id.to_owned()],
            mode: i32::from(self.mode.to_proto()),
        };
        let mut client = client(server).await?;
        let response = grpc::call(DEADLINE, client.batch_delete_federated_bundle(request))
            .await
            .context("failed to delete federated bundle")?;
        let result = response.results.first();
        let status = result.and_then(|result| result.status.as_ref());
        let text = match status.filter(|status| status.code != 0) {
            None => Text::out("bundle deleted.\n"),
            Some(status) => failed(format!(
                "failed to delete federated bundle {id:?}: {}",
                status.message
            )),
        };
        let name = "spire.api.server.bundle.v1.BatchDeleteFederatedBundleResponse";
        Answer::message(&response, name, text)
    }
}

impl Administer for Count {
    async fn administer(self, server: &Server) -> anyhow::Result<Answer> {
        let mut client = client(server).await?;
        let response = grpc::call(DEADLINE, client.count_bundles(CountBundlesRequest {})).await?;
        let name = "spire.api.server.bundle.v1.CountBundlesResponse";
        Answer::message(&response, name, Text::out(counted(response.count)))
    }
}

impl DeletionMode {
    fn to_proto(self) -> Mode {
        match self {
            Self::Restrict => Mode::Restrict,
            Self::Delete => Mode::Delete,
            Self::Dissociate => Mode::Dissociate,
        }
    }
}

async fn client(server: &Server) -> anyhow::Result<BundleClient<Channel>> {
    let client = BundleClient::new(server.connect().await?);
    Ok(client.max_decoding_message_size(MESSAGE_LIMIT))
}

fn failed(reason: String) -> Text {
    Text {
        failed: Some(reason),
        ..Text::default()
    }
}

fn shown(bundle: &types::Bundle, format: BundleFormat) -> anyhow::Result<Answer> {
    let text = Text::out(written(bundle, format)?);
    Answer::message(bundle, "spire.api.types.Bundle", text)
}

/// Each bundle under a frame with the name of its trust domain.
fn listed(bundles: &[types::Bundle], format: BundleFormat) -> anyhow::Result<String> {
    const FRAME: &str = "****************************************";
    let titled = |bundle: &types::Bundle| {
        let body = written(bundle, format)?;
        Ok(format!(
            "{FRAME}\n* {}\n{FRAME}\n{body}",
            bundle.trust_domain
        ))
    };
    let titled = bundles.iter().map(titled);
    Ok(titled.collect::<anyhow::Result<Vec<_>>>()?.join("\n"))
}

fn written(bundle: &types::Bundle, format: BundleFormat) -> anyhow::Result<String> {
    match format {
        BundleFormat::Pem => {
            let authorities = bundle.x509_authorities.iter();
            Ok(x509::chain_to_pem(authorities.map(|root| &root.asn1)))
        }
        BundleFormat::Spiffe => {
            let document = Bundle::from_proto(bundle)?.to_document();
            Ok(document + "\n")
        }
    }
}

/// A bundle, and a remark on each part of it that could not be used.
fn read(bytes: &[u8], id: &str, format: BundleFormat) -> anyhow::Result<(types::Bundle, String)> {
    let trust_domain = id::parse_trust_domain(id)?;
    let text = std::str::from_utf8(bytes).context("the bundle is not text")?;
    let parsed = match format {
        BundleFormat::Pem => Bundle::from_pem(trust_domain, text).map(|bundle| Read {
            bundle,
            ignored: Vec::new(),
        }),
        BundleFormat::Spiffe => Bundle::read_document(trust_domain, text),
    };
    let read = parsed.context("unable to parse bundle data")?;
    let remarks = read
        .ignored
        .iter()
        .map(|remark| format!("Left out: {remark}\n"));
    Ok((read.bundle.to_proto(None), remarks.collect()))
}

fn counted(count: i32) -> String {
    let noun = match count {
        1 => "bundle",
        _ => "bundles",
    };
    format!("{count} {noun}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundle(trust_domain: &str) -> types::Bundle {
        types::Bundle {
            trust_domain: trust_domain.to_owned(),
            x509_authorities: vec![types::X509Certificate {
                asn1: b"root".to_vec(),
                tainted: false,
            }],
            ..types::Bundle::default()
        }
    }

    #[test]
    fn bundles_are_framed_by_their_names() {
        let bundles = [bundle("a.test"), bundle("b.test")];
        assert_eq!(
            listed(&bundles, BundleFormat::Pem).unwrap(),
            "\
****************************************
* a.test
****************************************
-----BEGIN CERTIFICATE-----
cm9vdA==
-----END CERTIFICATE-----

****************************************
* b.test
****************************************
-----BEGIN CERTIFICATE-----
cm9vdA==
-----END CERTIFICATE-----
"
        );
    }

    #[test]
    fn a_document_is_indented_by_four_and_its_members_stand_as_in_every_jwk() {
        use signet_identity::key::{KeyType, PrivateKey};

        let key = PrivateKey::generate(KeyType::EcP256).unwrap();
        let bundle = types::Bundle {
            trust_domain: "a.test".to_owned(),
            jwt_authorities: vec![types::JwtKey {
                public_key: key.spki_der().to_vec(),
                key_id: "k".to_owned(),
                ..types::JwtKey::default()
            }],
            sequence_number: 1,
            ..types::Bundle::default()
        };
        let text = written(&bundle, BundleFormat::Spiffe).unwrap();
        let (before, after) = text.split_once("            \"x\": ").unwrap();
        assert_eq!(
            before,
            "\
{
    \"keys\": [
        {
            \"use\": \"jwt-svid\",
            \"kty\": \"EC\",
            \"kid\": \"k\",
            \"crv\": \"P-256\",
"
        );
        assert!(
            after.ends_with("\n        }\n    ],\n    \"spiffe_sequence\": 1\n}\n"),
            "{after}"
        );
    }

    #[test]
    fn one_bundle_is_singular() {
        assert_eq!(counted(1), "1 bundle\n");
        assert_eq!(counted(0), "0 bundles\n");
    }
}
