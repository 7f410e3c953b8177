//! What a host has sent of one file, and to whom, so that it can choose what to send next.
//!
//! The only host of a chunk decides who gets it first, and sends it again only if nobody can pass
//! it on: so a file leaves a lone seed about once, however many fetch it.

use std::collections::BTreeMap;

use crate::router::bitmap::Bitmap;
use crate::router::ids::MemberId;

/// A host's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picked {
    /// This chunk, which no other linked member was sent.
    Chunk(u32),
    /// Each was already sent to somebody.
    Elsewhere,
    /// None of them is held.
    Nothing,
}

/// What was sent of one file to each linked member.
#[derive(Debug)]
pub struct Sent {
    chunks: u32,
    to: BTreeMap<MemberId, Bitmap>,
    times: Vec<u16>,
    changes: u64,
}

impl Sent {
    /// For a file with this many chunks, of which nothing was sent yet.
    #[must_use]
    pub fn new(chunks: u32) -> Self {
        Self { chunks, to: BTreeMap::new(), times: Vec::new(), changes: 0 }
    }

    /// Picks the first chunk `of` those wanted that is held and was sent to nobody; it counts as
    /// sent at once.
    pub fn pick(&mut self, member: MemberId, of: &Bitmap, holds: impl Fn(u32) -> bool) -> Picked {
        if of.len() != self.chunks {
            return Picked::Nothing;
        }
        let mut held = false;
        let fresh = of.iter().find(|&chunk| {
            let holds = holds(chunk);
            held |= holds;
            holds && self.times.get(chunk as usize).is_none_or(|times| *times == 0)
        });
        if let Some(chunk) = fresh {
            self.note(member, chunk);
            return Picked::Chunk(chunk);
        }
        if !held {
            return Picked::Nothing;
        }
        // A chunk that it was sent and wants again did not arrive whole.
        let again = self.to.get(&member).map(|sent| of.iter().filter(|c| sent.has(*c)).collect());
        let again: Vec<u32> = again.unwrap_or_default();
        again.into_iter().for_each(|chunk| self.forget_chunk(&member, chunk));
        Picked::Elsewhere
    }

    /// `chunk` is being sent to `member`.
    pub fn note(&mut self, member: MemberId, chunk: u32) {
        if self.times.is_empty() {
            self.times = vec![0; self.chunks as usize];
        }
        let sent = self.to.entry(member).or_insert_with(|| Bitmap::none(self.chunks));
        if sent.insert(chunk)
            && let Some(times) = self.times.get_mut(chunk as usize)
        {
            *times = times.saturating_add(1);
            self.changes += 1;
        }
    }

    /// The chunks that some linked member was sent.
    #[must_use]
    pub fn chunks(&self) -> Bitmap {
        let mut chunks = Bitmap::none(self.chunks);
        for (chunk, _) in (0..).zip(&self.times).filter(|(_, times)| **times > 0) {
            chunks.insert(chunk);
        }
        chunks
    }

    /// Changes whenever [`Sent::chunks`] may have changed.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// `chunk` did not reach `member`.
    pub fn forget_chunk(&mut self, member: &MemberId, chunk: u32) {
        if self.to.get_mut(member).is_some_and(|sent| sent.remove(chunk))
            && let Some(times) = self.times.get_mut(chunk as usize)
        {
            *times = times.saturating_sub(1);
            self.changes += 1;
        }
    }

    /// `member` has left: it passes nothing on.
    pub fn forget(&mut self, member: &MemberId) {
        self.changes += 1;
        for chunk in self.to.remove(member).iter().flat_map(Bitmap::iter) {
            if let Some(times) = self.times.get_mut(chunk as usize) {
                *times = times.saturating_sub(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: MemberId = MemberId([1; 32]);
    const BOB: MemberId = MemberId([2; 32]);

    fn those(chunks: &[u32]) -> Bitmap {
        let mut bitmap = Bitmap::none(8);
        chunks.iter().for_each(|chunk| assert!(bitmap.insert(*chunk)));
        bitmap
    }

    #[test]
    fn everything_is_sent_once_before_anything_is_sent_twice() {
        let mut sent = Sent::new(8);
        let all = Bitmap::all(8);
        for chunk in 0..8 {
            let member = if chunk % 2 == 0 { ALICE } else { BOB };
            assert_eq!(sent.pick(member, &all, |_| true), Picked::Chunk(chunk));
        }
        assert_eq!(sent.pick(ALICE, &those(&[1, 3]), |_| true), Picked::Elsewhere);
        sent.forget(&BOB);
        assert_eq!(sent.pick(ALICE, &those(&[1, 3]), |_| true), Picked::Chunk(1));
    }

    #[test]
    fn what_did_not_arrive_is_sent_again() {
        let mut sent = Sent::new(8);
        assert_eq!(sent.pick(ALICE, &those(&[5]), |_| true), Picked::Chunk(5));
        sent.forget_chunk(&ALICE, 5);
        assert_eq!(sent.pick(BOB, &those(&[5]), |_| true), Picked::Chunk(5));
        assert_eq!(sent.pick(BOB, &those(&[5]), |_| true), Picked::Elsewhere);
        assert_eq!(sent.pick(BOB, &those(&[5]), |_| true), Picked::Chunk(5), "asked again");
    }

    #[test]
    fn only_what_is_held_is_picked() {
        let mut sent = Sent::new(8);
        assert_eq!(sent.pick(ALICE, &those(&[2, 6]), |chunk| chunk == 6), Picked::Chunk(6));
        assert_eq!(sent.pick(ALICE, &those(&[2]), |chunk| chunk == 6), Picked::Nothing);
        assert_eq!(sent.pick(ALICE, &Bitmap::all(9), |_| true), Picked::Nothing);
    }
}
