//! What happens in a swarm, in order of time.

use std::cmp::Ordering;
use std::rc::Rc;

use klatch::router::bitmap::Bitmap;
use klatch::router::event::Want;

#[derive(Debug)]
pub enum Answer {
    Picked { chunk: u32 },
    Came { chunk: u32, bytes: f64 },
    Chunk { chunk: u32, bytes: f64 },
    Broken { chunk: u32, bytes: f64 },
    Busy { chunk: Option<u32> },
    NotHeld { chunk: Option<u32> },
    Elsewhere,
}

#[derive(Debug)]
pub enum Event {
    Wake { node: usize },
    Tick,
    Scan,
    Asked { lane: usize, want: Want },
    Sent { flow: usize, lane: usize },
    Answer { lane: usize, answer: Answer },
    Say { node: usize },
    Gained { to: usize, from: usize, chunks: Rc<[u32]> },
    Hosting { to: usize, from: usize, held: Option<Rc<Bitmap>> },
    Spare { host: usize, fetcher: usize, chunk: u32 },
    HungUp { lane: usize },
    Dial { fetcher: usize, host: usize },
    Dialled { fetcher: usize, host: usize },
    Start { node: usize },
    Leave { node: usize },
    Vanish { node: usize },
    Gone { node: usize },
}

/// When something happens, its number among all events, and what it is.
pub struct Timed(pub u64, pub u64, pub Event);

impl Ord for Timed {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Eq for Timed {}
impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}
