//! Findings of `doctor` about how this computer can be reached.

use core::net::SocketAddr;

use super::Members;
use crate::router::address::{is_loopback, plain_ip};
use crate::router::notice::Finding;

impl Members {
    /// Where this computer can be reached, for `doctor`.
    pub(crate) fn examine_port(&self, list: &mut Vec<Finding>) {
        let Some(port) = self.own.port() else {
            list.push(Finding::bad(
                "klatch is not listening yet",
                "wait a moment; if that does not help, restart it with --listen 0",
            ));
            return;
        };
        let (here, network): (Vec<SocketAddr>, Vec<SocketAddr>) =
            self.own.interfaces().iter().partition(|addr| is_loopback(addr.ip()));
        if network.is_empty() {
            let only = if here.is_empty() { "nowhere" } else { "from this computer only" };
            list.push(Finding::bad(
                format!("port {port} can be reached {only}"),
                "to let others in, join a network, or start klatch with --listen and only a port",
            ));
        } else {
            let places: Vec<String> = network.iter().map(|addr| addr.ip().to_string()).collect();
            list.push(Finding::good(format!("port {port} is open at {}", places.join(", "))));
        }
        for seen in self.own.seen() {
            let ip = plain_ip(seen.ip());
            let mine = self.own.interfaces().iter().any(|addr| plain_ip(addr.ip()) == ip);
            if !mine && !is_loopback(ip) {
                list.push(Finding::bad(
                    format!("others see this computer as {ip}, which is not an address of its own"),
                    format!(
                        "for people outside this network, forward port {port} to it on the router"
                    ),
                ));
            }
        }
    }
}
