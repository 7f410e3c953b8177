//! The addresses of this computer under which peers can reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Names of interfaces that lead to virtual machines and containers on this computer.
const VIRTUAL: &[&str] = &["docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel"];

/// How well an address serves to be told to others, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A private IPv4 address: short to type, and the one of a home's or office's network.
    Lan,
    PublicV4,
    GlobalV6,
    UniqueLocalV6,
    Virtual,
}

/// The addresses under which a listener bound to `bound` can be reached, best first: those of the
/// network without link-local ones, then loopback, for peers on this computer. Interfaces of
/// virtual machines and containers count only `with_virtual`.
#[must_use]
pub fn addresses(bound: SocketAddr, with_virtual: bool) -> Vec<SocketAddr> {
    if !bound.ip().is_unspecified() {
        return vec![SocketAddr::new(bound.ip().to_canonical(), bound.port())];
    }
    let interfaces = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of this computer are unknown");
        Vec::new()
    });
    let reachable = |ip: &IpAddr| bound.is_ipv6() || ip.is_ipv4();
    let mut ranked: Vec<_> = interfaces
        .iter()
        .filter(|interface| interface.is_oper_up() && reachable(&interface.ip()))
        .filter_map(|interface| Some((rank(&interface.name, interface.ip())?, interface.ip())))
        .collect();
    ranked.retain(|(rank, _)| with_virtual || *rank != Rank::Virtual);
    ranked.sort();
    ranked.dedup();
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let all = ranked.into_iter().map(|(_, ip)| ip).chain([here]);
    all.map(|ip| SocketAddr::new(ip, bound.port())).collect()
}

fn rank(name: &str, ip: IpAddr) -> Option<Rank> {
    let rank = match ip {
        IpAddr::V4(v4) if v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() => None,
        IpAddr::V4(v4) if v4.is_private() => Some(Rank::Lan),
        IpAddr::V4(_) => Some(Rank::PublicV4),
        IpAddr::V6(v6) if v6.is_loopback() || is_link_local(v6) || v6.is_unspecified() => None,
        IpAddr::V6(v6) if v6.segments()[0] & 0xfe00 == 0xfc00 => Some(Rank::UniqueLocalV6),
        IpAddr::V6(_) => Some(Rank::GlobalV6),
    };
    let is_virtual = VIRTUAL.iter().any(|prefix| name.starts_with(prefix));
    rank.map(|rank| if is_virtual { Rank::Virtual } else { rank })
}

fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(name: &str, ip: &str) -> Option<Rank> {
        rank(name, ip.parse().unwrap())
    }

    #[test]
    fn the_local_network_comes_first_and_loopback_not_at_all() {
        assert!(ranked("eth0", "192.168.1.5") < ranked("eth0", "203.0.113.5"));
        assert!(ranked("eth0", "203.0.113.5") < ranked("eth0", "2001:db8::5"));
        assert!(ranked("eth0", "2001:db8::5") < ranked("eth0", "fd00::5"));
        assert!(ranked("eth0", "fd00::5") < ranked("docker0", "172.17.0.1"));
        for (name, ip) in [("lo", "127.0.0.1"), ("lo", "::1"), ("eth0", "fe80::1")] {
            assert_eq!(ranked(name, ip), None);
        }
    }

    #[test]
    fn whoever_is_on_this_computer_can_come_too() {
        let all = addresses("0.0.0.0:51692".parse().unwrap(), false);
        assert_eq!(all.last(), Some(&"127.0.0.1:51692".parse().unwrap()));
    }

    #[test]
    fn a_bound_address_is_the_only_one() {
        let bound = "127.0.0.1:51692".parse().unwrap();
        assert_eq!(addresses(bound, false), [bound]);
    }
}
