//! Ten thousand messages while somebody types.

use crate::common::person::{ENTER, Person};
use crate::common::{Folder, Peer};

const MESSAGES: usize = 10_000;
const KEYS: usize = 200;

#[test]
fn keys_arrive_in_order_while_messages_pour_in() {
    let folder = Folder::new();
    let mut ana = Person::start("ana", &folder.path(""), &[]);
    let mut bob = Peer::start("bob");
    bob.done(&format!("connect {}", ana.address()));
    ana.sees("with bob (");
    // Sent in one go, as fast as klatch takes them.
    let script: String =
        (0..MESSAGES).map(|number| format!("message {number} of many\n")).collect();
    let mut typed = String::new();
    std::thread::scope(|scope| {
        let program = &mut bob.program;
        scope.spawn(move || program.type_bytes(script.as_bytes()));
        ana.has_written("message 0 of many");
        for key in (0..KEYS).map(|at| char::from(b'a' + (at % 26) as u8)) {
            ana.types(&key.to_string());
            typed.push(key);
            // Each key appears before the next is typed, after all the earlier ones.
            ana.until(&typed, |screen| screen.contains(&format!("> {typed}")));
        }
    });
    ana.types(ENTER);
    bob.hears(&typed);
    ana.has_written(&format!("message {} of many", MESSAGES - 1));
    let written = String::from_utf8_lossy(&ana.raw).into_owned();
    let numbers: Vec<usize> = written
        .split("message ")
        .skip(1)
        .map(|rest| rest.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "each is shown once, in order");
}
