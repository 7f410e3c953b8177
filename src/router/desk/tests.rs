use super::*;
use crate::router::command::LeaveWhen;
use crate::router::event::Effect;
use crate::router::ids::FileId;
use crate::router::time::Millis;

const BUSY: Needs = Needs { busy: true, unheld: false, served: false };
const UNHELD: Needs = Needs { busy: false, unheld: true, served: false };
const SERVED: Needs = Needs { busy: false, unheld: false, served: true };
const NOBODY: Needs = Needs { busy: false, unheld: false, served: false };

fn given(cx: &Context, line: u64, command: Command) -> GivenCommand {
    GivenCommand { face: FaceId::TERMINAL, line, command, draw: cx.config.draw.clone() }
}

/// Which lines were answered.
fn answered(cx: &mut Context) -> Vec<u64> {
    let line = |effect| match effect {
        Effect::Reply { line, .. } => Some(line),
        _ => None,
    };
    cx.take_effects().into_iter().filter_map(line).collect()
}

#[test]
fn the_end_of_input_waits_for_what_was_begun_and_then_a_while_for_others() {
    let (mut cx, mut desk) = (Context::of_test("ada", 1), Desk::default());
    let end = given(&cx, 1, Command::EndOfInput);
    desk.depart_later(&mut cx, end);
    let mut due = |at, needs: &Needs| {
        cx.now = Millis(at);
        desk.departure_due(&mut cx, needs).is_some()
    };
    assert!(!due(0, &BUSY));
    assert!(!due(1_000_000, &BUSY), "however long that takes");
    assert!(!due(1_000_050, &UNHELD));
    assert!(!due(1_010_000, &UNHELD));
    assert!(!due(1_010_010, &BUSY), "and again after something else");
    assert!(!due(1_010_060, &UNHELD));
    assert!(due(1_020_060, &UNHELD));
}

#[test]
fn a_quit_waits_for_those_who_need_this_node_and_for_nothing_else() {
    let (mut cx, mut desk) = (Context::of_test("ada", 1), Desk::default());
    let quit = given(&cx, 1, Command::Quit(LeaveWhen::Now));
    desk.depart_later(&mut cx, quit);
    assert!(desk.departure_due(&mut cx, &SERVED).is_none());
    assert!(desk.departure_due(&mut cx, &UNHELD).is_some());
    let quit = given(&cx, 2, Command::Quit(LeaveWhen::Now));
    desk.depart_later(&mut cx, quit);
    cx.now = Millis(LAST_HOST_MS);
    assert!(desk.departure_due(&mut cx, &SERVED).is_some(), "they had their time");
    assert!(desk.departure_due(&mut cx, &NOBODY).is_none(), "none is left");
    assert_eq!(cx.timers.next(), None);
}

#[test]
fn an_end_that_waits_gives_way_to_the_next_and_is_answered() {
    let (mut cx, mut desk) = (Context::of_test("ada", 1), Desk::default());
    for (line, command) in [
        (1, Command::EndOfInput),
        (2, Command::Leave(LeaveWhen::Now)),
        (3, Command::Quit(LeaveWhen::Now)),
    ] {
        let given = given(&cx, line, command);
        desk.depart_later(&mut cx, given);
    }
    assert_eq!(answered(&mut cx), [2]);
    assert!(desk.is_quitting());
    assert!(desk.input_ended().is_some());
}

#[test]
fn whoever_was_told_confirms_by_saying_the_same_again_soon() {
    let mut desk = Desk::default();
    let [a, b] = [1, 2].map(|byte| FileId([byte; 32]));
    assert!(!desk.is_confirmed(Millis(0), "quit", vec![a, b]));
    assert!(desk.is_confirmed(Millis(1), "quit", vec![a]));
    assert!(!desk.is_confirmed(Millis(2), "quit", vec![a]), "that was for the last one");
    assert!(!desk.is_confirmed(Millis(3), "leave", vec![a]), "that is another word");
    assert!(!desk.is_confirmed(Millis(4), "leave", vec![b]), "that is another file");
    assert!(!desk.is_confirmed(Millis(100_000), "leave", vec![b]), "that is late");
}

#[test]
fn a_password_belongs_to_the_command_that_asked_last() {
    let (mut cx, mut desk) = (Context::of_test("ada", 1), Desk::default());
    for line in [1, 2] {
        let given = given(&cx, line, Command::Password { password: None, asks: true });
        desk.await_password(&mut cx, given);
    }
    assert_eq!(answered(&mut cx), [1]);
    let of = |line| (FaceId::TERMINAL, line);
    assert!(desk.password_given(&mut cx, of(1), Some(&NewPassword::Nothing)).is_none());
    let given = desk.password_given(&mut cx, of(2), Some(&NewPassword::Nothing));
    assert!(matches!(
        given.flatten().unwrap().command,
        Command::Password { password: Some(NewPassword::Nothing), asks: true }
    ));
}

#[test]
fn a_message_is_found_once_and_only_behind_the_last_one_found() {
    let mut desk = Desk::default();
    ["one", "two", "three"].iter().for_each(|text| desk.message_seen(&(*text).into()));
    assert!(desk.find_message("tw"));
    assert!(!desk.find_message("one"));
    assert!(desk.find_message("three"));
    assert!(!desk.find_message("three"));
}
