//! The verdict on two Hellos: one rule, the same at both ends.

use crate::router::message::{Brings, Hello, Why};

/// What both ends conclude from both Hellos.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing comes of it.
    Refuse(Why),
    /// One room: both show who they are.
    Recognise,
    /// The dialer enters the listener's room with what it brings.
    Enter(Brings),
}

/// The one rule, the same at both ends: it sees nothing but the Hellos and who dialled. Only a
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
