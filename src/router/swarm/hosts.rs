//! The chunks that others hold, as they report them.

use super::Swarm;
use super::holders::{Holder, Hosting};
use crate::router::context::Context;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::message::{Done, Held};
use crate::router::timers::Timer;

impl Swarm {
    /// A link is up with a member that offers these files.
    pub(crate) fn link_up(
        &mut self,
        cx: &Context,
        conn: ConnId,
        member: MemberId,
        offered: impl Iterator<Item = FileId>,
    ) {
        let say = self.to_tell(offered);
        self.holders.add(conn, member, say, cx.now);
        self.changes += 1;
    }

    /// A link is gone, and so are its member's chunks and what we know of what it got.
    pub(crate) fn link_down(&mut self, cx: &mut Context, conn: ConnId) {
        cx.timers.set(Timer::SayFiles(conn), None);
        let Some(holder) = self.holders.remove(conn) else { return };
        let member = holder.member();
        self.choice.lost(&member);
        if self.lanes.get(&member).is_some_and(|lanes| lanes.fetching.is_empty()) {
            self.lanes.remove(&member);
        }
        cx.effect(Effect::ForgetServed { member });
    }

    /// All links are gone at once, and so is the room.
    pub(crate) fn drop_links(&mut self, cx: &mut Context) {
        for conn in self.holders.conns() {
            cx.timers.set(Timer::SayFiles(conn), None);
            self.holders.remove(conn);
        }
    }

    /// Hosts of a file among those present: linked members that hold some of it, and this node.
    /// A member with more files than are remembered is assumed to have what it offers.
    pub(crate) fn hosts_of(&self, file: &FileId, offers: impl Fn(MemberId) -> bool) -> usize {
        let holds = |holder: &&Holder| match holder.hosting(file) {
            Some(hosting) => hosting.holds_any(),
            None => holder.has_more() && offers(holder.member()),
        };
        let linked = self.holders.all().filter(holds).count();
        linked + usize::from(self.holds_all(file))
    }

    /// Whether some member has more files than are remembered.
    pub(crate) fn may_have_more(&self) -> bool {
        self.holders.all().any(Holder::has_more)
    }

    /// Whether a member that is here has fetched a file that is served here, or will not; `None`:
    /// it may yet.
    pub(crate) fn done_with(&self, member: &MemberId, file: &FileId) -> Option<Done> {
        self.holders.of(member)?.done_with(file)
    }

    /// How many files each linked member says it holds, and how many are remembered of a member.
    pub(crate) fn files_of_links(&self) -> (Vec<usize>, usize) {
        (self.holders.all().map(Holder::files).collect(), self.shares.files().count())
    }

    /// A member says what it holds of a file with this many chunks, if known.
    pub(crate) fn hosting(
        &mut self,
        cx: &mut Context,
        conn: ConnId,
        file: FileId,
        said: (Held, bool),
        chunks: Option<u32>,
    ) {
        // Every host of a file fetched or served here counts: their number is bounded.
        let matters = self.is_fetching(&file) || self.is_shared(&file);
        // The cost is in counting who has which chunk.
        let counted = self.choice.picker(&file).is_some();
        let Some(holder) = self.holders.get_mut(conn) else { return };
        if !matters && holder.has_no_room_for(&file, cx.limits().hosted_files_per_member) {
            self.changes += 1;
            return;
        }
        let member = holder.member();
        let noted = holder.note(file, said, chunks, (counted, cx.now));
        let Some((hosting, begins)) = noted else { return };
        self.choice.hosted(member, &file, Hosting::held(hosting));
        self.changes += 1;
        if begins && self.shares.portion(&file).is_some() {
            holder.say_hosting(file);
            cx.mark(conn);
        }
    }

    /// A file is no longer served or fetched here: it is forgotten for members that have more files
    /// than are remembered.
    pub(super) fn let_go(&mut self, cx: &Context, file: FileId) {
        let most = cx.limits().hosted_files_per_member;
        for conn in self.holders.conns() {
            if self.holders.get(conn).is_some_and(|holder| holder.is_overfull(most)) {
                self.dropped(conn, file, None);
            }
        }
    }

    /// A member has more chunks of a file.
    pub(crate) fn gained(&mut self, conn: ConnId, file: FileId, chunks: &[u32]) {
        let Some(holder) = self.holders.get_mut(conn) else { return };
        let Some(first) = holder.gained(&file, chunks) else { return };
        self.changes += u64::from(first);
        self.choice.gained(holder.member(), &file, chunks);
    }

    /// A member no longer has anything of a file.
    pub(crate) fn dropped(&mut self, conn: ConnId, file: FileId, done: Option<Done>) {
        // Only for what is served here is anybody waited for.
        let done = done.filter(|_| self.is_shared(&file));
        let Some(holder) = self.holders.get_mut(conn) else { return };
        let held = holder.dropped(&file);
        let news = done.is_some_and(|done| holder.note_done(file, done));
        self.changes += u64::from(held || news);
        let member = holder.member();
        self.choice.dropped(&member, &file);
    }

    /// A host lacks a chunk (or the list) of a file of this many chunks, unlike what it said.
    pub(super) fn not_held(
        &mut self,
        host: &MemberId,
        file: FileId,
        chunk: Option<u32>,
        chunks: u32,
    ) {
        let Some((_, holder)) = self.holders.of_mut(host) else { return };
        if holder.lacks(&file, chunk, chunks) {
            self.changes += 1;
            self.choice.lacks(host, &file, chunk);
        }
    }

    /// The round trip to a linked member.
    pub(crate) fn rtt(&mut self, member: MemberId, rtt_ms: u64) {
        self.choice.rtt(member, rtt_ms);
    }
}
