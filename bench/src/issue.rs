//! SVIDs that a server signs for an attested agent over mTLS: how many, and what each costs it.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use anyhow::ensure;
use clap::Args;
use signet_identity::{
    csr::{self, Subject},
    key::{KeyType, PrivateKey},
};
use signet_proto::spire::api::server::svid::v1::{
    BatchNewX509svidRequest, NewJwtsvidRequest, NewX509svidParams, svid_client::SvidClient,
};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use crate::{
    figure::{Figure, float},
    limits::Crypto,
    load::went_well,
    meter::{Meter, Used},
    registry,
    world::{Settings, World},
};

/// What is measured.
#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// How many seconds each kind of call is made.
    #[arg(long, default_value_t = 8)]
    seconds: u64,
}

pub(crate) async fn measure(flags: Flags) -> anyhow::Result<Vec<Figure>> {
    let world = World::with_server(Settings {
        server: "ratelimit { signing = false attestation = false }",
        ..Settings::default()
    })
    .await?;
    let admin = world.admin();
    let agent = world.server()?.attest(&admin).await?;
    let own = |number| registry::mine(&agent.path, format!("/workload-{number}"));
    let ids = registry::create(&admin, (0..LARGE).map(own).collect()).await?;
    let params: Vec<_> = ids.into_iter().map(params).collect::<Result<_, _>>()?;
    let run = Run {
        meter: world.meter("server")?,
        time: Duration::from_secs(flags.seconds),
    };
    let x509 = |batch: usize| {
        let params = params.get(..batch).unwrap_or_default().to_vec();
        let channel = agent.channel.clone();
        move || x509_svids(channel.clone(), params.clone())
    };
    let jwt = || jwt_svid(agent.channel.clone(), &params);
    let mut figures = Vec::new();
    let large = Calls {
        name: format!("X509-SVIDs, {LARGE} a call, 2 calls at a time"),
        batch: LARGE,
        at_a_time: 2,
        aim: 120.0,
        limit: CERTIFICATE,
    };
    figures.extend(run.of(large, x509(LARGE)).await?);
    let eight = Calls::single("X509-SVIDs, 1 a call, 8 calls at a time", 8, CERTIFICATE);
    figures.extend(run.of(eight, x509(1)).await?);
    let one = Calls::single("X509-SVIDs, 1 a call, 1 call at a time", 1, CERTIFICATE);
    figures.extend(run.of(one, x509(1)).await?);
    let tokens = Calls::single("JWT-SVIDs, 8 calls at a time", 8, TOKEN);
    figures.extend(run.of(tokens, jwt).await?);
    Ok(figures)
}

struct Run {
    meter: Meter,
    time: Duration,
}

/// How SVIDs are asked for, and what they should cost.
struct Calls {
    name: String,
    /// SVIDs of one call.
    batch: usize,
    at_a_time: usize,
    /// Of the server's processor time for one SVID, in µs.
    aim: f64,
    limit: Signing,
}

/// What an SVID costs at least.
#[derive(Clone, Copy)]
struct Signing {
    what: &'static str,
    cost: fn(Crypto) -> f64,
}

impl Calls {
    fn single(name: &str, at_a_time: usize, limit: Signing) -> Self {
        Self {
            name: name.to_owned(),
            batch: 1,
            at_a_time,
            aim: 250.0,
            limit,
        }
    }
}

impl Run {
    /// Makes such calls for a while, and asks what they cost.
    async fn of<F>(&self, calls: Calls, call: impl Fn() -> F) -> anyhow::Result<[Figure; 3]>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        call().await?;
        let before = Crypto::measure()?;
        let (made, used) = self.calls(calls.at_a_time, call).await?;
        let after = Crypto::measure()?;
        let Calls {
            name, batch, aim, ..
        } = calls;
        let svids = made * batch;
        let Signing { what, cost } = calls.limit;
        let limit = f64::midpoint(cost(before), cost(after));
        let each = used.each(svids);
        let rate = float(svids) / used.wall.as_secs_f64();
        let share = Figure::new(format!("{name}, of the limit"), limit * 100.0 / each, "%");
        Ok([
            Figure::new(format!("{name}, server CPU each"), each, "µs")
                .at_most(aim)
                .limit(what, limit),
            if batch == LARGE {
                share.at_least(60.0)
            } else {
                share
            },
            Figure::new(format!("{name}, rate"), rate, "/s"),
        ])
    }

    async fn calls<F>(
        &self,
        at_a_time: usize,
        call: impl Fn() -> F,
    ) -> anyhow::Result<(usize, Used)>
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let mark = self.meter.mark()?;
        let end = Instant::now() + self.time;
        let mut calls = JoinSet::new();
        (0..at_a_time).for_each(|_| drop(calls.spawn(call())));
        let mut done = 0;
        while let Some(outcome) = calls.join_next().await {
            outcome??;
            done += 1;
            if Instant::now() < end {
                calls.spawn(call());
            }
        }
        Ok((done, mark.used()?))
    }
}

async fn x509_svids(channel: Channel, params: Vec<NewX509svidParams>) -> anyhow::Result<()> {
    let asked = params.len();
    let request = BatchNewX509svidRequest { params };
    let answer = SvidClient::new(channel).batch_new_x509svid(request).await?;
    let results = answer.into_inner().results;
    ensure!(
        results.len() == asked,
        "{} answers to {asked}",
        results.len()
    );
    results
        .into_iter()
        .try_for_each(|result| went_well(result.status))
}

fn jwt_svid(
    channel: Channel,
    entries: &[NewX509svidParams],
) -> impl Future<Output = anyhow::Result<()>> + Send + use<> {
    let entry_id = entries.first().map(|first| first.entry_id.clone());
    let request = NewJwtsvidRequest {
        entry_id: entry_id.unwrap_or_default(),
        audience: vec!["bench".to_owned()],
    };
    async move {
        SvidClient::new(channel).new_jwtsvid(request).await?;
        Ok(())
    }
}

/// A request that is made once: what the client does is not measured.
fn params(entry_id: String) -> anyhow::Result<NewX509svidParams> {
    let key = PrivateKey::generate(KeyType::EcP256)?;
    let csr = csr::build(&key, Subject::spire(), None, &[])?;
    Ok(NewX509svidParams { entry_id, csr })
}

const LARGE: usize = 50;

const CERTIFICATE: Signing = Signing {
    what: "one P-256 verification and one signature",
    cost: |crypto| crypto.verify + crypto.sign,
};
const TOKEN: Signing = Signing {
    what: "one P-256 signature",
    cost: |crypto| crypto.sign,
};
