//! The verdict on two Hellos: one rule, the same at both ends.

use crate::router::message::{Brings, Hello, Why};

/// The verdict, which both ends compute from both Hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The connection is refused.
    Refuse(Why),
    /// Both are in one room: they show their identities.
    Recognise,
    /// The dialer enters the listener's room with what it brings.
    Enter(Brings),
}

/// The rule, the same at both ends: it depends only on the Hellos and on who dialled. Only a
/// dialer moves, so no stranger moves anybody.
pub(super) fn decide(dialer: &Hello, listener: &Hello, same_room: bool) -> Verdict {
    let free = !dialer.settled && !dialer.locked;
    let refuse = match dialer.brings {
        _ if dialer.run == listener.run => Why::SelfConnect,
        Brings::Password if !listener.locked => Why::NotLocked,
        Brings::Password if !listener.password => Why::NoPassword,
        Brings::Password | Brings::Invitation if same_room || free => {
            return Verdict::Enter(dialer.brings);
        }
        Brings::Password | Brings::Invitation => Why::InARoom,
        Brings::Nothing if same_room => return Verdict::Recognise,
        Brings::Nothing if !dialer.moves => Why::OtherRoom,
        Brings::Nothing if !free && dialer.settled => Why::InARoom,
        Brings::Nothing if !free => Why::DialerLocked,
        Brings::Nothing if listener.locked => Why::Locked,
        Brings::Nothing => return Verdict::Enter(Brings::Nothing),
    };
    Verdict::Refuse(refuse)
}
