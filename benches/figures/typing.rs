//! How soon a key is echoed while messages pour in.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use portable_pty::{Child, CommandBuilder, PtySize, native_pty_system};

use crate::people::Someone;
use crate::program::program;
use crate::report::{Report, Times, ms};

/// Messages that pour in.
const MESSAGES: usize = 10_000;
/// Keys typed meanwhile.
const KEYS: u32 = 200;
/// Pause between two keys.
const PAUSE: Duration = Duration::from_millis(10);
/// From key to echo, at the 99th percentile, in microseconds.
const ECHO_US: f64 = 50_000.0;
/// Nothing here takes this long unless something is wrong.
const SOON: Duration = Duration::from_secs(60);

/// A klatch on a terminal that receives 10,000 messages while somebody types.
pub(crate) fn echo(report: &mut Report) -> Result<()> {
    let mut terminal = Terminal::start()?;
    let address = terminal.address()?;
    let mut bob = Someone::new("bob")?;
    bob.connect(address.parse()?)?;
    let (times, poured) = std::thread::scope(|scope| -> Result<_> {
        let talker = &mut bob;
        let pouring = scope.spawn(move || -> Result<Duration> {
            let began = Instant::now();
            for number in 0..MESSAGES {
                talker.say(&format!("message {number} of many"))?;
            }
            Ok(began.elapsed())
        });
        terminal.wait("message 0 of many")?;
        let mut times = Vec::new();
        // Each key is a character that is not on the screen yet.
        for key in (0..KEYS).filter_map(|number| char::from_u32(0x4e00 + number)) {
            // So that the keys are spread over the burst.
            std::thread::sleep(PAUSE);
            let began = Instant::now();
            terminal.keys.write_all(key.to_string().as_bytes())?;
            terminal.wait(&key.to_string())?;
            times.push(began.elapsed());
        }
        let poured = pouring.join().map_err(|_| anyhow::anyhow!("bob panicked"))??;
        Ok((times, poured))
    })?;
    let times = Times::new(times);
    report.at_most("echo of a key in a burst, p99", times.percentile_us(99), ECHO_US, ms);
    report.note("echo of a key in a burst, p50", ms(times.percentile_us(50)));
    report.note("saying the 10,000 messages", format!("{:.2} s", poured.as_secs_f64()));
    Ok(())
}

struct Terminal {
    child: Box<dyn Child + Send + Sync>,
    keys: Box<dyn Write + Send>,
    output: Receiver<Vec<u8>>,
    /// What was written since the last wait.
    written: Vec<u8>,
    _master: Box<dyn portable_pty::MasterPty + Send>,
}

impl Terminal {
    fn start() -> Result<Self> {
        let size = PtySize { rows: 50, cols: 120, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size)?;
        let mut command = CommandBuilder::new(program());
        command.args(["--ui", "terminal", "--ephemeral", "--name", "ana"]);
        command.args(["--listen", "127.0.0.1:0"]);
        command.env_remove("NO_COLOR");
        command.env("TERM", "xterm-256color");
        let child = pair.slave.spawn_command(command)?;
        let mut reader = pair.master.try_clone_reader()?;
        let keys = pair.master.take_writer()?;
        let (send, output) = sync_channel(1_024);
        std::thread::spawn(move || {
            let mut bytes = [0; 65_536];
            while let Ok(length) = reader.read(&mut bytes) {
                let Some(read) = bytes.get(..length).filter(|read| !read.is_empty()) else {
                    return;
                };
                if send.send(read.to_vec()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, keys, output, written: Vec::new(), _master: pair.master })
    }

    /// Waits until this is written, and forgets everything before it.
    fn wait(&mut self, text: &str) -> Result<String> {
        let deadline = Instant::now() + SOON;
        let mut from = 0;
        loop {
            let unseen = self.written.get(from..).unwrap_or_default();
            let found = unseen.windows(text.len()).position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let seen: Vec<u8> = self.written.drain(..from + at + text.len()).collect();
                return Ok(String::from_utf8_lossy(&seen).into_owned());
            }
            from = self.written.len().saturating_sub(text.len());
            let left = deadline.saturating_duration_since(Instant::now());
            match self.output.recv_timeout(left) {
                Ok(bytes) => self.written.extend(bytes),
                Err(_) => bail!("the terminal does not show {text:?}"),
            }
        }
    }

    fn address(&mut self) -> Result<String> {
        let seen = self.wait("type a message, or help")?;
        let (_, rest) = seen.rsplit_once("connect ").context("no address is shown")?;
        let line = rest.lines().next().unwrap_or_default();
        let line = line.split('\x1b').next().unwrap_or_default();
        Ok(line.trim().replace(' ', ":"))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
