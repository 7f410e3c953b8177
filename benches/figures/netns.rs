//! A network of its own: hosts in namespaces on one switch, each with a limited link (root; Linux).

use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// What such a network needs, for the line of a skipped figure.
pub(crate) const NEEDS: &str =
    "needs root, `ip` and `tc` (iproute2): sudo env PATH=$PATH scripts/bench";
/// Bytes before the payload of a TCP segment: Ethernet, IPv4, TCP with timestamps.
const HEADER_BYTES: u64 = 66;

/// What a host may send and receive, in Mbit/s.
#[derive(Clone, Copy)]
pub(crate) struct Link {
    pub(crate) up: u32,
    pub(crate) down: u32,
}

/// The network; dropping it takes it down.
pub(crate) struct Net {
    name: String,
    hosts: usize,
}

impl Net {
    /// Whether such a network can be set up here.
    pub(crate) fn possible() -> bool {
        let name = format!("klatch{}-try", std::process::id());
        sh(&format!("ip netns add {name} && ip netns del {name} && command -v tc")).is_ok()
    }

    /// One host for each link, on a switch that is no bottleneck.
    pub(crate) fn lay(links: &[Link]) -> Result<Self> {
        let net = Self { name: format!("klatch{}", std::process::id()), hosts: links.len() };
        let switch = format!("{}-sw", net.name);
        sh(&format!(
            "ip netns add {switch}
             ip -n {switch} link add br0 up type bridge"
        ))?;
        for (host, Link { up, down }) in links.iter().enumerate() {
            let (name, addr) = (net.namespace(host), net.addr(host));
            let down_kb = (*down).max(64);
            sh(&format!(
                "ip netns add {name}
                 ip -n {switch} link add p{host} type veth peer name eth0 netns {name}
                 ip -n {switch} link set p{host} master br0 up
                 ip -n {name} addr add {addr}/24 dev eth0
                 ip -n {name} link set eth0 up
                 ip -n {name} link set lo up
                 tc -n {name} qdisc add dev eth0 root tbf rate {up}mbit burst 64kb latency 50ms
                 tc -n {switch} qdisc add dev p{host} root \
                    tbf rate {down}mbit burst {down_kb}kb latency 50ms"
            ))?;
        }
        Ok(net)
    }

    /// The address of a host.
    pub(crate) fn addr(&self, host: usize) -> String {
        format!("10.77.0.{}", host + 1)
    }

    /// The wrapper that runs a program on a host.
    pub(crate) fn wrapper(&self, host: usize) -> [String; 2] {
        ["nsenter".to_owned(), format!("--net=/run/netns/{}", self.namespace(host))]
    }

    /// Bytes that a host has sent so far, without headers.
    pub(crate) fn sent_bytes(&self, host: usize) -> Result<u64> {
        let said = sh(&format!("ip -n {} -s -j link show eth0", self.namespace(host)))?;
        let links: Value = serde_json::from_str(&said)?;
        let count = |what: &str| {
            let field = links.pointer(&format!("/0/stats64/tx/{what}")).and_then(Value::as_u64);
            field.with_context(|| format!("ip does not tell {what}"))
        };
        Ok(count("bytes")?.saturating_sub(HEADER_BYTES * count("packets")?))
    }

    fn namespace(&self, host: usize) -> String {
        format!("{}-{host}", self.name)
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // Some may not exist, which is fine.
        for host in 0..self.hosts {
            let _ = sh(&format!("ip netns del {}", self.namespace(host)));
        }
        let _ = sh(&format!("ip netns del {}-sw", self.name));
    }
}

fn sh(script: &str) -> Result<String> {
    let output = Command::new("sh").args(["-ec", script]).output().context("starting sh")?;
    if !output.status.success() {
        bail!("{script:?} failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?)
}
