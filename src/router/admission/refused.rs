//! What a person who was not let in is told.

use super::attempts::Brought;
use crate::router::event::Closed;
use crate::router::members::Members;
use crate::router::message::{Refusal, Why};
use crate::router::notice::{Code, Failure};
use crate::router::registry::Registry;
use crate::router::text::Untrusted;

/// The state of the room from which a person wants to connect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) members: &'a Members,
    /// Whether a link was committed in it.
    pub(crate) settled: bool,
}

impl Here<'_> {
    fn in_a_room(&self, at: &str) -> String {
        let with = self.members.present().next().map(|id| self.members.who(&id).marked());
        match with {
            Some(name) => format!("you are in a room with {name}; leave first"),
            None if self.settled || self.registry.is_closed() => {
                "you are in a room of your own; leave first".to_owned()
            }
            None => format!("{at} is in another room"),
        }
    }

    fn dialer_locked(&self, at: &str) -> String {
        let line = self.members.own().interfaces().first().map_or_else(
            || "connect <your address> <your port> locked".to_owned(),
            |addr| format!("connect {} {} locked", addr.ip(), addr.port()),
        );
        format!("your room is closed, so {at} has to come to you: let them type: {line}")
    }
}

/// Why the peer that answers `at` a place refused what was `brought` there.
pub(super) fn refused(at: &str, brought: &Brought, refusal: &Refusal, here: &Here<'_>) -> Failure {
    let wait = refusal.wait_ms.unwrap_or(0).div_ceil(1000);
    let text = match refusal.why {
        Why::Busy | Why::Crossing => {
            format!("{at} was busy with another connection for 10 s: try again")
        }
        // Its maker may be back soon, at that address or another.
        Why::SelfConnect if matches!(brought, Brought::Invitation(_)) => {
            let text = format!("nobody of that room answers: {at} is this klatch itself now");
            return Failure::new(Code::Unreachable, text);
        }
        Why::SelfConnect => format!("{at} is this klatch itself: connect to somebody else"),
        Why::Locked | Why::NotMember => {
            format!("the room at {at} is closed and needs its password")
        }
        Why::NoPassword => format!(
            "the room at {at} is closed and has no password: ask a member for an invitation"
        ),
        Why::Removed => match &refusal.record {
            Some(record) if here.registry.holds(&record.id) => {
                format!(
                    "{} removed you from this room",
                    here.members.who(&record.record.by()).marked()
                )
            }
            _ => format!("{at} says that you were removed from the room there"),
        },
        Why::NoInvitation => {
            format!("nobody at {at} knows this invitation, or it was ended: ask for a new one")
        }
        Why::InvitationUsed => {
            format!("the invitation was used already, says {at}: ask for a new one")
        }
        Why::InvitationExpired => {
            format!("the time of the invitation is over, says {at}: ask for a new one")
        }
        Why::NotLocked => format!(
            "{at}, or somebody between, says that the room there is open, but a closed one \
             was asked for; nothing was sent: connect without a password if that is what you \
             want"
        ),
        Why::InARoom | Why::OtherRoom => here.in_a_room(at),
        Why::DialerLocked => here.dialer_locked(at),
        Why::WrongPassword => {
            format!("the password does not open the room at {at}: check it and try again")
        }
        Why::TooManyAttempts => format!("too many attempts at {at}: wait {wait} s"),
        Why::Full => format!("the room at {at} has no place for another peer"),
        Why::IdentityInUse => format!(
            "another program with the same identity is connected at {at}: end it, or start \
             this one with another --data-dir"
        ),
        Why::Unexpected | Why::NoSession | Why::Protocol => {
            format!("{at} broke off the handshake: is it a klatch of another version?")
        }
        Why::Leaving => format!("the klatch at {at} is just leaving"),
    };
    Failure::new(refusal.why.code(), text)
}

/// A place as it is shown to people.
pub(super) fn place(host: &str, port: u16) -> String {
    format!("{} port {port}", Untrusted::new(host).line())
}

/// A place as people type it.
pub(super) fn format_address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// How a connection to a place ended without a word.
pub(super) fn broken_off(at: &str, how: &Closed) -> Failure {
    match how {
        Closed::Silent => Failure::new(
            Code::Timeout,
            format!("{at} accepted the connection but did not finish the handshake in time"),
        ),
        Closed::Gone | Closed::ByUs | Closed::Refused(_) => Failure::new(
            Code::Unreachable,
            format!("{at} closed the connection during the handshake: try again"),
        ),
        Closed::Protocol(what) => {
            Failure::new(Code::NotKlatch, format!("{at} does not speak klatch's protocol: {what}"))
        }
    }
}
