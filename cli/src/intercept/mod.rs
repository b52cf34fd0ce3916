//! `signet proxy intercept …`: lets an application that knows nothing of the mesh speak through its
//! proxy, by rules of the kernel's packet filter.
//!
//! What is to be captured is `settings`; `plan` makes rules of it, which `nft` and `iptables` only
//! spell. `host` runs programs; nothing else does.

mod command;
mod difference;
mod flags;
mod host;
mod iptables;
mod nft;
mod plan;
mod routes;
mod settings;
#[cfg(test)]
mod tests;

use std::io::Write;

use serde::Serialize;

use self::{
    difference::Difference,
    flags::{BackendFlag, Flags},
    host::Backend,
};
use crate::output::{Answer, Format, Streams, Text};

/// The commands of `signet proxy intercept`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Captures traffic; replaces whatever was captured before
    Apply(Box<Flags>),
    /// Captures no longer; fine if nothing was captured
    Remove(Remove),
    /// Prints what apply would run, and changes nothing
    Print(Box<Flags>),
    /// Says what is missing or foreign of what apply makes with the same flags
    Check(Box<Check>),
}

/// Removes the rules.
#[derive(Debug, clap::Args)]
pub(crate) struct Remove {
    /// Whose rules are removed; auto is both
    #[arg(long, value_enum, default_value_t)]
    backend: BackendFlag,
}

/// Compares the rules.
#[derive(Debug, clap::Args)]
pub(crate) struct Check {
    #[command(flatten)]
    flags: Flags,

    /// How the answer is printed
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// The answer of `check`.
#[derive(Debug, Serialize)]
struct Report<'a> {
    backend: &'static str,
    applied: bool,
    #[serde(flatten)]
    difference: &'a Difference,
}

impl Command {
    /// Does what the command says; true is exit code 0.
    pub(crate) fn execute<O: Write, E: Write>(
        self,
        streams: &mut Streams<O, E>,
    ) -> anyhow::Result<bool> {
        let answer = match self {
            Self::Apply(flags) => crate::block_on(flags.apply()),
            Self::Remove(remove) => crate::block_on(remove.remove()),
            Self::Print(flags) => crate::block_on(flags.print()),
            Self::Check(check) => {
                return crate::block_on(check.difference()).and_then(|found| {
                    let good = found.difference.is_none();
                    let delivered = streams.deliver(found.answer(), check.output, "Error: ")?;
                    Ok(good && delivered)
                });
            }
        };
        Ok(streams.deliver(answer, Format::Pretty, "Error: ")?)
    }
}

impl Flags {
    async fn apply(&self) -> anyhow::Result<Answer> {
        let plan = plan::plan(&self.settings()?);
        let backend = self.backend().await?;
        host::apply(backend, &plan).await?;
        let name = backend.name();
        Ok(Answer::plain(format!("Captured by rules of {name}.\n")))
    }

    async fn print(&self) -> anyhow::Result<Answer> {
        let plan = plan::plan(&self.settings()?);
        let script = host::script(self.backend().await?, &plan);
        let lines: String = script.iter().map(|it| it.as_script()).collect();
        Ok(Answer::plain(lines))
    }

    async fn backend(&self) -> anyhow::Result<Backend> {
        match self.backend.chosen() {
            Some(backend) => Ok(backend),
            None => Ok(Backend::of_this_host().await?),
        }
    }
}

impl Remove {
    async fn remove(&self) -> anyhow::Result<Answer> {
        host::remove(self.backend.chosen()).await?;
        Ok(Answer::plain("Nothing is captured.\n"))
    }
}

/// What `check` found.
struct Found {
    backend: Backend,
    difference: Difference,
}

impl Check {
    async fn difference(&self) -> anyhow::Result<Found> {
        let plan = plan::plan(&self.flags.settings()?);
        let backend = self.flags.backend().await?;
        let difference = host::check(backend, &plan).await?;
        Ok(Found {
            backend,
            difference,
        })
    }
}

impl Found {
    fn answer(&self) -> anyhow::Result<Answer> {
        let name = self.backend.name();
        let Difference { lacking, foreign } = &self.difference;
        let lines = |title: &str, lines: &[String]| -> String {
            lines.iter().map(|it| format!("{title} {it}\n")).collect()
        };
        let text = match self.difference.is_none() {
            true => Text::out(format!("Captured by rules of {name}, as it should be.\n")),
            false => Text {
                out: lines("missing:", lacking) + &lines("foreign:", foreign),
                err: String::new(),
                failed: Some(format!(
                    "the rules of {name} are not those of these flags; run signet proxy \
                     intercept apply with them"
                )),
            },
        };
        let report = Report {
            backend: name,
            applied: self.difference.is_none(),
            difference: &self.difference,
        };
        Answer::value(&report, text)
    }
}
