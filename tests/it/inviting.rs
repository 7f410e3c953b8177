//! Invitations, from the maker's screen to the guest's: `/invite`, `klatch klatch:…`, `/join`.

use serde_json::{Value, json};

use crate::common::{Options, Peer, has_joined, room};

/// Makes an invitation; gives its text.
pub(crate) fn invite(maker: &mut Peer, command: &str) -> String {
    maker.done(command);
    let invitation = maker.expect(json!({"event": "invitation"}));
    invitation["text"].as_str().unwrap().to_owned()
}

/// A guest comes in by an invitation's text.
pub(crate) fn join_by(guest: &mut Peer, maker: &mut Peer, text: &str) {
    guest.done(&format!("/join {text}"));
    let id = &guest.id;
    maker.expect_that("the guest here", |event| has_joined(event, id));
}

/// The row of somebody in `members`, as this peer sees it.
pub(crate) fn row(peer: &mut Peer, id: &str) -> Value {
    peer.done("members");
    let members = peer.expect(json!({"event": "members"}));
    let rows = members["list"].as_array().unwrap();
    rows.iter().find(|row| row["id"] == id).expect("it is listed").clone()
}

#[test]
fn an_invitation_closes_the_room_and_lets_in_whoever_holds_it() {
    let mut alice = Peer::start("alice");
    alice.done("/invite");
    alice.expect(json!({"event": "room_locked", "by": {"name": "alice"}, "password": false}));
    let invitation = alice.expect(json!({"event": "invitation", "once": false}));
    let (text, line) = (&invitation["text"], invitation["line"].as_str().unwrap());
    let text = text.as_str().unwrap();
    assert_eq!(line, format!("klatch {text}"));
    // As the program's argument.
    let mut bob = Options::new("bob").args([text]).start();
    bob.expect(json!({"event": "joined", "locked": true, "founder": {"name": "alice"}}));
    alice.expect_that("bob here", |event| has_joined(event, &bob.id));
    // And typed into a running klatch, as one word or as the whole line, broken by a mail program.
    let (first, second) = text.split_at(30);
    for (name, typed) in [
        ("carol", format!("/join {text}")),
        ("dave", format!("/join {line}")),
        ("erin", format!("connect {}", text.to_uppercase())),
        ("frank", format!("/join {first} {second}")),
    ] {
        let mut guest = Peer::start(name);
        guest.done(&typed);
        alice.expect_that(name, |event| has_joined(event, &guest.id));
        let seen = row(&mut alice, &guest.id);
        assert_eq!(
            (&seen["standing"], &seen["through"]["name"]),
            (&json!("member"), &json!("alice"))
        );
        guest.quit();
    }
    bob.done("thank you for the invitation");
    alice.hears("thank you for the invitation");
    let mut eve = Peer::start("eve");
    eve.refused(&format!("connect {}", alice.address), "members_only");
    eve.refused(&format!("/join {}", &text[..text.len() - 1]), "bad_address");
    eve.refused("/join klatch:", "bad_address");
    for peer in [&mut alice, &mut bob, &mut eve] {
        peer.quit_with(i32::from(peer.program.name == "eve"));
        let rows = peer.all(json!({"event": "members"}));
        assert!(rows.iter().all(|row| !row.to_string().contains(&text[7..23])));
    }
}

#[test]
fn an_invitation_for_one_is_used_up_by_the_first() {
    let mut alice = Peer::start("alice");
    let text = invite(&mut alice, "/invite once");
    let mut bob = Peer::start("bob");
    join_by(&mut bob, &mut alice, &text);
    let mut eve = Peer::start("eve");
    let said = eve.refused(&format!("/join {text}"), "invitation_used");
    assert!(said.contains("ask for a new one"), "{said}");
    alice.done("/invite once 1h");
    alice.done("/invite 7d");
    // The list shows what is left of each, including those of others.
    let both = alice.expect_that("both are listed", |event| {
        event["event"] == "invitations" && event["list"].as_array().unwrap().len() == 2
    });
    let list = both["list"].clone();
    let left: Vec<_> = list.as_array().unwrap().iter().map(|row| row["left"].clone()).collect();
    assert_eq!(left.len(), 2, "{list}");
    assert!(left.contains(&json!(1)) && left.contains(&Value::Null), "{list}");
    bob.done("still a member");
    alice.hears("still a member");
}

#[test]
fn invitations_that_are_taken_back_let_nobody_in_and_guests_stay() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    bob.done("I am here");
    alice.hears("I am here");
    let of_alice = invite(&mut alice, "/invite");
    // An invitation that he makes before he hears of her closing ends with the closing.
    bob.expect(json!({"event": "room_locked"}));
    let texts = [of_alice, invite(&mut bob, "/invite")];
    let mut carol = Peer::start("carol");
    join_by(&mut carol, &mut alice, &texts[0]);
    alice.done("/invite off");
    alice.done("taken back");
    bob.hears("taken back");
    let mut dave = Peer::start("dave");
    dave.refused(&format!("/join {}", texts[0]), "no_invitation");
    alice.refused("/invite off", "no_invitation");
    // Bob's guest counts as bob's.
    join_by(&mut dave, &mut bob, &texts[1]);
    let through = row(&mut bob, &dave.id)["through"].clone();
    assert_eq!(through["name"], "bob");
    carol.done("still a member");
    dave.hears("still a member");
    // At most four live at a time.
    for _ in 0..4 {
        alice.done("/invite");
    }
    let said = alice.refused("/invite", "usage");
    assert!(said.contains("/invite off"), "{said}");
}

/// The maker has left: any member lets the guest in, who is listed as the maker's.
#[test]
fn any_member_answers_an_invitation() {
    let [mut alice, mut bob] = room(["alice", "bob"]);
    bob.done("I am here");
    alice.hears("I am here");
    // The invitation names all of alice's addresses, and none of bob's.
    let text = invite(&mut alice, "/invite");
    bob.expect(json!({"event": "room_locked"}));
    alice.done("the invitation went round");
    bob.hears("the invitation went round");
    let mut carol = Peer::start("carol");
    // At alice's address a relay now leads to bob.
    alice.quit();
    bob.expect(json!({"event": "member_left"}));
    let port: u16 = alice.address.rsplit_once(':').unwrap().1.parse().unwrap();
    let stand_in = std::net::TcpListener::bind(("127.0.0.1", port));
    let Ok(stand_in) = stand_in else {
        eprintln!("skipped: somebody else took the port");
        return;
    };
    let to = bob.address.clone();
    std::thread::spawn(move || {
        for from in stand_in.incoming().map_while(Result::ok) {
            let onward = std::net::TcpStream::connect(&to).unwrap();
            for (mut from, mut to) in [
                (from.try_clone().unwrap(), onward.try_clone().unwrap()),
                (onward.try_clone().unwrap(), from.try_clone().unwrap()),
            ] {
                std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            }
        }
    });
    join_by(&mut carol, &mut bob, &text);
    let seen = row(&mut bob, &carol.id);
    assert_eq!(seen["through"]["id"], json!(alice.id), "{seen}");
    carol.done("here by alice's invitation");
    bob.hears("here by alice's invitation");
}
