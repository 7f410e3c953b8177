use super::*;
use crate::router::ids::{EntryId, MemberId};
use crate::router::notice::Who;
use crate::router::text::Untrusted;

fn remark(number: usize) -> Notice {
    Notice::Remark { text: number.to_string() }
}

fn message(number: usize) -> Notice {
    Notice::Message {
        id: EntryId([0; 32]),
        from: Who { id: MemberId([0; 32]), name: Untrusted::new("alice"), verified: false },
        text: Untrusted::new(number.to_string()),
        time_ms: 0,
        own: false,
        history: false,
        order: String::new(),
        known: true,
    }
}

fn rest(reader: &mut FeedReader) -> Vec<FeedItem> {
    let next = || {
        Some(reader.next(Some(Duration::ZERO)))
            .filter(|heard| !matches!(heard, FeedItem::Nothing | FeedItem::Ended))
    };
    std::iter::from_fn(next).collect()
}

fn heard(notice: Notice) -> FeedItem {
    FeedItem::Notice(Arc::new(notice))
}

#[test]
fn readers_hear_everything_in_order_from_before_they_came() {
    let feed = Feed::new(8, usize::MAX);
    feed.push(remark(1));
    feed.push(message(2));
    let mut reader = feed.reader();
    feed.push(remark(3));
    feed.push(message(4));
    assert!(reader.position() < feed.position());
    let expected = [remark(1), message(2), remark(3), message(4)].map(heard);
    assert_eq!(rest(&mut reader), expected);
    assert_eq!(reader.position(), feed.position());
    assert_eq!(reader.next(Some(Duration::ZERO)), FeedItem::Nothing);
    feed.end();
    assert_eq!(reader.next(None), FeedItem::Ended);
}

#[test]
fn a_slow_reader_misses_remarks_and_is_told_but_no_message() {
    let feed = Feed::new(2, usize::MAX);
    let mut slow = feed.reader();
    let mut quick = feed.reader();
    for number in 0..5 {
        feed.push(remark(number));
        feed.push(message(number));
        assert_eq!(rest(&mut quick).len(), 2);
    }
    let mut expected = vec![FeedItem::Missed(3)];
    expected.extend((0..3).map(|number| heard(message(number))));
    expected.extend([remark(3), message(3), remark(4), message(4)].map(heard));
    assert_eq!(rest(&mut slow), expected);
}

#[test]
fn what_everybody_read_is_dropped() {
    let feed = Feed::new(2, usize::MAX);
    let (mut first, mut second) = (feed.reader(), feed.reader());
    (0..100).for_each(|number| feed.push(message(number)));
    rest(&mut first);
    assert_eq!(feed.shared.lock().log.items.len(), 100);
    rest(&mut second);
    assert_eq!(feed.shared.lock().log.items.len(), 0);
    feed.push(message(1));
    drop(second);
    rest(&mut first);
    assert_eq!(feed.shared.lock().log.bytes, 0);
}

#[test]
fn history_lasts_until_the_room_is_left() {
    let feed = Feed::new(0, usize::MAX);
    feed.keep_history();
    let mut first = feed.reader();
    feed.push(message(1));
    assert_eq!(rest(&mut first), [heard(message(1))]);
    assert_eq!(rest(&mut feed.reader()), [heard(message(1))]);
    feed.forget();
    feed.push(message(2));
    assert_eq!(rest(&mut first), [FeedItem::Forget, heard(message(2))]);
    assert_eq!(rest(&mut feed.reader()), [heard(message(2))]);
}

#[test]
fn a_reader_that_never_reads_costs_a_bounded_amount() {
    let feed = Feed::new(2, 10 * cost_bytes(&message(100)));
    let mut stalled = feed.reader();
    (100..125).for_each(|number| feed.push(message(number)));
    let mut expected = vec![FeedItem::Missed(15)];
    expected.extend((115..125).map(|number| heard(message(number))));
    assert_eq!(rest(&mut stalled), expected);
}

#[test]
fn a_waiting_reader_is_woken() {
    let feed = Feed::new(2, usize::MAX);
    let mut reader = feed.reader();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || reader.next(None));
        feed.push(remark(1));
        assert_eq!(waiting.join().unwrap(), heard(remark(1)));
    });
}

#[test]
fn a_reader_from_here_knows_what_was_said_and_catches_up_to_a_moment() {
    let feed = Feed::new(8, usize::MAX);
    feed.keep_history();
    let _printer = feed.reader();
    feed.push(message(1));
    feed.forget();
    feed.push(remark(2));
    feed.push(message(3));
    let mut reader = feed.reader_from_here();
    feed.push(remark(4));
    feed.push(message(5));
    let moment = feed.position();
    feed.push(message(6));
    feed.push(remark(7));
    let history = [3, 5, 6].map(|number| Arc::new(message(number)));
    assert_eq!(feed.history(), history);
    assert_eq!(reader.catch_up(moment), history[..2]);
    assert_eq!(rest(&mut reader), [message(6), remark(7)].map(heard));
}

#[test]
fn catching_up_over_the_end_of_a_room_gives_the_next_one() {
    let feed = Feed::new(8, usize::MAX);
    feed.keep_history();
    feed.push(message(1));
    let mut reader = feed.reader_from_here();
    feed.forget();
    feed.push(message(2));
    assert_eq!(reader.catch_up(feed.position()), [Arc::new(message(2))]);
}

#[test]
fn a_waiting_reader_is_woken_for_something_else() {
    let feed = Feed::new(2, usize::MAX);
    let mut reader = feed.reader();
    let other = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let other = &other;
        let is_there = || other.load(std::sync::atomic::Ordering::SeqCst);
        let waiting = scope.spawn(move || reader.next_unless(None, is_there));
        other.store(true, std::sync::atomic::Ordering::SeqCst);
        feed.wake();
        assert_eq!(waiting.join().unwrap(), FeedItem::Nothing);
    });
}
