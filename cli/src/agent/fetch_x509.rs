//! `signet agent api fetch x509`.

use std::{path::PathBuf, time::Instant};

use signet_proto::workload::X509SvidRequest;

use super::{Agent, Work, request, svid::Svids};
use crate::{
    grpc,
    output::{Answer, Text},
};

/// Fetches X509-SVIDs once.
#[derive(Debug, clap::Args)]
pub(crate) struct FetchX509 {
    /// Suppress standard output
    #[arg(long)]
    silent: bool,

    /// A folder to write the SVIDs, keys and bundles to
    #[arg(long, value_name = "DIR")]
    write: Option<PathBuf>,
}

impl Work for FetchX509 {
    async fn work(self, agent: &Agent) -> anyhow::Result<Answer> {
        let start = Instant::now();
        let mut client = agent.client().await?;
        let stream = client.fetch_x509svid(request(X509SvidRequest {}));
        let response = grpc::first(agent.timeout, stream).await?;
        let elapsed = start.elapsed();
        let svids = Svids::verified(&response, crate::now())?;
        let mut out = String::new();
        if !self.silent {
            out = svids.text(elapsed)?;
        }
        if let Some(folder) = &self.write {
            out += &svids.write(folder)?;
        }
        Answer::message(&response, "X509SVIDResponse", Text::out(out))
    }
}
