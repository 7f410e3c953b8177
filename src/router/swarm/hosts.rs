//! What others hold, as they say.

use super::{BITMAPS_MAX_BYTES, Router};
use crate::files::merkle;
use crate::router::bitmap::Bitmap;
use crate::router::event::Effect;
use crate::router::ids::{ConnId, FileId, MemberId};
use crate::router::links::{Hosting, Link};
use crate::router::message::{Done, Held};
use crate::router::text::Untrusted;

/// Members named who could pass a file on.
const NAMED_MAX: usize = 4;

impl Router {
    /// Whoever offers a file is in the room, and cannot be reached from here: says so, and who
    /// could pass it on.
    pub(super) fn tell_no_way(&mut self, file: FileId) {
        let away: Vec<MemberId> = self
            .members
            .present()
            .filter(|id| self.members.conn_of(id).is_none())
            .filter(|id| self.catalogue.offers(*id, file))
            .collect();
        let Some(author) = away.first().copied() else { return };
        let between: Vec<String> = self
            .links()
            .map(|(_, link)| link.member)
            .filter(|id| self.members.reaches(id, &author))
            .take(NAMED_MAX)
            .map(|id| self.members.name_of(&id).short())
            .collect();
        let Some(download) = self.swarm.downloads.get_mut(&file) else { return };
        if std::mem::replace(&mut download.told_no_way, true) {
            return;
        }
        let name = Untrusted::new(&download.name).short();
        let author = self.members.name_of(&author).short();
        let way = match between.split_last() {
            None => "nobody here reaches you both: `doctor` says what may be wrong".to_owned(),
            Some((only, [])) => {
                format!(
                    "{only} reaches you both: once {only} has downloaded it, it comes from there"
                )
            }
            Some((last, others)) => format!(
                "{} and {last} reach you both: once one of them has downloaded it, it comes from \
                 there",
                others.join(", ")
            ),
        };
        self.cx.remark(format!(
            "{name} does not come yet: {author} offers it, and neither of you reaches the other; \
             {way}"
        ));
    }

    pub(in crate::router) fn hosting(
        &mut self,
        conn: ConnId,
        file: FileId,
        held: Held,
        fetching: bool,
    ) {
        let (most, now) = (self.cx.limits().hosted_files_per_member, self.cx.now);
        let chunks = self.catalogue.any(&file).map(|offered| merkle::chunk_count(offered.size));
        let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link_mut()) else { return };
        let known = link.hosting.get(&file);
        // Of what is fetched or served here every host counts: there is only so much of it.
        let matters = self.swarm.is_fetching(&file) || self.sharing.is_shared(&file);
        if known.is_none() && link.hosting.len() >= most && !matters {
            link.hosts_more = true;
            self.catalogue.touch();
            return;
        }
        let others = link.bitmap_bytes - known.map_or(0, bitmap_bytes);
        let held = match held {
            Held::All => None,
            Held::Some(bitmap) if chunks.is_some_and(|chunks| chunks != bitmap.len()) => return,
            Held::Some(bitmap) => Some(bitmap),
        };
        let hosting = Hosting { held, fetching };
        let bytes = others + bitmap_bytes(&hosting);
        if bytes > BITMAPS_MAX_BYTES || known == Some(&hosting) {
            return;
        }
        // Counting who has which chunk is what costs.
        let counts = hosting.held.is_some() && self.swarm.choice.picker(&file).is_some();
        let news = bitmap_bits(&hosting) + known.map_or(0, bitmap_bits);
        if counts && !link.bitmap_tokens.take(news, now) {
            return;
        }
        let wants =
            fetching && hosting.held.is_some() && !known.is_some_and(|known| known.fetching);
        link.bitmap_bytes = bytes;
        self.swarm.choice.hosted(link.member, &file, hosting.held.as_ref());
        link.hosting.insert(file, hosting);
        link.done.remove(&file);
        self.catalogue.touch();
        if wants && self.sharing.is_shared(&file) {
            self.mark_link(conn, |link| {
                link.say_hosting.insert(file);
            });
        }
    }

    /// Somebody has more files than are kept in mind of it: whether it has this one, it says when
    /// it hears that we fetch it.
    pub(super) fn ask_for_hosts(&mut self, file: FileId, size: u64) {
        let unsure = |link: &Link| link.hosts_more && !link.hosting.contains_key(&file);
        let chunks = merkle::chunk_count(size);
        if chunks == 0
            || self.sharing.is_shared(&file)
            || !self.links().any(|(_, link)| unsure(link))
        {
            return;
        }
        self.sharing.share_some(file, Bitmap::none(chunks));
        self.tell_hosting(file);
    }

    /// A file is neither served nor fetched here any more: of who has more than is kept in mind, it
    /// is kept no longer.
    pub(in crate::router) fn let_go(&mut self, file: FileId) {
        let most = self.cx.limits().hosted_files_per_member;
        let full = |link: &Link| link.hosts_more && link.hosting.len() > most;
        let conns: Vec<_> =
            self.links().filter(|(_, link)| full(link)).map(|(conn, _)| conn).collect();
        for conn in conns {
            self.dropped(conn, file, None);
        }
    }

    pub(in crate::router) fn gained(&mut self, conn: ConnId, file: FileId, chunks: &[u32]) {
        let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link_mut()) else { return };
        let member = link.member;
        let Some(held) = link.hosting.get_mut(&file).and_then(|h| h.held.as_mut()) else { return };
        if held.count() == 0 {
            self.catalogue.touch();
        }
        for chunk in chunks {
            held.insert(*chunk);
        }
        self.swarm.choice.gained(member, &file, chunks);
    }

    pub(in crate::router) fn dropped(&mut self, conn: ConnId, file: FileId, done: Option<Done>) {
        let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link_mut()) else { return };
        if let Some(hosting) = link.hosting.remove(&file) {
            link.bitmap_bytes -= bitmap_bytes(&hosting);
            self.catalogue.touch();
        }
        // Only what is served here is waited for.
        if let Some(done) = done.filter(|_| self.sharing.is_shared(&file))
            && link.done.insert(file, done) != Some(done)
        {
            self.catalogue.touch();
        }
        let member = link.member;
        self.swarm.choice.dropped(&member, &file);
    }

    /// A host lacks a chunk (or the list) of a file of so many chunks although it said otherwise;
    /// what it says next counts again.
    pub(super) fn not_held(
        &mut self,
        host: &MemberId,
        file: FileId,
        chunk: Option<u32>,
        chunks: u32,
    ) {
        let Some((conn, _)) = self.link_of(host) else { return };
        let Some(link) = self.conns.get_mut(&conn).and_then(|conn| conn.link_mut()) else { return };
        let Some(hosting) = link.hosting.get_mut(&file) else { return };
        self.catalogue.touch();
        let others = link.bitmap_bytes - bitmap_bytes(hosting);
        match chunk {
            Some(chunk) => {
                hosting.held.get_or_insert_with(|| Bitmap::all(chunks)).remove(chunk);
            }
            None => hosting.held = Some(Bitmap::none(chunks)),
        }
        link.bitmap_bytes = others + bitmap_bytes(hosting);
        self.swarm.choice.lacks(host, &file, chunk);
    }

    /// A link is gone, and with it what its member has and what we know of what it got.
    pub(in crate::router) fn host_lost(&mut self, member: MemberId) {
        self.swarm.choice.lost(&member);
        if self.swarm.lanes.get(&member).is_some_and(|lanes| lanes.fetching.is_empty()) {
            self.swarm.lanes.remove(&member);
        }
        self.cx.effect(Effect::ForgetServed { member });
    }

    /// A member needs a chunk from us no more.
    pub(in crate::router) fn unwanted(&mut self, id: ConnId, file: FileId, chunk: u32) {
        if let Some(member) = self.member_of(id) {
            self.cx.effect(Effect::Spare { member, file, chunk });
        }
    }
}

/// What taking note of it costs, in chunks of a bitmap.
fn bitmap_bits(hosting: &Hosting) -> u64 {
    hosting.held.as_ref().map_or(0, |held| u64::from(held.len()))
}

/// What remembering it costs, in bytes of bitmap.
fn bitmap_bytes(hosting: &Hosting) -> usize {
    bitmap_bits(hosting).div_ceil(8) as usize
}
