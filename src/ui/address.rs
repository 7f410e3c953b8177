//! Addresses as people type them: `host`, `host:port`, `[::1]:51692`, `::1`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::command::shown;
use crate::router::notice::{Code, Failure};

/// Longest host name in bytes (RFC 1035, 2.3.4, as text).
const HOST_MAX_BYTES: usize = 253;

/// Reads an address with or without its port.
///
/// # Errors
/// `bad_address`, which says how an address is written.
pub fn read_address(text: &str) -> Result<(String, Option<u16>), Failure> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let (host, after) = inner.split_once(']').ok_or_else(|| bad(text))?;
        let port = match after.strip_prefix(':') {
            Some(port) => Some(port),
            None if after.is_empty() => None,
            None => return Err(bad(text)),
        };
        if !is_ipv6(host) {
            return Err(bad(text));
        }
        (host, port)
    } else if is_ipv6(text) {
        (text, None)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    if !is_ipv6(host) && !is_ipv4_or_name(host) {
        return Err(bad(text));
    }
    let port = match port {
        Some(digits) if is_number(digits) => Some(read_port(digits)?),
        Some(_) => return Err(bad(text)),
        None => None,
    };
    Ok((host.to_owned(), port))
}

/// Reads a port from decimal digits.
///
/// # Errors
/// `bad_address` for 0 and for numbers above 65535.
pub fn read_port(digits: &str) -> Result<u16, Failure> {
    match digits.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => {
            let text = format!("port {} does not exist: use 1 to 65535", shown(digits));
            Err(Failure::new(Code::BadAddress, text))
        }
    }
}

/// Decimal digits and nothing else: `parse` alone would accept a leading `+`.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

fn bad(text: &str) -> Failure {
    let text =
        format!("{} is not an address: use a host name, 192.168.1.5 or [::1]:51692", shown(text));
    Failure::new(Code::BadAddress, text)
}

/// With or without a zone (`fe80::1%eth0`, RFC 4007, 11).
fn is_ipv6(host: &str) -> bool {
    let (addr, zone) = host.split_once('%').unwrap_or((host, "0"));
    let zone_ok = !zone.is_empty() && zone.bytes().all(|b| b.is_ascii_graphic() && b != b'%');
    zone_ok && addr.parse::<Ipv6Addr>().is_ok()
}

fn is_ipv4_or_name(host: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '.' | '_');
    if host.len() > HOST_MAX_BYTES || host.starts_with('.') || !host.chars().all(allowed) {
        return false;
    }
    // A resolver would take "5" or "10.1" for an old short form of an IPv4 address.
    let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    !numeric || host.parse::<Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (text, host, port) in [
            ("alice", "alice", None),
            ("alice.example:5000", "alice.example", Some(5_000)),
            ("192.168.1.5", "192.168.1.5", None),
            ("192.168.1.5:1", "192.168.1.5", Some(1)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:51692", "::1", Some(51_692)),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[fe80::1%2]:65535", "fe80::1%2", Some(65_535)),
            ("bücher.example", "bücher.example", None),
        ] {
            assert_eq!(read_address(text), Ok((host.into(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_in_words() {
        for text in [
            "",
            ":51692",
            "alice:",
            "alice:0",
            "alice:65536",
            "alice:+1",
            "alice:http",
            "http://alice",
            "a:b:c",
            "::1:51692x",
            "[::1",
            "[::1]51692",
            "[alice]:5",
            "5",
            "10.1",
            "256.1.1.1",
            "alice@home",
            "fe80::1%",
            ".",
        ] {
            let failure = read_address(text).expect_err(text);
            assert_eq!(failure.code, Code::BadAddress, "{text}");
        }
        assert!(read_address(&"a".repeat(254)).is_err());
    }
}
