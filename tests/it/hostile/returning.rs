//! H11: Eve was in the room while it was open. It was closed without her, and she comes back with
//! everything that she recorded.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

use klatch::crypto::binding::Role;
use klatch::router::command::Command;
use klatch::router::message::Why;
use klatch::wire::opening::{Opening, Proven};

use super::eve::{Eve, Session, Wire};
use super::host::{Host, password};

/// Was let in by alice, and is gone when alice closes the room.
fn was_in(alice: &mut Host, addresses: Vec<SocketAddr>) -> (Eve, Session) {
    let eve = Eve::new();
    let session = eve.join_with(alice.addr(), None, addresses);
    session.wire.channel.socket().shutdown(std::net::Shutdown::Both).unwrap();
    alice.run(Command::Password { password: Some(password("correct horse")) }).unwrap();
    (eve, session)
}

/// Takes the marks that alice names, says them back without a proof, and proves the old key.
fn claim(eve: &Eve, member: &Session, wire: &mut Wire) -> Option<Why> {
    wire.greet(eve.hello_of_member(), &member.room);
    let Ok(Opening::Keys(named)) = wire.hear() else { panic!("no keys") };
    let mut list: Vec<_> = named.iter().map(|of| Proven { proof: [0; 32], ..*of }).collect();
    list.retain(|of| of.mark != member.mark());
    list.push(wire.proven(member.mark(), &member.record.body.key));
    wire.say(&Opening::Keys(list));
    wire.show(&eve.identity, &member.room);
    wire.ended()
}

#[test]
fn h11_a_mark_without_its_proof_lets_nobody_in_who_dials() {
    let mut alice = Host::new("alice");
    let (eve, member) = was_in(&mut alice, Vec::new());
    let mut wire = eve.dial(alice.addr(), Role::Session);
    assert_eq!(claim(&eve, &member, &mut wire), Some(Why::NoKey));
    assert_eq!(alice.linked(), 0);
}

#[test]
fn h11_a_mark_without_its_proof_lets_nobody_in_who_is_dialled() {
    let mut alice = Host::new("alice");
    let ear = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let (eve, member) = was_in(&mut alice, vec![ear.local_addr().unwrap()]);
    let mut wire = Eve::answer(&ear);
    assert_eq!(claim(&eve, &member, &mut wire), Some(Why::NoKey));
    assert_eq!(alice.linked(), 0);
}
