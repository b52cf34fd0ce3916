//! `signet agent api watch`: prints each update until it is interrupted.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use signet_proto::workload::{X509SvidRequest, X509SvidResponse};
use tokio::{signal, time};
use tonic::Code;

use super::{Agent, request, svid::Svids};
use crate::{
    grpc::{
        CallError,
        socket::{self, SocketFlags},
    },
    output::{self, Streams},
};

/// Follows the Workload API.
#[derive(Debug, clap::Args)]
pub(crate) struct Watch {
    #[command(flatten)]
    socket: SocketFlags,
}

/// Why one attachment ended.
enum End {
    /// Trying again cannot help (SPIFFE Workload Endpoint section 6 and appendix A).
    ForGood(String),
    /// The agent restarts, or this workload has no identity yet.
    ForNow(String),
}

impl Watch {
    pub(super) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        let agent = Agent {
            endpoint: self.socket.resolve(&socket::AGENT)?,
            timeout: Duration::ZERO,
        };
        crate::block_on(async {
            tokio::select! {
                () = interrupted() => Ok(true),
                ended = follow(&agent, streams) => ended.map(|()| false),
            }
        })
    }
}

async fn interrupted() {
    if signal::ctrl_c().await.is_err() {
        // Without the signal there is nothing to wait for, and the system ends the process.
        std::future::pending::<()>().await;
    }
}

/// Attaches again and again, more slowly each time that nothing came.
async fn follow<O: Write, E: Write>(
    agent: &Agent,
    streams: &mut Streams<O, E>,
) -> anyhow::Result<()> {
    let mut failures = 0;
    loop {
        let mut updates = 0_u32;
        let end = attach(agent, streams, &mut updates).await?;
        failures = if updates > 0 { 0 } else { failures + 1 };
        match end {
            End::ForGood(reason) => {
                writeln!(streams.err, "{reason}")?;
                return Ok(());
            }
            End::ForNow(reason) => writeln!(streams.err, "{reason}")?,
        }
        time::sleep(pause(failures)).await;
    }
}

async fn attach<O: Write, E: Write>(
    agent: &Agent,
    streams: &mut Streams<O, E>,
    updates: &mut u32,
) -> std::io::Result<End> {
    let mut since = Instant::now();
    let mut client = match agent.client().await {
        Ok(client) => client,
        Err(error) => return Ok(End::ForNow(error.to_string())),
    };
    let mut stream = match client.fetch_x509svid(request(X509SvidRequest {})).await {
        Ok(response) => response.into_inner(),
        Err(status) => return Ok(End::of(status.into())),
    };
    loop {
        let response = match stream.message().await {
            Ok(Some(response)) => response,
            Ok(None) => return Ok(End::ForNow("the agent ended the stream".to_owned())),
            Err(status) => return Ok(End::of(status.into())),
        };
        match shown(&response, since.elapsed()) {
            Ok(text) => {
                streams.out.write_all(text.as_bytes())?;
                streams.out.flush()?;
            }
            Err(error) => writeln!(streams.err, "{}", output::reason(&error))?,
        }
        *updates = updates.saturating_add(1);
        since = Instant::now();
    }
}

fn shown(response: &X509SvidResponse, after: Duration) -> anyhow::Result<String> {
    let svids = Svids::verified(response, crate::now())?;
    Ok(svids.text(after)?)
}

impl End {
    fn of(error: CallError) -> Self {
        if matches!(error.code(), Code::InvalidArgument | Code::Unimplemented) {
            Self::ForGood(error.to_string())
        } else {
            Self::ForNow(error.to_string())
        }
    }
}

/// Almost none after a stream that brought something (SPIFFE Workload API section 4.2); then one
/// second more after each failure, up to half a minute.
fn pause(failures: u32) -> Duration {
    match failures {
        0 => AT_ONCE,
        failures => Duration::from_secs(u64::from(failures.min(30))),
    }
}

/// Not zero, so that an agent that ends each stream does not keep us busy.
const AT_ONCE: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;

    #[test]
    fn the_pause_grows_to_half_a_minute() {
        assert_eq!(pause(0), AT_ONCE);
        let seconds = [1, 2, 30, 400].map(|failures| pause(failures).as_secs());
        assert_eq!(seconds, [1, 2, 30, 30]);
    }

    #[test]
    fn only_what_cannot_get_better_ends_the_watch() {
        let bad = End::of(Status::invalid_argument("no header").into());
        assert!(matches!(bad, End::ForGood(_)));
        let unknown = End::of(Status::unimplemented("no such call").into());
        assert!(matches!(unknown, End::ForGood(_)));
        let later = End::of(Status::permission_denied("no identity issued").into());
        assert!(matches!(later, End::ForNow(_)));
    }
}
