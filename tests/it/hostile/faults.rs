//! What eve does to the system under the program: threads and memory run out.
#![cfg(target_os = "linux")]

use std::os::unix::process::CommandExt;
use std::process::Command;

use klatch::crypto::binding::Role;

use super::eve::{Eve, NOWHERE, wait_until};
use super::host::Host;
use super::program::{Program, status_of};

/// A user that owns nothing, so that a test can count its threads.
const NOBODY: u32 = 65_534;

/// Threads of all processes of a user.
fn threads_of(user: u32) -> u64 {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // A process may end while we look at it.
    let owned = ids.filter_map(|id| {
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).ok()?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        (field("Uid:")? == u64::from(user)).then(|| field("Threads:"))?
    });
    owned.sum()
}

/// Only root can switch to another user, and only another user's threads can be limited.
#[test]
fn r5_without_threads_for_strangers_members_go_on() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path(), open).unwrap();
    let binary = place.path().join("klatch");
    std::fs::copy(env!("CARGO_BIN_EXE_klatch"), &binary).unwrap();
    let most = threads_of(NOBODY) + 14;
    let mut command = Command::new("bash");
    let limited = format!("ulimit -u {most} && exec \"$0\" \"$@\"");
    command.args(["-c", &limited]).arg(&binary).uid(NOBODY).gid(NOBODY);
    let mut alice = Program::start_as(command, "alice", true);
    let mut bob = Host::new("bob");
    bob.connect(alice.addr).unwrap();

    let eve = Eve::new();
    let strangers: Vec<_> = (0..40).map(|_| eve.socket(alice.addr)).collect();
    bob.say("from bob");
    alice.reads_text("from bob");
    alice.types("from alice");
    bob.hears_text("from alice");
    // Connections that got no thread are closed.
    let mut closed = 0;
    for socket in &strangers {
        use std::io::Read;
        socket.set_nonblocking(true).unwrap();
        closed += usize::from(matches!((&*socket).read(&mut [0; 8]), Ok(0)));
    }
    assert!(closed > 10, "{closed} of {} were closed", strangers.len());
    drop(strangers);
    // The threads are free again for the next.
    let mut carol = Host::new("carol");
    wait_until("carol is let in", || carol.connect(alice.addr).is_ok());
    carol.say("from carol");
    alice.reads_text("from carol");
    let (status, _, _) = alice.quit();
    assert!(status.code().is_some(), "{status}");
}

/// From 250 addresses, each announcing the longest record and not sending it: threads and memory
/// stay bounded meanwhile, and all of it is given back.
#[test]
fn w1_1_000_lying_strangers_cost_little_and_are_gone_in_time() {
    let alice = Program::start("alice", true);
    let mut bob = Host::new("bob");
    bob.connect(alice.addr).unwrap();
    let id = alice.id();
    let (threads, memory_kb) = (status_of(id, "Threads:"), status_of(id, "VmRSS:"));
    let mut open = Vec::new();
    for number in 0..1_000 {
        let eve = Eve::at([127, 0, 1, 1 + (number % 250) as u8].into());
        let socket: std::sync::Arc<dyn klatch::net::stream::Stream> =
            std::sync::Arc::new(eve.socket(alice.addr));
        let soon = std::time::Instant::now() + super::host::SOON;
        let dialled = klatch::net::preamble::dial(&socket, alice.addr, Role::Session, soon);
        if let Ok((channel, _)) = dialled {
            channel.stream().write(&(4_096_u16 + 16).to_be_bytes()).unwrap();
            open.push(channel);
        }
        if number % 100 == 99 {
            // One thread for each connection, and one for its handshake.
            assert!(status_of(id, "Threads:") <= threads + 2 * 64);
            assert!(status_of(id, "VmRSS:") < memory_kb + 32 * 1024);
        }
    }
    assert!(open.len() >= 60, "{} were let in", open.len());
    wait_until("they are gone", || status_of(id, "Threads:") <= threads + 1);
    assert!(status_of(id, "VmRSS:") < memory_kb + 16 * 1024);
    let late = Eve::at([127, 0, 2, 1].into());
    late.dial(alice.addr, Role::Session).greet(late.hello(), &NOWHERE);
    bob.say("still here");
}
