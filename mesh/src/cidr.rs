//! Blocks of IP addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// A block of addresses. IPv4 addresses that arrive mapped into IPv6 (`::ffff:10.0.0.1`) count as
/// IPv4, so that a dual-stack listener cannot be used to step around an IPv4 block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Cidr {
    network: IpAddr,
    length: u8,
}

impl Cidr {
    /// The block, or in words what is wrong with the text.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            return Err("it is not an IP address or CIDR block");
        };
        let longest = bits(address);
        let length = match length {
            None => longest,
            Some(length) => prefix_length(length, longest)?,
        };
        Self::unmapped(address, length)
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        bits(address) == bits(self.network)
            && mask(address, self.length) == mask(self.network, self.length)
    }

    /// Its address, as it was written.
    pub(crate) fn network(&self) -> IpAddr {
        self.network
    }

    /// Whether the text had bits set that the length cuts off, as in `10.0.0.1/8`.
    pub(crate) fn has_host_bits(&self) -> bool {
        mask(self.network, self.length) != self.network
    }

    /// Whether every address of `other` is in this block.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self.length <= other.length && self.contains(other.network)
    }

    /// The block of this length that holds an address.
    pub(crate) fn around(address: IpAddr, length: u8) -> Self {
        let address = address.to_canonical();
        Self {
            network: mask(address, length),
            length,
        }
    }

    /// The same block without bits that the length cuts off.
    pub(crate) fn normal(&self) -> Self {
        Self::around(self.network, self.length)
    }

    /// Whether it is only one address.
    pub(crate) fn is_one(&self) -> bool {
        self.length == bits(self.network)
    }

    /// How many bits all its addresses share.
    pub(crate) fn length(&self) -> u8 {
        self.length
    }

    fn unmapped(address: IpAddr, length: u8) -> Result<Self, &'static str> {
        let canonical = address.to_canonical();
        if bits(canonical) == bits(address) {
            return Ok(Self {
                network: address,
                length,
            });
        }
        match length.checked_sub(MAPPED_PREFIX) {
            Some(length) => Ok(Self {
                network: canonical,
                length,
            }),
            None => Err("it reaches beyond the IPv4-mapped addresses; write the IPv4 block itself"),
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_one() {
            write!(f, "{}", self.network)
        } else {
            write!(f, "{}/{}", self.network, self.length)
        }
    }
}

fn prefix_length(text: &str, longest: u8) -> Result<u8, &'static str> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (text == "0" || !text.starts_with('0'));
    match text.parse::<u8>() {
        Ok(length) if canonical && length <= longest => Ok(length),
        Ok(_) | Err(_) => Err("its prefix length is not a number that fits the address"),
    }
}

fn bits(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

/// The address with everything after the first `length` bits set to zero.
fn mask(address: IpAddr, length: u8) -> IpAddr {
    let cut = u32::from(bits(address).saturating_sub(length));
    match address {
        IpAddr::V4(v4) => {
            let kept = u32::MAX.checked_shl(cut).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & kept))
        }
        IpAddr::V6(v6) => {
            let kept = u128::MAX.checked_shl(cut).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & kept))
        }
    }
}

/// `::ffff:0:0/96` holds the IPv4 addresses (RFC 4291 §2.5.5.2).
const MAPPED_PREFIX: u8 = 96;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value, what it must match, what it must not match.
    type Row = (
        &'static str,
        &'static [&'static str],
        &'static [&'static str],
    );

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn blocks_hold_their_addresses_and_no_others() {
        let table: &[Row] = &[
            (
                "10.0.0.0/8",
                &["10.0.0.0", "10.255.255.255", "::ffff:10.1.2.3"],
                &["11.0.0.0", "9.255.255.255", "::a00:1"],
            ),
            ("10.1.2.3/8", &["10.0.0.1"], &["11.1.2.3"]),
            (
                "192.168.1.7",
                &["192.168.1.7", "::ffff:192.168.1.7"],
                &["192.168.1.6", "192.168.1.8"],
            ),
            (
                "192.168.1.4/31",
                &["192.168.1.4", "192.168.1.5"],
                &["192.168.1.6", "192.168.1.3"],
            ),
            (
                "0.0.0.0/0",
                &["1.2.3.4", "255.255.255.255"],
                &["::1", "2001:db8::1"],
            ),
            (
                "::/0",
                &["::1", "2001:db8::1"],
                &["1.2.3.4", "::ffff:1.2.3.4"],
            ),
            (
                "2001:db8::/32",
                &["2001:db8::1", "2001:db8:ffff::"],
                &["2001:db9::", "10.0.0.1"],
            ),
            ("2001:db8::1", &["2001:db8::1"], &["2001:db8::2"]),
            ("::ffff:10.0.0.0/104", &["10.9.9.9"], &["11.0.0.0"]),
        ];
        for (block, inside, outside) in table {
            let cidr = Cidr::parse(block).expect("a block");
            for address in *inside {
                assert!(cidr.contains(ip(address)), "{block} holds {address}");
            }
            for address in *outside {
                assert!(
                    !cidr.contains(ip(address)),
                    "{block} does not hold {address}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_a_block_is_refused() {
        for text in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0.0.0/-1",
            "010.0.0.1",
            "10.0.0.0/8/8",
            "10.0.0.0/ 8",
            "example.org",
            "10.0.0.*",
            "::ffff:10.0.0.0/90",
            "fe80::1%eth0",
        ] {
            assert!(Cidr::parse(text).is_err(), "{text:?} must be refused");
        }
    }

    #[test]
    fn host_bits_are_noticed() {
        assert!(Cidr::parse("10.0.0.1/8").expect("a block").has_host_bits());
        assert!(!Cidr::parse("10.0.0.0/8").expect("a block").has_host_bits());
        assert!(!Cidr::parse("10.0.0.1").expect("a block").has_host_bits());
    }

    proptest! {
        #[test]
        fn membership_is_the_equality_of_the_first_bits(network: u32, address: u32, length in 0u8..=32) {
            let cidr = Cidr::parse(&format!("{}/{length}", Ipv4Addr::from_bits(network))).expect("a block");
            let shift = 32 - u32::from(length);
            let same = (u64::from(network) >> shift) == (u64::from(address) >> shift);
            prop_assert_eq!(cidr.contains(Ipv4Addr::from_bits(address).into()), same);
        }
    }
}
