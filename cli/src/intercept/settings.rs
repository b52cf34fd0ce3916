//! What is to be captured: checked, and without any word of how a machine is told.

use std::{fmt, net::IpAddr, ops::RangeInclusive, str::FromStr};

use nix::unistd::{Group, User};

/// What is captured on a host, and for which ports of its proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interception {
    /// The port of the proxy that takes connections which leave the host.
    pub(super) outbound_port: u16,
    pub(super) inbound: Inbound,
    /// The port of the proxy that takes questions to name servers, if they are captured.
    pub(super) dns_port: Option<u16>,
    /// Whose traffic is left alone: the proxy's own. Never empty.
    pub(super) exempt: Vec<Exempt>,
    pub(super) outbound_filter: Filter,
    pub(super) inbound_filter: Filter,
}

/// How connections that arrive at the host are captured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inbound {
    /// They get the proxy's port as their destination; the original one can be asked for.
    Redirect { port: u16 },
    /// They keep both addresses, and the proxy can keep the caller's towards the application.
    Tproxy { port: u16 },
    /// They are not.
    Untouched,
}

/// Which connections of one direction are captured. What is excluded is never captured; of the
/// rest, if something is included, that alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Filter {
    pub(super) include_ports: Vec<Ports>,
    pub(super) exclude_ports: Vec<Ports>,
    /// Outbound: destinations. Inbound: sources.
    pub(super) include_cidrs: Vec<Cidr>,
    pub(super) exclude_cidrs: Vec<Cidr>,
}

/// Whose packets are not captured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Exempt {
    Uid(u32),
    Gid(u32),
    /// A path below the root of the cgroup v2 hierarchy.
    Cgroup(CgroupPath),
}

/// One port, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ports(RangeInclusive<u16>);

/// A block of addresses, without bits that its length cuts off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    network: IpAddr,
    length: u8,
}

/// A cgroup by its path, such as `system.slice/signet-proxy.service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CgroupPath(String);

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    V6,
}

/// Why there is no such interception.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum SettingsError {
    #[error(
        "nothing is exempt, so the proxy would capture its own connections for ever: name whom it \
         runs as, with --exempt-uid, --exempt-gid or --exempt-cgroup"
    )]
    NothingExempt,
    #[error("port {0} is given twice: the proxy's ports must differ")]
    SamePort(u16),
    #[error("more than {MOST} values of one flag; name blocks or ranges instead")]
    TooMany,
}

impl Interception {
    /// Itself, if the parts go together.
    pub(super) fn checked(self) -> Result<Self, SettingsError> {
        if self.exempt.is_empty() {
            return Err(SettingsError::NothingExempt);
        }
        let inbound = self.inbound.port();
        if inbound == Some(self.outbound_port) {
            return Err(SettingsError::SamePort(self.outbound_port));
        }
        if let Some(dns) = self.dns_port
            && (dns == self.outbound_port || inbound == Some(dns))
        {
            return Err(SettingsError::SamePort(dns));
        }
        let filters = [&self.outbound_filter, &self.inbound_filter];
        if self.exempt.len() > MOST || filters.iter().any(|filter| filter.is_too_long()) {
            return Err(SettingsError::TooMany);
        }
        Ok(self)
    }
}

impl Inbound {
    /// The port of the proxy that takes what arrives.
    pub(super) fn port(self) -> Option<u16> {
        match self {
            Self::Redirect { port } | Self::Tproxy { port } => Some(port),
            Self::Untouched => None,
        }
    }
}

impl Filter {
    fn is_too_long(&self) -> bool {
        let ports = [&self.include_ports, &self.exclude_ports];
        let cidrs = [&self.include_cidrs, &self.exclude_cidrs];
        ports.iter().any(|list| list.len() > MOST) || cidrs.iter().any(|list| list.len() > MOST)
    }
}

impl Ports {
    /// One port.
    pub(super) fn one(port: u16) -> Self {
        Self(port..=port)
    }

    pub(super) fn contains(&self, port: u16) -> bool {
        self.0.contains(&port)
    }

    /// The range, its ends joined as the program that reads it wants.
    pub(super) fn joined(&self, by: char) -> String {
        let (first, last) = (self.0.start(), self.0.end());
        match first == last {
            true => first.to_string(),
            false => format!("{first}{by}{last}"),
        }
    }
}

impl FromStr for Ports {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let port = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            Ok(_) | Err(_) => {
                Err("write a port from 1 to 65535, or a range as 8000-8100".to_owned())
            }
        };
        let Some((first, last)) = text.split_once('-') else {
            return port(text).map(Self::one);
        };
        let (first, last) = (port(first)?, port(last)?);
        match first <= last {
            true => Ok(Self(first..=last)),
            false => Err(format!("the range is empty; write {last}-{first}")),
        }
    }
}

impl Cidr {
    pub(super) fn family(self) -> Family {
        match self.network {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Whether it is every address of its family.
    pub(super) fn is_all(self) -> bool {
        self.length == 0
    }

    /// Whether it is one address.
    pub(super) fn is_one(self) -> bool {
        self.length == bits(self.network)
    }

    pub(super) fn network(self) -> IpAddr {
        self.network
    }

    #[cfg(test)]
    pub(super) fn contains(self, address: IpAddr) -> bool {
        address.is_ipv4() == self.network.is_ipv4() && masked(address, self.length) == self.network
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl FromStr for Cidr {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let whole = || "write an address or a block, as 10.0.0.0/8 or fd00::/8".to_owned();
        let (address, length) = match text.split_once('/') {
            None => (text, None),
            Some((address, length)) => (address, Some(length)),
        };
        let network: IpAddr = address.parse().map_err(|_invalid| whole())?;
        if let IpAddr::V6(mapped) = network
            && mapped.to_ipv4_mapped().is_some()
        {
            return Err("it is an IPv4 address in IPv6's form; write it as IPv4".to_owned());
        }
        let longest = bits(network);
        let length = match length {
            None => longest,
            Some(length) => length.parse().map_err(|_invalid| whole())?,
        };
        if length > longest {
            return Err(format!("the length is at most {longest}"));
        }
        let kept = masked(network, length);
        match kept == network {
            true => Ok(Self { network, length }),
            false => Err(format!("the length cuts bits off; write {kept}/{length}")),
        }
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn masked(address: IpAddr, length: u8) -> IpAddr {
    let off = u32::from(bits(address).saturating_sub(length));
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(off).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(off).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

impl CgroupPath {
    /// How many cgroups deep it is.
    pub(super) fn level(&self) -> usize {
        self.0.split('/').count()
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CgroupPath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.trim_matches('/');
        // Neither nft nor iptables-restore can be given every name there could be.
        let plain = |c: char| c.is_ascii_alphanumeric() || "._@:-".contains(c);
        let good = |part: &str| !matches!(part, "" | "." | "..") && part.chars().all(plain);
        match path.split('/').all(good) {
            true => Ok(Self(path.to_owned())),
            false => Err(
                "write the path below the root of cgroup v2, as system.slice/signet-proxy.service; \
                 letters, digits and . _ @ : - are allowed"
                    .to_owned(),
            ),
        }
    }
}

/// A user by number or name.
pub(super) fn uid(text: &str) -> Result<u32, String> {
    if let Ok(uid) = text.parse() {
        return Ok(uid);
    }
    match User::from_name(text) {
        Ok(Some(user)) => Ok(user.uid.as_raw()),
        Ok(None) => Err("no user has this name; write a number".to_owned()),
        Err(error) => Err(format!("the users cannot be read: {error}; write a number")),
    }
}

/// A group by number or name.
pub(super) fn gid(text: &str) -> Result<u32, String> {
    if let Ok(gid) = text.parse() {
        return Ok(gid);
    }
    match Group::from_name(text) {
        Ok(Some(group)) => Ok(group.gid.as_raw()),
        Ok(None) => Err("no group has this name; write a number".to_owned()),
        Err(error) => Err(format!(
            "the groups cannot be read: {error}; write a number"
        )),
    }
}

/// Values of one flag. More rules than this slow each new connection down.
const MOST: usize = 1024;
