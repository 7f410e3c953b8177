//! The addresses of this computer at which peers can reach it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::sys::interfaces::{self, Interface, is_tunnel, is_virtual};

/// Addresses that belong to nobody (RFC 5737, RFC 3849), so packets to them take the default route.
const NOWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// How useful an address is to others, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// A private IPv4 address: short to type, and usual in networks at home or in offices.
    Lan,
    PublicV4,
    GlobalV6,
    UniqueLocalV6,
    /// Valid on this one network only; announced if there is no other.
    LinkLocal,
    Tunnel,
    Virtual,
}

/// Where a listener can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReachablePlaces {
    /// Best first: those of the network, then of tunnels, then loopback, for peers on this
    /// computer.
    pub addresses: Vec<SocketAddr>,
    /// Those that go through a tunnel, with its name.
    pub tunnels: Vec<(IpAddr, String)>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    name: String,
    ip: IpAddr,
    /// Point to point, as tunnels are.
    point_to_point: bool,
}

/// The addresses at which a listener bound to `bound` can be reached. Those of the interface with
/// the default route come first. Link-local ones are given only if there are no others, those of
/// virtual machines and containers only `with_virtual`.
#[must_use]
pub fn addresses(bound: SocketAddr, with_virtual: bool) -> ReachablePlaces {
    if !bound.ip().is_unspecified() {
        let addresses = vec![SocketAddr::new(bound.ip().to_canonical(), bound.port())];
        return ReachablePlaces { addresses, tunnels: Vec::new() };
    }
    let reachable = |ip: &IpAddr| bound.is_ipv6() || ip.is_ipv4();
    let interfaces = interfaces();
    let found: Vec<Found> = interfaces
        .iter()
        .filter(|interface| interface.is_up && reachable(&interface.ip))
        .map(|interface| Found {
            name: interface.name.clone(),
            ip: interface.ip,
            point_to_point: interface.is_point_to_point,
        })
        .collect();
    let everywhere: Vec<IpAddr> = NOWHERE.into_iter().filter_map(leaves_from).collect();
    order(&found, &everywhere, bound.port(), with_virtual)
}

/// The zones (RFC 4007, 6) that a link-local address without one may belong to: the networks that
/// this computer is on, with those of virtual machines and containers last.
#[must_use]
pub fn zones() -> Vec<u32> {
    let interfaces = interfaces();
    let beside = interfaces.iter().filter(|interface| {
        interface.is_up && is_link_local(interface.ip) && interface.ip.is_ipv6()
    });
    let mut zones: Vec<(bool, u32)> = beside
        .filter_map(|interface| Some((is_virtual(&interface.name), interface.index?)))
        .collect();
    zones.sort_unstable();
    zones.dedup();
    zones.into_iter().map(|(_, zone)| zone).collect()
}

/// Whether an address is valid on one network only.
#[must_use]
pub fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn interfaces() -> Vec<Interface> {
    interfaces::list().unwrap_or_else(|error| {
        tracing::warn!(%error, "the addresses of this computer are unknown");
        Vec::new()
    })
}

/// Our own address that packets to `ip` would be sent from; none is sent.
fn leaves_from(ip: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((ip, 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}

fn order(found: &[Found], everywhere: &[IpAddr], port: u16, with_virtual: bool) -> ReachablePlaces {
    let main = found.iter().find(|found| everywhere.contains(&found.ip));
    let main = main.map(|found| found.name.as_str());
    let mut ranked: Vec<_> = found.iter().filter_map(|found| Some((rank(found)?, found))).collect();
    ranked.retain(|(rank, _)| with_virtual || *rank != Rank::Virtual);
    if ranked.iter().any(|(rank, _)| *rank < Rank::LinkLocal) {
        ranked.retain(|(rank, _)| *rank != Rank::LinkLocal);
    }
    // A tunnel stays a tunnel even if everything goes through it.
    let is_main = |rank: Rank, name: &str| rank < Rank::Tunnel && main == Some(name);
    ranked.sort_by_key(|(rank, found)| (!is_main(*rank, &found.name), *rank, found.ip));
    ranked.dedup_by_key(|(_, found)| found.ip);
    let tunnels = ranked
        .iter()
        .filter(|(rank, _)| *rank == Rank::Tunnel)
        .map(|(_, found)| (found.ip, found.name.clone()))
        .collect();
    let here = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let all = ranked.into_iter().map(|(_, found)| found.ip).chain([here]);
    ReachablePlaces { addresses: all.map(|ip| SocketAddr::new(ip, port)).collect(), tunnels }
}

fn rank(found: &Found) -> Option<Rank> {
    let Found { name, ip, point_to_point } = found;
    if ip.is_loopback() || ip.is_unspecified() {
        return None;
    }
    Some(match ip {
        _ if is_virtual(name) => Rank::Virtual,
        _ if *point_to_point || is_tunnel(name) => Rank::Tunnel,
        _ if is_link_local(*ip) => Rank::LinkLocal,
        IpAddr::V4(v4) if v4.is_private() => Rank::Lan,
        IpAddr::V4(_) => Rank::PublicV4,
        IpAddr::V6(v6) if v6.is_unique_local() => Rank::UniqueLocalV6,
        IpAddr::V6(_) => Rank::GlobalV6,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, ip: &str) -> Found {
        Found { name: name.into(), ip: ip.parse().unwrap(), point_to_point: false }
    }

    /// The addresses that people with these interfaces are told, without loopback.
    fn told(found: &[Found], everywhere: &str) -> Vec<String> {
        let everywhere = everywhere.parse().into_iter().collect::<Vec<_>>();
        let mut told = order(found, &everywhere, 51_692, false).addresses;
        assert_eq!(told.pop(), Some("127.0.0.1:51692".parse().unwrap()));
        told.iter().map(|addr| addr.ip().to_string()).collect()
    }

    #[test]
    fn the_local_network_comes_first_and_loopback_last() {
        let all = [
            found("lo", "127.0.0.1"),
            found("lo", "::1"),
            found("eth0", "fe80::1"),
            found("eth0", "fd00::5"),
            found("eth0", "2001:db8:1::5"),
            found("eth1", "203.0.113.5"),
            found("eth2", "192.168.1.5"),
        ];
        let expected = ["192.168.1.5", "203.0.113.5", "2001:db8:1::5", "fd00::5"];
        assert_eq!(told(&all, ""), expected);
        // The interface with the default route outranks them.
        let expected = ["203.0.113.5", "192.168.1.5", "2001:db8:1::5", "fd00::5"];
        assert_eq!(told(&all, "203.0.113.5"), expected);
    }

    #[test]
    fn containers_are_hidden_and_tunnels_come_last_with_their_names() {
        let mut all = vec![found("wg0", "10.0.0.2"), found("enp3s0", "192.168.1.5")];
        for name in ["lxcbr0", "lxdbr0", "incusbr0", "podman0", "docker0", "virbr0", "veth12ab"] {
            all.push(found(name, "10.0.3.1"));
        }
        let cable = Found { point_to_point: true, ..found("corp0", "10.8.0.6") };
        all.push(cable);
        // All traffic goes through the tunnel, but its address is still no use to the neighbours.
        assert_eq!(told(&all, "10.0.0.2"), ["192.168.1.5", "10.0.0.2", "10.8.0.6"]);
        let places = order(&all, &[], 1, true);
        let name = |ip: &str, name: &str| (ip.parse().unwrap(), name.to_owned());
        assert_eq!(places.tunnels, [name("10.0.0.2", "wg0"), name("10.8.0.6", "corp0")]);
        assert!(places.addresses.contains(&"10.0.3.1:1".parse().unwrap()), "asked for");
    }

    #[test]
    fn on_a_direct_cable_the_link_local_addresses_are_told() {
        let mut all = vec![found("eth0", "169.254.7.7"), found("eth0", "fe80::7")];
        assert_eq!(told(&all, ""), ["169.254.7.7", "fe80::7"]);
        all.push(found("docker0", "172.17.0.1"));
        all.push(found("docker0", "fe80::8"));
        all.push(found("tun0", "10.8.0.6"));
        assert_eq!(told(&all, ""), ["169.254.7.7", "fe80::7", "10.8.0.6"]);
        all.push(found("wlan0", "192.168.1.5"));
        assert_eq!(told(&all, ""), ["192.168.1.5", "10.8.0.6"]);
    }

    #[test]
    fn whoever_is_on_this_computer_can_come_too() {
        let all = addresses("0.0.0.0:51692".parse().unwrap(), false);
        assert_eq!(all.addresses.last(), Some(&"127.0.0.1:51692".parse().unwrap()));
    }

    #[test]
    fn a_bound_address_is_the_only_one() {
        let bound = "127.0.0.1:51692".parse().unwrap();
        assert_eq!(addresses(bound, false).addresses, [bound]);
    }
}
