//! The network interfaces of this computer.

use std::io;
use std::net::IpAddr;

/// Names of interfaces that lead to virtual machines and containers on this computer.
const VIRTUAL: &[&str] = &[
    "docker", "br-", "veth", "virbr", "vnet", "vmnet", "vboxnet", "lxc", "lxd", "incus", "podman",
    "cni", "flannel", "cali", "cilium", "nerdctl", "kube", "waydroid",
];
/// Names of interfaces that lead into another network, through others.
const TUNNELS: &[&str] = &[
    "tun",
    "tap",
    "wg",
    "ppp",
    "utun",
    "ipsec",
    "gre",
    "sit",
    "ip6tnl",
    "tailscale",
    "zt",
    "nebula",
    "nordlynx",
    "proton",
    "mullvad",
    "vpn",
];

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The system's name for the interface.
    pub name: String,
    /// The address.
    pub ip: IpAddr,
    /// Its number, which is the zone of link-local addresses (RFC 4007, 6).
    pub index: Option<u32>,
    /// Whether it can pass packets on now.
    pub is_up: bool,
    /// Whether it is point to point, as tunnels are.
    pub is_point_to_point: bool,
}

/// All addresses of all interfaces.
///
/// # Errors
/// The system's error.
pub fn list() -> io::Result<Vec<Interface>> {
    let found = if_addrs::get_if_addrs()?;
    let interface = |found: if_addrs::Interface| Interface {
        ip: found.ip(),
        index: found.index,
        is_up: found.is_oper_up(),
        is_point_to_point: found.is_p2p(),
        name: found.name,
    };
    Ok(found.into_iter().map(interface).collect())
}

/// Whether an interface with this name leads to virtual machines or containers on this computer.
/// The names are those of Linux and macOS; none are known for Windows.
#[must_use]
pub fn is_virtual(name: &str) -> bool {
    VIRTUAL.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether an interface with this name leads into another network. As for [`is_virtual`], no names
/// are known for Windows.
#[must_use]
pub fn is_tunnel(name: &str) -> bool {
    TUNNELS.iter().any(|prefix| name.starts_with(prefix))
}
