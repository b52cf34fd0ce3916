//! Measurements of the real processes: `cargo run --release -p signet-bench -- NAME`.
//!
//! Each question starts what it needs in a temporary directory and prints a table for
//! people, or with `--output json` one object for programs. Figures of a run, with machine
//! and command, stand in `bench/README.md`.

mod idle;
mod propagate;
mod world;

use clap::{Parser, Subcommand, ValueEnum};
use serde::Serialize;

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
    /// Memory of server, agent and proxy that have nothing to do.
    Idle,
    /// From an entry's creation to the SVID in a watching workload's hand.
    Propagate {
        /// How many entries are created, one after the other.
        #[arg(long, default_value_t = 50)]
        entries: usize,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Output {
    Table,
    Json,
}

/// One figure and what it should be.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    aim: Option<f64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let flags = Flags::parse();
    let figures = match flags.question {
        Question::Idle => idle::measure().await?,
        Question::Propagate { entries } => propagate::measure(entries).await?,
    };
    match flags.output {
        Output::Json => println!("{}", serde_json::to_string(&figures)?),
        Output::Table => figures.iter().for_each(print),
    }
    Ok(())
}

fn print(figure: &Figure) {
    let Figure {
        name,
        value,
        unit,
        aim,
    } = figure;
    let aim = aim.map_or_else(String::new, |aim| format!("   aim ≤ {aim}"));
    println!("{name:<40} {value:>9.1} {unit:<5}{aim}");
}
