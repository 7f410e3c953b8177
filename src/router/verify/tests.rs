use super::*;
use crate::router::event::Effect;

const CONN: ConnId = ConnId(1);

/// One side of a link.
struct Side {
    cx: Context,
    members: Members,
    words: Comparisons,
    value: u8,
}

impl Side {
    fn new(name: &str, byte: u8, other: u8) -> Self {
        let cx = Context::of_test(name, byte);
        let members = Members::new(&cx, crate::router::ids::RoomId([0; 32]), BTreeMap::new());
        let mut words = Comparisons::default();
        words.link_up(CONN, Context::of_test("", other).my_id, true);
        Self { cx, members, words, value: byte }
    }

    /// Draws the values that are needed; returns what is said, and what people are shown.
    fn settle(&mut self) -> (Vec<Message>, Vec<Notice>) {
        let (mut said, mut shown) = (Vec::new(), Vec::new());
        loop {
            let effects = self.cx.take_effects();
            if effects.is_empty() {
                return (said, shown);
            }
            for effect in effects {
                match effect {
                    Effect::DrawValue { conn } => {
                        self.words.value_drawn(&mut self.cx, conn, [self.value; 32]);
                    }
                    Effect::Send { message, .. } => said.push(message),
                    Effect::Notify(notice) => shown.push(notice),
                    _ => {}
                }
            }
        }
    }

    fn hears(&mut self, message: &Message, from: &Self) -> Result<(), Why> {
        match message {
            Message::VerifyCommit(commit) => self.words.committed(&mut self.cx, CONN, *commit),
            Message::VerifyNonce(value) => {
                let info = (CONN, self.members.info(&from.cx.my_id));
                return self.words.revealed(&mut self.cx, &self.members, info, *value);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Plays what both say to each other; returns the words shown to each, and whether by request.
fn play(ada: &mut Side, bo: &mut Side) -> [Vec<(String, bool)>; 2] {
    let mut shown = [Vec::new(), Vec::new()];
    let words = |notices: Vec<Notice>| {
        notices.into_iter().filter_map(|notice| match notice {
            Notice::Words { words, asked, .. } => Some((words, asked)),
            _ => None,
        })
    };
    loop {
        let (from_ada, of_ada) = ada.settle();
        let (from_bo, of_bo) = bo.settle();
        shown[0].extend(words(of_ada));
        shown[1].extend(words(of_bo));
        if from_ada.is_empty() && from_bo.is_empty() {
            return shown;
        }
        from_ada.iter().for_each(|message| bo.hears(message, ada).unwrap());
        from_bo.iter().for_each(|message| ada.hears(message, bo).unwrap());
    }
}

fn compare(side: &mut Side, with: MemberId) {
    side.words.compare(&mut side.cx, &side.members, (FaceId::TERMINAL, 1), &with);
}

#[test]
fn both_are_shown_the_same_words_whoever_begins() {
    let (mut ada, mut bo) = (Side::new("ada", 1, 2), Side::new("bo", 2, 1));
    let (a, b) = (ada.cx.my_id, bo.cx.my_id);
    compare(&mut ada, b);
    let [of_ada, of_bo] = play(&mut ada, &mut bo);
    let (words, asked) = of_ada.first().unwrap();
    assert!(!asked);
    assert_eq!(of_bo, [(words.clone(), true)]);
    // If both begin at once, there is one comparison.
    bo.cx.now = Millis(5_000);
    ada.cx.now = Millis(5_000);
    compare(&mut ada, b);
    compare(&mut bo, a);
    let [of_ada, of_bo] = play(&mut ada, &mut bo);
    assert_eq!(of_ada.len(), 1);
    assert_eq!(of_ada.first().map(|(words, _)| words), of_bo.first().map(|(words, _)| words));
}

#[test]
fn another_value_than_the_one_committed_to_ends_the_link() {
    let (mut ada, mut bo) = (Side::new("ada", 1, 2), Side::new("bo", 2, 1));
    let id = bo.cx.my_id;
    compare(&mut ada, id);
    let (commit, _) = ada.settle();
    bo.hears(&commit[0], &ada).unwrap();
    bo.settle();
    let forged = Message::VerifyNonce(Digest32([9; 32]));
    assert_eq!(bo.hears(&forged, &ada), Err(Why::Protocol));
}

#[test]
fn nobody_is_confirmed_whose_words_were_not_shown() {
    let (mut ada, mut bo) = (Side::new("ada", 1, 2), Side::new("bo", 2, 1));
    let id = bo.cx.my_id;
    let confirm = |ada: &mut Side| ada.words.confirm(&ada.members, &id);
    assert!(confirm(&mut ada).is_err());
    compare(&mut ada, id);
    play(&mut ada, &mut bo);
    assert!(confirm(&mut ada).is_ok());
    assert!(confirm(&mut ada).is_err(), "anyone under that name now");
}

#[test]
fn words_are_waited_for_ten_seconds_only() {
    let mut ada = Side::new("ada", 1, 2);
    let id = Context::of_test("", 2).my_id;
    compare(&mut ada, id);
    assert_eq!(ada.cx.timers.next(), Some(Millis(WORDS_MS)));
    ada.cx.now = Millis(WORDS_MS);
    ada.words.expire(&mut ada.cx);
    let failed = |effect: &Effect| matches!(effect, Effect::Reply { result: Err(_), .. });
    assert!(ada.cx.take_effects().iter().any(failed));
    assert_eq!(ada.cx.timers.next(), None);
}

#[test]
fn a_klatch_that_cannot_compare_is_not_asked() {
    let mut ada = Side::new("ada", 1, 2);
    let bo = Context::of_test("bo", 2).my_id;
    ada.words.link_up(CONN, bo, false);
    ada.words.compare(&mut ada.cx, &ada.members, (FaceId::TERMINAL, 1), &bo);
    match ada.cx.take_effects().as_slice() {
        [Effect::Reply { result: Err(failure), .. }] => {
            assert!(failure.text.contains("cannot compare"), "{}", failure.text);
        }
        other => panic!("{other:?}"),
    }
}
