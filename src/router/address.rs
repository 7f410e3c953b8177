//! Addresses in the form in which they are compared and counted.

use core::net::IpAddr;

/// An address in the form in which it is compared and counted.
pub(crate) fn plain_ip(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// Whether an address belongs to this computer.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    plain_ip(ip).is_loopback()
}
