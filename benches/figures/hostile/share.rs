//! One hostile member, alone and with twenty puppets: how the others notice it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use klatch::router::notice::Notice;

use super::flood::{Puppet, TORRENTS, Torrent};
use crate::people::Someone;
use crate::program::{Program, name_of, text};
use crate::report::{Report, Times, mib, ms};

/// How long each kind of message is poured.
const WATCH: Duration = Duration::from_secs(4);
/// Pause between two messages of alice's.
const PAUSE: Duration = Duration::from_millis(5);
/// Puppets beside the hostile member.
const PUPPETS: usize = 20;
/// Round trip, in microseconds.
const ROUND_TRIP_US: f64 = 100_000.0;
/// Growth of a member's memory, in bytes.
const GROWTH_BYTES: f64 = 32.0 * 1024.0 * 1024.0;
/// Lines about it that a member is shown in a minute.
const LINES: f64 = 20.0;

/// Each kind of message in turn, at line rate, into a room of five.
pub(crate) fn one_hostile_member(report: &mut Report) -> Result<()> {
    for (who, puppets) in [("alone", 0), ("with 20 puppets", PUPPETS)] {
        let mut worst = [("", 0.0); 3];
        for torrent in TORRENTS {
            let felt = pour(*torrent, 1 + puppets)?;
            for (worst, felt) in worst.iter_mut().zip(felt) {
                // What could not be measured counts as the worst.
                if felt.is_nan() || felt >= worst.1 {
                    *worst = (torrent.0, felt);
                }
            }
        }
        let [(slow, trip), (large, growth), (loud, lines)] = worst;
        let figure = |what: &str, torrent: &str| format!("{who}: {what} ({torrent})");
        report.at_most(&figure("chat p99", slow), trip, ROUND_TRIP_US, ms);
        report.at_most(&figure("growth of memory", large), growth, GROWTH_BYTES, mib);
        report.at_most(&figure("lines in a minute", loud), lines, LINES, |n| format!("{n:.0}"));
    }
    Ok(())
}

/// How long alice and bob wait for each other at the 99th percentile (NaN if something was lost),
/// how much carol's memory grows, and how many lines she is shown in a minute.
fn pour(torrent: Torrent, hostile: usize) -> Result<[f64; 3]> {
    let (mut alice, mut bob) = (Someone::new("alice")?, Someone::new("bob")?);
    bob.connect(alice.addr())?;
    let address = alice.addr().to_string();
    let carol = Program::start(&["--name", "carol", "--connect", &address])?;
    let at: SocketAddr = carol.address()?.parse()?;
    carol.event("joined")?;
    let mut others = Vec::new();
    for name in ["dave", "erin"] {
        let mut other = Someone::new(name)?;
        other.connect(alice.addr())?;
        others.push(other);
    }
    alice.wait_members(4)?;
    let members = [alice.addr(), at];
    let puppets: Vec<_> =
        (0..hostile).filter_map(|n| Puppet::new(format!("eve {n}"), &members)).collect();
    ensure!(puppets.len() == hostile, "not all puppets are in the room");
    round_trip(&mut alice, &mut bob, 0)?;
    carol.catch_up();
    let before = carol.resident_bytes()?;

    let (stop, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
    let pouring: Vec<_> =
        puppets.into_iter().flat_map(|puppet| puppet.pours(torrent, &stop)).collect();
    let (mut trips, mut number, mut lost) = (Vec::new(), 0, false);
    while began.elapsed() < WATCH && !lost {
        std::thread::sleep(PAUSE);
        number += 1;
        let trip = round_trip(&mut alice, &mut bob, number);
        lost = trip.is_err();
        trips.extend(trip);
    }
    let lasted = began.elapsed().as_secs_f64();
    let shown = carol.catch_up();
    let growth = carol.resident_bytes()? - before;
    stop.store(true, Ordering::Relaxed);
    let said: u64 = pouring.into_iter().filter_map(|thread| thread.join().ok()).sum();
    // Links that have ended by now were closed, or had nothing more to say.
    let of_eve = shown.iter().filter(|event| {
        let from = text(event, "/from/name").unwrap_or_default();
        !matches!(name_of(event), "held") && !matches!(from, "alice" | "bob")
    });
    let lines = of_eve.count() as f64 * 60.0 / lasted;
    let trip_us = if lost { f64::NAN } else { Times::new(trips).percentile_us(99) };
    let (rate, trip, size) = (said as f64 / lasted, ms(trip_us), mib(growth));
    eprintln!("  {:28} {hostile:2} x: {rate:8.0}/s, {trip}, {size}, {lines:.0} lines", torrent.0);
    Ok([trip_us, growth, lines])
}

/// Alice says something, bob answers, alice hears it.
fn round_trip(alice: &mut Someone, bob: &mut Someone, number: u64) -> Result<Duration> {
    let began = Instant::now();
    for (to, answer) in [(true, format!("alice {number}")), (false, format!("bob {number}"))] {
        let (says, hears) = if to { (&mut *alice, &mut *bob) } else { (&mut *bob, &mut *alice) };
        says.say(&answer)?;
        hears.hears(
            |notice| matches!(notice, Notice::Message { text, .. } if text.raw() == answer),
        )?;
    }
    Ok(began.elapsed())
}
