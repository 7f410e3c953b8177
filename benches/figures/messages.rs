//! How long a message takes: there and back between two nodes, and until a whole room has it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use klatch::router::notice::Notice;

use crate::people::Someone;
use crate::program::Program;
use crate::report::{Report, Times, ms, times};

/// Rounds in which raw TCP and klatch take turns.
const ROUNDS: usize = 8;
/// Round trips per round: altogether fewer than a node's burst.
const TRIPS: usize = 100;
/// The length of a text: a long sentence.
const TEXT_BYTES: usize = 100;
/// Roughly the size of such a message as a sealed record, with signature and parents.
const RECORD_BYTES: usize = 640;
/// What klatch may add to raw TCP, in microseconds.
const ADDED_US: f64 = 500.0;

/// Members of the room.
const ROOM: usize = 51;
/// Messages said in the room.
const SAID: usize = 15;
/// Pause between two of them, in which everybody tells everybody what it has.
const QUIET: Duration = Duration::from_millis(1_800);
/// Time until the author has every receipt, in microseconds.
const RECEIPTS_US: f64 = 20_000.0;

/// Messages whose memory is measured.
const KEPT: usize = 4_000;
/// Length of each of them in bytes.
const KEPT_TEXT_BYTES: usize = 2_000;
/// Resident memory that they may take, as a multiple of their own bytes.
const KEPT_TIMES: f64 = 1.7;

/// A text from A to B and one back, compared with as many bytes over raw TCP between two threads.
pub(crate) fn round_trip(report: &mut Report) -> Result<()> {
    let (mut alice, mut bob) = (Someone::new("alice")?, Someone::new("bob")?);
    bob.connect(alice.addr())?;
    alice.wait_members(1)?;
    bob.wait_members(1)?;
    let mut raw = RawPair::new()?;
    let (mut klatch_times, mut raw_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        raw_times.extend(raw.round_trips(TRIPS)?);
        let (times, back) = talk(alice, bob)?;
        (alice, bob) = back;
        klatch_times.extend(times);
    }
    let (klatch, raw) = (Times::new(klatch_times), Times::new(raw_times));
    let (floor, measured) = (raw.percentile_us(50), klatch.percentile_us(50));
    report.note("raw TCP round trip, p50", ms(floor));
    report.note("raw TCP round trip, p99", ms(raw.percentile_us(99)));
    report.at_most("message round trip, p50", measured, floor + ADDED_US, ms);
    report.note("message round trip, p99", ms(klatch.percentile_us(99)));
    report.note("message / raw TCP, p50", format!("{:.1} x", measured / floor));
    Ok(())
}

/// Bob, on a thread of his own, answers everything that alice says.
fn talk(mut alice: Someone, mut bob: Someone) -> Result<(Vec<Duration>, (Someone, Someone))> {
    let text = "x".repeat(TEXT_BYTES);
    let answer = text.clone();
    let answering = std::thread::spawn(move || -> Result<Someone> {
        for _ in 0..TRIPS {
            bob.hears_message()?;
            bob.say(&answer)?;
        }
        Ok(bob)
    });
    let mut times = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let began = Instant::now();
        alice.say(&text)?;
        alice.hears_message()?;
        times.push(began.elapsed());
    }
    let bob = answering.join().map_err(|_| anyhow!("bob's thread panicked"))??;
    Ok((times, (alice, bob)))
}

/// A TCP connection over loopback whose other end sends everything back.
struct RawPair(TcpStream);

impl RawPair {
    fn new() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (mut far, _) = listener.accept()?;
        near.set_nodelay(true)?;
        far.set_nodelay(true)?;
        std::thread::spawn(move || {
            let mut bytes = [0; RECORD_BYTES];
            while far.read_exact(&mut bytes).is_ok() && far.write_all(&bytes).is_ok() {}
        });
        Ok(Self(near))
    }

    fn round_trips(&mut self, count: usize) -> Result<Vec<Duration>> {
        let mut bytes = [0; RECORD_BYTES];
        let trip = |_| -> Result<Duration> {
            let began = Instant::now();
            self.0.write_all(&bytes)?;
            self.0.read_exact(&mut bytes)?;
            Ok(began.elapsed())
        };
        (0..count).map(trip).collect()
    }
}

/// The time, in a fully linked room of local nodes, from a message until its author has the receipt
/// of every member.
pub(crate) fn receipts(report: &mut Report) -> Result<()> {
    let began = Instant::now();
    let mut members = Vec::new();
    let mut author = Someone::new("author")?;
    for number in 1..ROOM {
        let mut member = Someone::new(&format!("member {number}"))?;
        member.connect(author.addr())?;
        members.push(member);
    }
    for member in members.iter_mut().chain([&mut author]) {
        member.wait_members(ROOM - 1).context("the room does not come together")?;
    }
    eprintln!("  a room of {ROOM} came together in {:.1} s", began.elapsed().as_secs_f64());
    let mut times = Vec::with_capacity(SAID);
    for _ in 0..SAID {
        std::thread::sleep(QUIET);
        members.iter_mut().for_each(Someone::catch_up);
        author.catch_up();
        let began = Instant::now();
        author.say("does everybody hear me?")?;
        author.hears(|notice| {
            matches!(notice, Notice::Held { held_by, present, .. }
                if held_by == present && *present == ROOM - 1)
        })?;
        times.push(began.elapsed());
    }
    let times = Times::new(times);
    let figure = format!("every receipt of a room of {ROOM}, median");
    report.at_most(&figure, times.percentile_us(50), RECEIPTS_US, ms);
    let figure = format!("every receipt of a room of {ROOM}, slowest");
    report.note(&figure, ms(times.percentile_us(100)));
    Ok(())
}

/// What a program keeps of a long conversation after it ends: for the member that said everything,
/// and for the one that heard it.
pub(crate) fn kept(report: &mut Report) -> Result<()> {
    let (mut alice, mut bob) = (Program::start(&[])?, Program::start(&[])?);
    let address = alice.address()?;
    bob.run(&format!("connect {address}"))?;
    // Answers to recent commands are kept as well, up to a fixed number.
    for _ in 0..KEPT {
        alice.run("limit")?;
    }
    let settle = || std::thread::sleep(Duration::from_secs(5));
    settle();
    let before = (alice.resident_bytes()?, bob.resident_bytes()?);
    let text = "x".repeat(KEPT_TEXT_BYTES - 5);
    for number in 0..KEPT {
        alice.run(&format!("say {number:05}{text}"))?;
    }
    for _ in 0..KEPT {
        bob.event("message")?;
    }
    settle();
    let bytes = (KEPT * KEPT_TEXT_BYTES) as f64;
    let said = (alice.resident_bytes()? - before.0) / bytes;
    let heard = (bob.resident_bytes()? - before.1) / bytes;
    let figure = format!("memory of {KEPT} messages of {KEPT_TEXT_BYTES} bytes");
    report.at_most(&format!("{figure}, said"), said, KEPT_TIMES, times);
    report.at_most(&format!("{figure}, heard"), heard, KEPT_TIMES, times);
    Ok(())
}
