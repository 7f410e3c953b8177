//! Addresses, and which of them count as the same.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address in the form in which it is compared and counted.
pub(crate) fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Whether an address belongs to this computer.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    plain_ip(ip).is_loopback()
}

/// This computer. Other addresses in 127/8 are excluded: tests use them for strangers.
pub(crate) fn is_own_computer(ip: IpAddr) -> bool {
    let ip = plain_ip(ip);
    ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
}

/// What counts as one source: an IPv4 address, or the /64 that an IPv6 site has to itself.
pub(crate) fn source_of(ip: IpAddr) -> IpAddr {
    prefix(ip, 32, 64)
}

/// What is likely to be one owner: a /24 in IPv4, a /48 in IPv6.
pub(crate) fn neighbourhood_of(ip: IpAddr) -> IpAddr {
    prefix(ip, 24, 48)
}

/// The first bits of an address, in IPv4 and in IPv6.
fn prefix(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match plain_ip(ip) {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & (!0 << (32 - v4_bits))).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (!0 << (128 - v6_bits))).into(),
    }
}

/// Where an address is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// This computer.
    Here,
    /// The networks around it: private, shared and link-local addresses.
    Near,
    /// Everywhere.
    Public,
    /// Nowhere, or at more than one computer: unspecified, broadcast, multicast, reserved.
    Nowhere,
}

/// Where an address is valid. Those for documentation count as public, as nobody uses them.
pub(crate) fn reach(ip: IpAddr) -> Reach {
    match plain_ip(ip) {
        IpAddr::V4(v4) => match v4.octets() {
            [127, ..] => Reach::Here,
            [0 | 224.., ..] | [192, 0, 0, _] => Reach::Nowhere,
            [10, ..] | [192, 168, ..] | [169, 254, ..] => Reach::Near,
            [172, 16..32, ..] | [100, 64..128, ..] | [198, 18..20, ..] => Reach::Near,
            _ => Reach::Public,
        },
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Reach::Here,
        IpAddr::V6(v6) => match v6.segments() {
            [0..0x0100 | 0xff00.., ..] => Reach::Nowhere,
            [0x2000..0x4000, ..] => Reach::Public,
            // Overlay networks use ranges that nobody else does.
            _ => Reach::Near,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_mean_something_here_near_everywhere_or_nowhere() {
        for (reached, list) in [
            (Reach::Here, "127.0.0.1 127.9.9.9 ::1 ::ffff:127.0.0.1"),
            (Reach::Near, "10.1.2.3 172.16.0.1 172.31.9.9 192.168.0.1 169.254.0.9 100.64.0.1"),
            (Reach::Near, "fe80::1 fd00::1 200::1 ::ffff:10.0.0.1"),
            (Reach::Public, "8.8.8.8 172.32.0.1 100.128.0.1 192.0.2.1 223.255.255.1"),
            (Reach::Public, "2001:db8::1 2a00:1450::5"),
            (Reach::Nowhere, "0.0.0.0 0.1.2.3 224.0.0.251 239.255.255.250 255.255.255.255"),
            (Reach::Nowhere, ":: ff02::fb 240.0.0.1 64:ff9b::1"),
        ] {
            for ip in list.split(' ') {
                assert_eq!(reach(ip.parse().unwrap()), reached, "{ip}");
            }
        }
        let of = |ip: &str| (source_of(ip.parse().unwrap()), neighbourhood_of(ip.parse().unwrap()));
        let both = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(of("::ffff:192.0.2.77"), both("192.0.2.77", "192.0.2.0"));
        assert_eq!(of("2001:db8:1:2:3::4"), both("2001:db8:1:2::", "2001:db8:1::"));
    }
}
