//! Measurements of the real processes: `cargo run --release -p signet-bench -- QUESTION`.
//!
//! Each question starts what it needs in a temporary directory and prints a table for
//! people, or with `--output json` one object for programs. Figures of a run, with machine
//! and command, stand in `bench/README.md`.

mod agents;
mod entries;
mod figure;
mod idle;
mod issue;
mod limits;
mod load;
mod mesh;
mod meter;
mod propagate;
mod proxy;
mod registry;
mod workload_api;
mod world;

use clap::{Parser, Subcommand, ValueEnum};

use figure::Figure;

/// Measures Signet's processes.
#[derive(Debug, Parser)]
struct Flags {
    #[command(subcommand)]
    question: Question,
    /// A table, or one JSON object.
    #[arg(long, global = true, default_value = "table")]
    output: Output,
}

#[derive(Debug, Subcommand)]
enum Question {
    /// A fleet of connected agents that have nothing to do.
    Agents(agents::Flags),
    /// Whether a request may be, by how many policies and rules there are.
    Decide,
    /// Registration entries by the ten thousand.
    Entries(entries::Flags),
    /// Memory of server, agent and proxy that have nothing to do.
    Idle,
    /// SVIDs signed per second and what each costs the server.
    Issue(issue::Flags),
    /// From an entry's creation to the SVID in a watching workload's hand, and from its
    /// deletion to the SVID's end.
    Propagate(propagate::Flags),
    /// Our pair of proxies beside those of Envoy, HAProxy and nginx.
    Peers(proxy::peers::Flags),
    /// What bytes cost on their way through two proxies.
    ProxyTcp,
    /// What a gigabyte costs on its way through two proxies, ours and another's in turn.
    ProxyBulk(proxy::bulk::Flags),
    /// What HTTP requests cost on their way through two proxies.
    ProxyHttp(proxy::http::Flags),
    /// Where a request goes, by how many services and routes there are, and reading them all.
    Route,
    /// One hop without anything of ours, for comparison.
    #[command(hide = true)]
    Hop(proxy::hop::Flags),
    /// Fetches from an agent, and many open streams.
    WorkloadApi(workload_api::Flags),
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let figures = match flags.question {
        Question::Agents(flags) => agents::measure(flags).await?,
        Question::Decide => mesh::decide::measure()?,
        Question::Entries(flags) => entries::measure(flags).await?,
        Question::Idle => idle::measure().await?,
        Question::Issue(flags) => issue::measure(flags).await?,
        Question::Propagate(flags) => propagate::measure(flags).await?,
        Question::Peers(flags) => proxy::peers::measure(flags).await?,
        Question::ProxyTcp => proxy::tcp::measure().await?,
        Question::ProxyBulk(flags) => proxy::bulk::measure(flags).await?,
        Question::ProxyHttp(flags) => proxy::http::measure(flags).await?,
        Question::Route => mesh::route::measure()?,
        Question::Hop(flags) => return proxy::hop::run(flags).await,
        Question::WorkloadApi(flags) => workload_api::measure(flags).await?,
    };
    match flags.output {
        Output::Json => println!("{}", serde_json::to_string(&figures)?),
        Output::Table => figures
            .iter()
            .map(Figure::line)
            .for_each(|line| println!("{line}")),
    }
    Ok(())
}
