//! The floor: the fastest that an encrypted and verified transfer could be on this machine.
//!
//! One connection, AES-256-GCM in records of 64 KiB, SHA-256 over chunks of 1 MiB on the receiver,
//! which decrypts in one thread, hashes and writes in another, and syncs at the end. There is no
//! handshake, no list of chunks and no second host: it is a limit, not a competitor. Sender and
//! receiver are separate processes, as two klatch programs are.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};

/// The first argument that makes this program the floor.
pub(crate) const WORD: &str = "floor";

const RECORD_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
const CHUNK_BYTES: usize = 1024 * 1024;
const RECORDS: usize = CHUNK_BYTES / RECORD_BYTES;
/// Chunks between the receiver's two threads.
const CHUNKS_AHEAD: usize = 4;

/// Transfers `source` to `out` between two processes; returns the seconds from the request to the
/// synced file.
pub(crate) fn transfer(source: &Path, out: &Path) -> Result<f64> {
    let program = std::env::current_exe()?;
    let mut receiver = Command::new(&program)
        .args([WORD, "receive"])
        .arg(out)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(receiver.stdout.take().context("the floor has no stdout")?);
    let mut line = String::new();
    said.read_line(&mut line)?;
    let began = Instant::now();
    let sent = Command::new(&program).args([WORD, "send", line.trim()]).arg(source).status()?;
    line.clear();
    said.read_line(&mut line)?;
    let seconds = began.elapsed().as_secs_f64();
    let received = receiver.wait()?;
    if !sent.success() || !received.success() {
        bail!("the floor failed");
    }
    Ok(seconds)
}

/// The floor's own command line: `receive OUT`, which prints the address to send to, and a line
/// when all is synced, or `send ADDRESS SOURCE`.
pub(crate) fn main(args: &[String]) -> Result<()> {
    match args {
        [word, out] if word == "receive" => {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            println!("{}", listener.local_addr()?);
            receive(&listener.accept()?.0, File::create(out)?)?;
            println!("done");
            Ok(())
        }
        [word, address, source] if word == "send" => {
            send(TcpStream::connect(address)?, File::open(source)?)
        }
        _ => bail!("the floor takes `receive OUT` or `send ADDRESS SOURCE`"),
    }
}

fn send(mut stream: TcpStream, mut source: File) -> Result<()> {
    let mut records = Records::new()?;
    let mut plain = vec![0; CHUNK_BYTES];
    let mut sealed = Vec::with_capacity(CHUNK_BYTES + RECORDS * TAG_BYTES);
    loop {
        let count = fill(&mut source, &mut plain)?;
        sealed.clear();
        for record in plain.get_mut(..count).unwrap_or_default().chunks_mut(RECORD_BYTES) {
            let nonce = records.nonce();
            let tag = records.key.seal_in_place_separate_tag(nonce, Aad::empty(), record);
            sealed.extend_from_slice(record);
            sealed.extend_from_slice(tag.map_err(|_| anyhow!("sealing failed"))?.as_ref());
        }
        stream.write_all(&sealed)?;
        if count < CHUNK_BYTES {
            return Ok(());
        }
    }
}

fn receive(stream: &TcpStream, out: File) -> Result<()> {
    let (chunks, to_write) = sync_channel(CHUNKS_AHEAD);
    let (used, free) = sync_channel(CHUNKS_AHEAD + 2);
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || write(&out, &to_write, &used));
        open(stream, &chunks, &free)?;
        drop(chunks);
        writing.join().map_err(|_| anyhow!("the writing thread panicked"))?
    })
}

/// Reads and opens records; hands on whole chunks.
fn open(
    mut stream: &TcpStream,
    chunks: &SyncSender<Vec<u8>>,
    free: &Receiver<Vec<u8>>,
) -> Result<()> {
    let mut records = Records::new()?;
    let mut sealed = vec![0; CHUNK_BYTES + RECORDS * TAG_BYTES];
    loop {
        let count = fill(&mut stream, &mut sealed)?;
        let mut plain = free.try_recv().unwrap_or_else(|_| Vec::with_capacity(CHUNK_BYTES));
        plain.clear();
        let whole = sealed.get_mut(..count).unwrap_or_default();
        for record in whole.chunks_mut(RECORD_BYTES + TAG_BYTES) {
            let nonce = records.nonce();
            let opened = records.key.open_in_place(nonce, Aad::empty(), record);
            plain.extend_from_slice(opened.map_err(|_| anyhow!("a record does not open"))?);
        }
        chunks.send(plain).context("the writing thread ended")?;
        if count < sealed.len() {
            return Ok(());
        }
    }
}

/// Hashes and writes chunks, then syncs.
fn write(mut out: &File, chunks: &Receiver<Vec<u8>>, used: &SyncSender<Vec<u8>>) -> Result<()> {
    for chunk in chunks {
        std::hint::black_box(digest(&SHA256, &chunk));
        out.write_all(&chunk)?;
        // A surplus buffer is dropped.
        let _ = used.try_send(chunk);
    }
    Ok(out.sync_all()?)
}

/// Fills `room`; gives less only at the end of the stream.
fn fill(from: &mut impl Read, room: &mut [u8]) -> io::Result<usize> {
    let mut count = 0;
    while let Some(rest) = room.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match from.read(rest)? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

/// A key, the same on both sides, and the number of the next record.
struct Records {
    key: LessSafeKey,
    next: u64,
}

impl Records {
    fn new() -> Result<Self> {
        let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).map_err(|_| anyhow!("no key"))?;
        Ok(Self { key: LessSafeKey::new(key), next: 0 })
    }

    fn nonce(&mut self) -> Nonce {
        let mut bytes = [0; 12];
        let (number, _) = bytes.split_at_mut(8);
        number.copy_from_slice(&self.next.to_le_bytes());
        self.next += 1;
        Nonce::assume_unique_for_key(bytes)
    }
}
