//! `signet demo`: the whole system at work in one command, as an ordinary user.
//!
//! Real processes of this binary: a server, an agent, two workloads with a proxy each, one of them
//! in two versions.
//! Everything happens in a temporary directory and on ports of the loopback address.

mod call;
mod collector;
mod documents;
mod files;
mod red;
mod report;
mod rotation;
mod service;
mod stage;
mod trace;
mod traffic;

use std::time::Duration;

use anyhow::{Context as _, bail};

use self::{
    call::{Answer, Client},
    collector::Collector,
    files::DemoDirectory,
    report::Report,
    stage::Stage,
};

/// Flags of `signet demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoFlags {
    /// Leave everything running, and say how to use and stop it.
    #[arg(long)]
    keep: bool,
    /// Run the demo's HTTP service on this address; the demo starts it so.
    #[arg(long, hide = true)]
    serve: Option<std::net::SocketAddr>,
    /// Which version of it that is.
    #[arg(long = "serve-as", hide = true, default_value = "v1")]
    served: String,
}

/// Runs the demo, or its little service.
///
/// # Errors
/// The first step that did not happen, with the end of the log of whom it concerns.
pub(crate) async fn run(flags: DemoFlags) -> anyhow::Result<()> {
    if let Some(address) = flags.serve {
        return service::serve(address, flags.served).await;
    }
    let mut report = Report::start();
    let mut stage = Stage::set(DemoDirectory::new()?)?;
    let outcome = tokio::select! {
        outcome = play(&mut stage, &mut report) => outcome,
        _interrupt = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    if let Err(error) = outcome {
        report.failed();
        let logs = stage.log_tails();
        stage
            .stop()
            .await
            .unwrap_or_else(|error| eprintln!("{error:#}"));
        return Err(error.context(format!("the demo did not finish\n{logs}")));
    }
    stage.say_where(&report);
    if flags.keep {
        stage.keep(&report);
        return Ok(());
    }
    report.step("stopping everything");
    stage.stop().await?;
    report.done("every process ended cleanly");
    report.finish();
    Ok(())
}

async fn play(stage: &mut Stage, report: &mut Report) -> anyhow::Result<()> {
    report.step("starting the server, the authority of the trust domain demo.signet");
    stage.start_server().await?;
    report.done("it has made its CA and listens");

    report.step("starting an agent; it attests with a join token");
    let agent = stage.start_agent(report).await?;
    report.done(&format!("attested as {agent}"));

    report.step("registering two workloads");
    stage.register(&agent, report).await?;
    report.done("client and shop have entries, told apart by the path of their executable");

    report.step("starting the workloads, each with a proxy");
    let collector = Collector::start(stage.directory.ports.collector).await?;
    stage.start_workloads().await?;
    let started = std::time::Instant::now();
    report.done("both proxies hold an identity");

    let client = Client::new(stage.directory.ports.client_out, "shop");
    calls(stage, &client, report).await?;
    traffic::show(&stage.directory, report).await?;
    report.step("rotating certificates while requests flow");
    let rotation = rotation::watch(&client).await?;
    report.done(&format!(
        "{} requests, 0 failed, over {} certificates of the client",
        rotation.requests, rotation.certificates
    ));
    trace::show(&stage.directory, &collector, report).await?;
    stage.directory.write_routes(documents::CANARY)?;
    red::show(&stage.directory, started.elapsed(), report).await
}

/// A call allowed, a call denied, and what a change of the policy does.
async fn calls(stage: &Stage, client: &Client, report: &mut Report) -> anyhow::Result<()> {
    report.step("calling through both proxies");
    let hello = client
        .until(|answer| answer.status == 200, "GET", "/hello")
        .await?;
    report.detail(&format!("GET /hello  → {}", hello.summary()));
    let admin = client.call("DELETE", "/admin").await?;
    report.detail(&format!("DELETE /admin → {}", admin.summary()));
    expect(&admin, 403)?;
    report.done("one call allowed, one denied with its reason");

    report.step("changing the policy: the client may no longer say hello");
    stage.directory.write_policy(files::POLICY_CLOSED)?;
    let changed = std::time::Instant::now();
    let closed = client
        .until(|answer| answer.status == 403, "GET", "/hello")
        .await?;
    report.detail(&format!("GET /hello  → {}", closed.summary()));
    report.done(&format!(
        "in force after {} ms",
        changed.elapsed().as_millis()
    ));

    stage.directory.write_policy(files::POLICY_OPEN)?;
    client
        .until(|answer| answer.status == 200, "GET", "/hello")
        .await?;
    Ok(())
}

fn expect(answer: &Answer, status: u16) -> anyhow::Result<()> {
    if answer.status != status {
        bail!("expected {status}, got {}", answer.summary());
    }
    Ok(())
}

/// Tries until `attempt` succeeds or the time is up; the last failure is the reason.
async fn within<T, F>(limit: Duration, what: &str, attempt: impl Fn() -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let started = std::time::Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() > limit => {
                return Err(error).with_context(|| format!("{what}: not within {limit:?}"));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

const PAUSE: Duration = Duration::from_millis(20);
