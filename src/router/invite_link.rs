//! The text of an invitation: what its maker sends and its guest types.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use data_encoding::BASE32_NOPAD;

use crate::crypto::hash::digest;
use crate::crypto::invite::{InviteSecret, SECRET_BYTES};

/// How the text begins.
pub const SCHEME: &str = "klatch:";
/// How a command line begins that enters by an invitation.
pub const COMMAND_LINE: &str = "klatch klatch:";

const VERSION: u8 = 1;
const FLAG_LOCKED: u8 = 2;
const FLAG_ONCE: u8 = 1;
const V4_MAX: usize = 3;
const V6_MAX: usize = 2;
const HOUR_MS: i64 = 3_600_000;
/// 2026-01-01T00:00:00Z, milliseconds since 1970 UTC.
const EPOCH_MS: i64 = 1_767_225_600_000;
const CHECK: &[u8] = b"klatch invite check 1\0";
const CHECK_BYTES: usize = 2;

/// The command line for the person who gets this invitation.
#[must_use]
pub fn command_line(text: &str) -> String {
    format!("{COMMAND_LINE}{}", text.strip_prefix(SCHEME).unwrap_or(text))
}

/// An invitation as a guest holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InviteLink {
    /// Known only to maker and guest.
    pub secret: InviteSecret,
    /// Names room and maker ([`super::signed::room_hint`]).
    pub room: [u8; 8],
    /// When it expires, milliseconds since 1970 UTC, in whole hours.
    pub until_ms: i64,
    /// It admits only one guest.
    pub once: bool,
    /// The room was closed when it was made.
    pub locked: bool,
    /// Where members may be reached, best first.
    pub addrs: Vec<SocketAddr>,
}

/// Why a text is not an invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InviteLinkError {
    /// It does not begin with [`SCHEME`].
    #[error("an invitation begins with klatch:")]
    NoInvitation,
    /// Letters are missing, changed or too many.
    #[error("the invitation is damaged: copy the whole of it again")]
    Damaged,
    /// A later klatch made it.
    #[error("the invitation is of a newer klatch: update this one")]
    Newer,
}

impl InviteLink {
    /// The text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let flags = (u8::from(self.locked) * FLAG_LOCKED) | (u8::from(self.once) * FLAG_ONCE);
        let mut bytes = vec![(VERSION << 4) | flags];
        bytes.extend(self.secret.expose());
        bytes.extend(self.room);
        let hours = (self.until_ms - EPOCH_MS).max(0).div_euclid(HOUR_MS);
        let up = i64::from((self.until_ms - EPOCH_MS).rem_euclid(HOUR_MS) > 0);
        let hours = u32::try_from(hours + up).unwrap_or(u32::MAX).min(0xff_ffff);
        bytes.extend(hours.to_be_bytes().iter().skip(1));
        let plain = self.addrs.iter().map(|addr| (addr.ip().to_canonical(), addr.port()));
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for (ip, port) in plain {
            match ip {
                IpAddr::V4(ip) if v4.len() < V4_MAX => v4.push((ip, port)),
                IpAddr::V6(ip) if v6.len() < V6_MAX => v6.push((ip, port)),
                _ => {}
            }
        }
        bytes.push(u8::try_from((v4.len() << 4) | v6.len()).unwrap_or(0));
        for (ip, port) in v4 {
            bytes.extend(ip.octets());
            bytes.extend(port.to_be_bytes());
        }
        for (ip, port) in v6 {
            bytes.extend(ip.octets());
            bytes.extend(port.to_be_bytes());
        }
        bytes.extend(check(&bytes));
        format!("{SCHEME}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }

    /// Reads the text, whatever its case and white space.
    ///
    /// # Errors
    /// [`InviteLinkError`].
    pub fn from_text(text: &str) -> Result<Self, InviteLinkError> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let scheme = text.get(..SCHEME.len()).filter(|start| start.eq_ignore_ascii_case(SCHEME));
        scheme.ok_or(InviteLinkError::NoInvitation)?;
        let letters = text.get(SCHEME.len()..).unwrap_or_default().to_ascii_uppercase();
        let bytes = BASE32_NOPAD.decode(letters.as_bytes());
        let bytes = bytes.map_err(|_| InviteLinkError::Damaged)?;
        if bytes.first().is_some_and(|first| first >> 4 > VERSION) {
            return Err(InviteLinkError::Newer);
        }
        Self::from_bytes(&bytes).ok_or(InviteLinkError::Damaged)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECK_BYTES)?)?;
        if check(body) != sum {
            return None;
        }
        let mut rest = body;
        let [first] = take::<1>(&mut rest)?;
        if first >> 4 != VERSION {
            return None;
        }
        let secret = InviteSecret::from_bytes(take::<SECRET_BYTES>(&mut rest)?);
        let room = take::<8>(&mut rest)?;
        let [a, b, c] = take::<3>(&mut rest)?;
        let hours = i64::from(u32::from_be_bytes([0, a, b, c]));
        let [numbers] = take::<1>(&mut rest)?;
        let (v4, v6) = (usize::from(numbers >> 4), usize::from(numbers & 0x0f));
        if v4 > V4_MAX || v6 > V6_MAX {
            return None;
        }
        let mut addrs = Vec::with_capacity(v4 + v6);
        for _ in 0..v4 {
            let ip = Ipv4Addr::from(take::<4>(&mut rest)?);
            addrs.push(SocketAddr::new(ip.into(), u16::from_be_bytes(take(&mut rest)?)));
        }
        for _ in 0..v6 {
            let ip = Ipv6Addr::from(take::<16>(&mut rest)?);
            // An address that stands for an IPv4 one is converted.
            let ip = IpAddr::from(ip).to_canonical();
            addrs.push(SocketAddr::new(ip, u16::from_be_bytes(take(&mut rest)?)));
        }
        let until_ms = EPOCH_MS + hours * HOUR_MS;
        let (once, locked) = (first & FLAG_ONCE != 0, first & FLAG_LOCKED != 0);
        rest.is_empty().then_some(Self { secret, room, until_ms, once, locked, addrs })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, others) = rest.split_first_chunk::<N>()?;
    *rest = others;
    Some(*first)
}

fn check(body: &[u8]) -> [u8; CHECK_BYTES] {
    let [a, b, ..] = digest(&[CHECK, body]);
    [a, b]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(addrs: &[&str]) -> InviteLink {
        InviteLink {
            secret: InviteSecret::from_bytes([7; SECRET_BYTES]),
            room: [1, 2, 3, 4, 5, 6, 7, 8],
            until_ms: EPOCH_MS + 8_000 * HOUR_MS,
            once: true,
            locked: true,
            addrs: addrs.iter().map(|addr| addr.parse().unwrap()).collect(),
        }
    }

    #[test]
    fn texts_are_read_back_and_as_long_as_documented() {
        for (addrs, length) in [
            (&[][..], 57),
            (&["192.0.2.1:51692", "192.0.2.2:1"], 76),
            (&["192.0.2.1:51692", "192.0.2.2:1", "[2001:db8::1]:51692"], 105),
        ] {
            let text = link(addrs).to_text();
            assert_eq!(text.len(), length, "{text}");
            assert_eq!(InviteLink::from_text(&text), Ok(link(addrs)));
            let pasted = format!("  {} \n", text.to_uppercase());
            assert_eq!(InviteLink::from_text(&pasted), Ok(link(addrs)));
        }
    }

    #[test]
    fn a_time_within_an_hour_is_rounded_up() {
        let link = InviteLink { until_ms: EPOCH_MS + HOUR_MS + 1, ..link(&[]) };
        let read = InviteLink::from_text(&link.to_text()).unwrap();
        assert_eq!(read.until_ms, EPOCH_MS + 2 * HOUR_MS);
    }

    /// N2: forged or truncated.
    #[test]
    fn every_changed_or_missing_letter_is_found() {
        let text = link(&["192.0.2.1:51692"]).to_text();
        for at in SCHEME.len()..text.len() {
            let shorter = &text[..at];
            assert!(InviteLink::from_text(shorter).is_err(), "{shorter}");
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(changed).unwrap();
            // Two check bytes miss one change in 65,536; these cases are fixed.
            assert!(InviteLink::from_text(&changed).is_err(), "{changed}");
        }
        assert_eq!(InviteLink::from_text("connect 1.2.3.4"), Err(InviteLinkError::NoInvitation));
        assert_eq!(InviteLink::from_text("klatch:"), Err(InviteLinkError::Damaged));
    }
}
