//! A plan and a host: putting it in force, removing it, and comparing.

use std::{fs, path::Path};

use super::{
    command::{CommandError, Invocation, Program, Tool},
    difference::{self, Difference},
    iptables::{self, Saved},
    nft,
    plan::Plan,
    routes,
    settings::Family,
};

/// Who filters packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Backend {
    Nftables,
    Iptables,
}

/// Why a host could not be changed or asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum HostError {
    #[error(
        "the capability CAP_NET_ADMIN is missing; run it as root, or give it to the unit \
         (AmbientCapabilities) or the container (capabilities.add: NET_ADMIN)"
    )]
    NotPermitted,
    #[error("{applied}; what had been changed was removed again")]
    Undone { applied: CommandError },
    #[error("{applied}; and what had been changed could not be removed again: {removed}")]
    NotUndone {
        applied: CommandError,
        removed: CommandError,
    },
    #[error(transparent)]
    Command(#[from] CommandError),
}

impl Backend {
    /// What both programs and people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
        }
    }

    fn other(self) -> Self {
        match self {
            Self::Nftables => Self::Iptables,
            Self::Iptables => Self::Nftables,
        }
    }

    /// nftables, if the host has its program, else iptables.
    pub(super) async fn of_this_host() -> Result<Self, CommandError> {
        match Invocation::new(Program::Nft, "--version").run().await {
            Ok(_) => return Ok(Self::Nftables),
            Err(CommandError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        let iptables = Program::Iptables(Tool::Restore);
        match Invocation::new(iptables, "--version").run().await {
            Ok(_) => Ok(Self::Iptables),
            // nftables is what should be installed.
            Err(CommandError::Missing { .. }) => Err(CommandError::Missing {
                program: "nft (or iptables-restore)",
                package: "nftables",
            }),
            Err(error) => Err(error),
        }
    }
}

/// The families of this kernel. What it does not speak needs no rules.
pub(super) fn families() -> Vec<Family> {
    match Path::new("/proc/sys/net/ipv6").exists() {
        true => vec![Family::V4, Family::V6],
        false => vec![Family::V4],
    }
}

/// Whether this process may change how packets go.
pub(super) fn check_permitted() -> Result<(), HostError> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let effective = lines.find_map(|line| line.strip_prefix("CapEff:"));
    let bits = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    match bits {
        Some(bits) if bits & (1 << CAP_NET_ADMIN) == 0 => Err(HostError::NotPermitted),
        // Where it cannot be read, the kernel says it.
        Some(_) | None => Ok(()),
    }
}

/// What apply runs on a host that has nothing of it yet.
pub(super) fn script(backend: Backend, plan: &Plan) -> Vec<Invocation> {
    let mut all = Vec::new();
    if plan.marked_are_local {
        for family in families() {
            let flag = routes::flag(family);
            let (rule, route) = (routes::rule(), routes::route());
            all.push(ip(format!("{flag} route replace {route}")));
            all.push(ip(format!("{flag} rule add {rule}")));
        }
    }
    match backend {
        Backend::Nftables => all.push(nft_reads(nft::apply(plan))),
        Backend::Iptables => all.extend(families().into_iter().map(|family| {
            let nothing = Saved::default();
            restore(family, iptables::apply(plan, family, &nothing))
        })),
    }
    all
}

/// Puts the plan in force in place of whatever was there of ours. If it cannot be as a whole,
/// nothing is left of it.
pub(super) async fn apply(backend: Backend, plan: &Plan) -> Result<(), HostError> {
    check_permitted()?;
    let applied = match applied(backend, plan).await {
        Ok(()) => return Ok(remove_filters(backend.other(), Missing::IsNothing).await?),
        Err(error) => error,
    };
    if matches!(applied, CommandError::Missing { .. }) {
        return Err(applied.into());
    }
    match removed(backend, Missing::IsNothing).await {
        Ok(()) => Err(HostError::Undone { applied }),
        Err(removed) => Err(HostError::NotUndone { applied, removed }),
    }
}

async fn applied(backend: Backend, plan: &Plan) -> Result<(), CommandError> {
    if plan.marked_are_local {
        for family in families() {
            route_marked(family).await?;
        }
    }
    match backend {
        Backend::Nftables => {
            nft_reads(nft::apply(plan)).run().await?;
        }
        Backend::Iptables => {
            for family in families() {
                let saved = saved(family).await?;
                let text = iptables::apply(plan, family, &saved);
                restore(family, text).run().await?;
            }
        }
    }
    if !plan.marked_are_local {
        remove_routes().await?;
    }
    Ok(())
}

/// Removes everything of ours: of one backend, or of both.
pub(super) async fn remove(backend: Option<Backend>) -> Result<(), HostError> {
    check_permitted()?;
    match backend {
        Some(backend) => removed(backend, Missing::IsAnError).await?,
        None => {
            removed(Backend::Nftables, Missing::IsNothing).await?;
            removed(Backend::Iptables, Missing::IsNothing).await?;
        }
    }
    Ok(())
}

/// First the rules, so that nothing is marked when the routes go.
async fn removed(backend: Backend, missing: Missing) -> Result<(), CommandError> {
    remove_filters(backend, missing).await?;
    remove_routes().await
}

/// What it means that a program is not installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    IsAnError,
    /// A program that is not there has left nothing behind.
    IsNothing,
}

impl Missing {
    fn or<T: Default>(self, result: Result<T, CommandError>) -> Result<T, CommandError> {
        match (self, result) {
            (Self::IsNothing, Err(CommandError::Missing { .. })) => Ok(T::default()),
            (Self::IsNothing | Self::IsAnError, result) => result,
        }
    }
}

async fn remove_filters(backend: Backend, missing: Missing) -> Result<(), CommandError> {
    match backend {
        Backend::Nftables => {
            if missing.or(listed().await)?.is_some() {
                nft_reads(nft::remove()).run().await?;
            }
        }
        Backend::Iptables => {
            for family in families() {
                let saved = missing.or(saved(family).await)?;
                if !saved.is_empty() {
                    restore(family, iptables::remove(&saved)).run().await?;
                }
            }
        }
    }
    Ok(())
}

/// How this host differs from the plan.
pub(super) async fn check(backend: Backend, plan: &Plan) -> Result<Difference, HostError> {
    check_permitted()?;
    let mut difference = Difference::default();
    for family in families() {
        let (found, flag) = (routed(family).await?, routes::flag(family));
        let parts = [
            (found.rule, format!("ip {flag} rule: {}", routes::rule())),
            (found.route, format!("ip {flag} route: {}", routes::route())),
        ];
        for (is_there, part) in parts {
            match (plan.marked_are_local, is_there) {
                (true, false) => difference.lacking.push(part),
                (false, true) => difference.foreign.push(part),
                (true, true) | (false, false) => {}
            }
        }
    }
    let wanted = |of: Backend| of == backend;
    let table = difference::of_table(&nft::table(plan));
    let in_nft = match wanted(Backend::Nftables) {
        true => listed().await?,
        false => Missing::IsNothing.or(listed().await)?,
    };
    let in_nft = difference::of_table(&in_nft.unwrap_or_default());
    match wanted(Backend::Nftables) {
        true => difference.between(&table, &in_nft),
        false => difference.between(&[], &in_nft),
    }
    for family in families() {
        let (expected, found) = match wanted(Backend::Iptables) {
            true => (iptables::expected(plan, family), saved(family).await?),
            false => (
                Saved::default(),
                Missing::IsNothing.or(saved(family).await)?,
            ),
        };
        let (expected, found) = (labelled(family, &expected), labelled(family, &found));
        difference.between(&expected, &found);
    }
    Ok(difference)
}

/// Rules of iptables with the program, the table and the chain that they are of.
fn labelled(family: Family, saved: &Saved) -> Vec<String> {
    let program = match family {
        Family::V4 => "iptables",
        Family::V6 => "ip6tables",
    };
    let lines = saved.lines().into_iter();
    lines
        .map(|line| {
            let (table, rule) = line.split_once(": ").unwrap_or(("", &line));
            let chain = rule.split_whitespace().nth(1).unwrap_or_default();
            format!("{program} {table} {chain}: {rule}")
        })
        .collect()
}

/// The table as nft lists it, if there is one.
async fn listed() -> Result<Option<String>, CommandError> {
    let tables = Invocation::new(Program::Nft, "list tables").run().await?;
    let ours = format!("table {}", nft::TABLE);
    if !tables.lines().any(|line| line.trim() == ours) {
        return Ok(None);
    }
    let list = format!("-y list table {}", nft::TABLE);
    Ok(Some(Invocation::new(Program::Nft, list).run().await?))
}

async fn saved(family: Family) -> Result<Saved, CommandError> {
    let program = match family {
        Family::V4 => Program::Iptables(Tool::Save),
        Family::V6 => Program::Ip6tables(Tool::Save),
    };
    let text = Invocation::new(program, "").run().await?;
    Ok(Saved::read(&text))
}

async fn routed(family: Family) -> Result<routes::Routes, CommandError> {
    let flag = routes::flag(family);
    let rules = ip(format!("{flag} rule show")).run().await?;
    let routes = ip(format!("{flag} route show table all")).run().await?;
    Ok(routes::read(&rules, &routes))
}

async fn route_marked(family: Family) -> Result<(), CommandError> {
    let (found, flag) = (routed(family).await?, routes::flag(family));
    if !found.route {
        let route = routes::route();
        ip(format!("{flag} route add {route}")).run().await?;
    }
    if !found.rule {
        let rule = routes::rule();
        ip(format!("{flag} rule add {rule}")).run().await?;
    }
    Ok(())
}

async fn remove_routes() -> Result<(), CommandError> {
    for family in families() {
        let flag = routes::flag(family);
        // Without its program nothing of it can have been added.
        let Some(found) = Missing::IsNothing.or(routed(family).await.map(Some))? else {
            continue;
        };
        if found.rule {
            let rule = routes::rule();
            ip(format!("{flag} rule del {rule}")).run().await?;
        }
        if found.route {
            let route = routes::route();
            ip(format!("{flag} route del {route}")).run().await?;
        }
    }
    Ok(())
}

fn ip(arguments: String) -> Invocation {
    Invocation::new(Program::Ip, arguments)
}

fn nft_reads(rules: String) -> Invocation {
    Invocation::new(Program::Nft, "-f -").with_input(rules)
}

fn restore(family: Family, rules: String) -> Invocation {
    let program = match family {
        Family::V4 => Program::Iptables(Tool::Restore),
        Family::V6 => Program::Ip6tables(Tool::Restore),
    };
    // Others may hold the lock for a moment.
    Invocation::new(program, "--noflush --wait 5").with_input(rules)
}

/// capability.h
const CAP_NET_ADMIN: u32 = 12;
