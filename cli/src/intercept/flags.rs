//! The command line of `intercept`.

use super::{
    host::Backend,
    settings::{
        self, CgroupPath, Cidr, Exempt, Filter, Inbound, Interception, Ports, SettingsError,
    },
};

/// What is captured. Excluded is never captured; of the rest, if something is included, that alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Flags {
    /// Who filters packets; auto is nftables where nft is installed, else iptables
    #[arg(long, value_enum, default_value_t)]
    pub(super) backend: BackendFlag,

    /// The port of the proxy that takes connections which leave this host
    #[arg(long, value_name = "PORT", default_value_t = 15001, value_parser = port())]
    outbound_port: u16,

    /// The port of the proxy that takes connections which arrive at this host
    #[arg(long, value_name = "PORT", default_value_t = 15006, value_parser = port())]
    inbound_port: u16,

    /// How connections that arrive are captured
    #[arg(long, value_enum, default_value_t)]
    mode: Mode,

    /// The port of the proxy that takes questions to name servers, UDP and TCP; off when left out
    #[arg(long, value_name = "PORT", value_parser = port())]
    dns_port: Option<u16>,

    #[command(flatten)]
    exempt: ExemptFlags,

    #[command(flatten)]
    outbound: OutboundFlags,

    #[command(flatten)]
    inbound: InboundFlags,
}

/// The value of `--backend`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum BackendFlag {
    /// Whatever the host has
    #[default]
    Auto,
    /// nft, in one transaction
    Nftables,
    /// iptables-restore and ip6tables-restore
    Iptables,
}

/// The value of `--mode`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
enum Mode {
    /// They are redirected to the proxy
    #[default]
    Redirect,
    /// They keep their addresses; the proxy needs CAP_NET_ADMIN to take them
    Tproxy,
    /// They are not captured
    None,
}

/// Whose traffic is left alone. At least one must be given.
#[derive(Debug, clap::Args)]
struct ExemptFlags {
    /// The user that the proxy runs as, by number or name; can be used more than once
    #[arg(long, value_name = "USER", value_delimiter = ',', value_parser = settings::uid)]
    exempt_uid: Vec<u32>,

    /// The group that the proxy runs as, by number or name; can be used more than once
    #[arg(long, value_name = "GROUP", value_delimiter = ',', value_parser = settings::gid)]
    exempt_gid: Vec<u32>,

    /// The cgroup (v2) that the proxy runs in, which must be there before; can be used more than
    /// once. The kernel knows it by a number, so apply again when it was made anew
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    exempt_cgroup: Vec<CgroupPath>,
}

#[derive(Debug, clap::Args)]
struct OutboundFlags {
    /// Ports that are captured when connections leave; all when left out
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    include_outbound_ports: Vec<Ports>,

    /// Ports that are not
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    exclude_outbound_ports: Vec<Ports>,

    /// Destinations that are captured; all when left out
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    include_outbound_cidrs: Vec<Cidr>,

    /// Destinations that are not
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    exclude_outbound_cidrs: Vec<Cidr>,
}

#[derive(Debug, clap::Args)]
struct InboundFlags {
    /// Ports that are captured when connections arrive; all but 22 when left out
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    include_inbound_ports: Vec<Ports>,

    /// Ports that are not
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    exclude_inbound_ports: Vec<Ports>,

    /// Callers' addresses that are captured; all when left out
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    include_inbound_cidrs: Vec<Cidr>,

    /// Callers' addresses that are not
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    exclude_inbound_cidrs: Vec<Cidr>,
}

impl BackendFlag {
    /// The backend that was asked for, if one was.
    pub(super) fn chosen(self) -> Option<Backend> {
        match self {
            Self::Auto => None,
            Self::Nftables => Some(Backend::Nftables),
            Self::Iptables => Some(Backend::Iptables),
        }
    }
}

impl Flags {
    /// What the flags say together.
    pub(super) fn settings(&self) -> Result<Interception, SettingsError> {
        let port = self.inbound_port;
        let (out, inward) = (&self.outbound, &self.inbound);
        let settings = Interception {
            outbound_port: self.outbound_port,
            inbound: match self.mode {
                Mode::Redirect => Inbound::Redirect { port },
                Mode::Tproxy => Inbound::Tproxy { port },
                Mode::None => Inbound::Untouched,
            },
            dns_port: self.dns_port,
            exempt: self.exempt.all(),
            outbound_filter: Filter {
                include_ports: out.include_outbound_ports.clone(),
                exclude_ports: out.exclude_outbound_ports.clone(),
                include_cidrs: out.include_outbound_cidrs.clone(),
                exclude_cidrs: out.exclude_outbound_cidrs.clone(),
            },
            inbound_filter: Filter {
                include_ports: inward.include_inbound_ports.clone(),
                exclude_ports: inward.exclude_inbound_ports.clone(),
                include_cidrs: inward.include_inbound_cidrs.clone(),
                exclude_cidrs: inward.exclude_inbound_cidrs.clone(),
            },
        };
        settings.checked()
    }
}

impl ExemptFlags {
    fn all(&self) -> Vec<Exempt> {
        let uids = self.exempt_uid.iter().copied().map(Exempt::Uid);
        let gids = self.exempt_gid.iter().copied().map(Exempt::Gid);
        let cgroups = self.exempt_cgroup.iter().cloned().map(Exempt::Cgroup);
        uids.chain(gids).chain(cgroups).collect()
    }
}

fn port() -> clap::builder::RangedI64ValueParser<u16> {
    clap::value_parser!(u16).range(1..)
}
