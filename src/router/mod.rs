//! The pure core: the room's state machine. No socket, file, thread, channel, clock or entropy.
//!
//! [`Router::handle`] takes one [`Event`] and returns all its [`Effect`]s in order. Time is an
//! argument, the seed is used only for ties and jitter, and every collection is ordered, so the
//! same seed and the same events give the same effects. Handles stay in the shell; the router knows
//! ids.

pub mod bitmap;
pub mod command;
pub mod event;
pub mod ids;
pub mod inspect;
pub mod invite_link;
pub mod layout;
pub mod links;
pub mod membership;
pub mod message;
pub mod near;
pub mod notice;
pub mod rights;
pub mod rng;
pub mod signed;
pub mod text;
pub mod time;

pub(crate) mod address;
mod admission;
mod context;
mod desk;
mod files;
mod flows;
pub(crate) mod log;
mod members;
mod order;
pub mod part;
mod quiet;
mod rate;
mod registry;
mod replies;
mod stay;
pub mod swarm;
mod timers;
pub(crate) mod tokens;
mod verify;
mod word;

use core::net::{IpAddr, SocketAddr};

use context::Context;
use event::{Config, Effect, Event};
use ids::{ConnId, MemberId};
use links::Link;
use members::Members;
use notice::Notice;
use order::{GivenCommand, Order};
use registry::Registry;
use time::Millis;
use timers::Timer;

use crate::crypto::identity::Identity;

/// The only owner of a room's state.
#[derive(Debug)]
pub struct Router {
    cx: Context,
    /// Who is a member of the room.
    registry: Registry,
    stay: stay::Stay,
    log: log::Log,
    members: Members,
    links: links::Links,
    attempts: admission::Attempts,
    guesses: admission::Guesses,
    files: files::Files,
    swarm: swarm::Swarm,
    desk: desk::Desk,
    comparisons: verify::Comparisons,
    stopping: bool,
}

impl Router {
    /// A node alone in a new open room.
    #[must_use]
    pub fn new(config: Config, me: Identity, seed: u64) -> Self {
        let cx = Context::new(config, me, seed);
        let registry = Registry::new(cx.my_id, cx.my_id, cx.config.draw.room);
        let stay = stay::Stay::new(registry.room());
        let log = log::Log::new(cx.my_id, cx.config.draw.nonce);
        let members = Members::new(&cx, stay.room(), cx.config.verified.clone());
        let files = files::Files::new(cx.my_id);
        let mut router = Self {
            cx,
            registry,
            stay,
            log,
            members,
            links: links::Links::default(),
            attempts: admission::Attempts::default(),
            guesses: admission::Guesses::default(),
            files,
            swarm: swarm::Swarm::default(),
            desk: desk::Desk::default(),
            comparisons: verify::Comparisons::default(),
            stopping: false,
        };
        let who = router.members.who(&router.cx.my_id);
        let (temporary, locked) = (router.cx.config.temporary, router.cx.config.locked);
        router.cx.notify(Notice::Started { who, temporary, locked });
        if locked {
            router.with_registry(Registry::close_at_start);
        }
        router
    }

    /// Handles one event and returns all effects that it causes, in order.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Effect> {
        self.cx.now = self.cx.now.max(now);
        if !self.stopping {
            self.dispatch(event);
            self.carry_out_orders();
            self.run_timers();
            self.carry_out_orders();
            self.end_synced_attempts();
            self.settle_members();
            self.carry_out_orders();
            self.schedule();
            self.check_waits();
            self.carry_out_orders();
            self.members.rearm(&mut self.cx);
            self.swarm.rearm(&mut self.cx);
            self.flush_links();
        }
        self.cx.take_effects()
    }

    /// When [`Event::Tick`] is due if nothing else happens.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Millis> {
        if self.stopping { None } else { self.cx.timers.next() }
    }

    /// This node's identity.
    #[must_use]
    pub fn my_id(&self) -> MemberId {
        self.cx.my_id
    }

    fn dispatch(&mut self, event: Event) {
        match event {
            Event::Tick => {}
            Event::Listening { port, addresses, tunnels } => {
                self.listening(port, addresses, &tunnels);
            }
            Event::Woke => self.links.woke(&mut self.cx),
            Event::ClockSet { wall_at_zero_ms } => self.cx.clock.set(self.cx.now, wall_at_zero_ms),
            Event::Commanded { face, rights, line, command, draw } => {
                match rights.check(&command) {
                    Ok(()) => self.commanded(GivenCommand { face, line, command, draw }),
                    Err(failure) => self.cx.reply(face, line, command.word(), Err(failure)),
                }
            }
            Event::PasswordGiven { face, line, password } => {
                self.password_given((face, line), password);
            }
            Event::OverviewWanted { face } => self.overview(face),
            Event::Confirmed { face, line, yes } => self.confirmed((face, line), yes),
            Event::LockPrepared { face, line, room, data } => {
                self.with_registry(|registry, at| {
                    registry.lock_prepared(at, (face, line), room, data);
                });
            }
            Event::LockFailed { face, line, failure } => {
                self.registry.lock_failed(&mut self.cx, (face, line), failure);
            }
            Event::DialFailed { conn, failure } => self.dial_failed(conn, failure),
            Event::ConnOpened { conn, side, role, remote } => {
                self.conn_opened(conn, side, role, remote);
            }
            Event::HelloArrived { conn, theirs, same_room } => {
                self.hello_arrived(conn, &theirs, same_room);
            }
            Event::Shown { conn, member, chain, invitation } => {
                self.shown(conn, member, chain, invitation);
            }
            Event::Welcomed { conn, member, home, invitation } => {
                self.welcomed(conn, member, &home, invitation);
            }
            Event::Identified { conn, member, outcome } => self.identified(conn, member, outcome),
            Event::ValueDrawn { conn, value } => {
                self.comparisons.value_drawn(&mut self.cx, conn, value);
            }
            Event::Said { conn, message } => self.said(conn, message),
            Event::Congested { conn } => self.links.congested(&mut self.cx, conn, true),
            Event::Drained { conn } => self.links.congested(&mut self.cx, conn, false),
            Event::ConnClosed { conn, how } => self.conn_ended(conn, how, None),
            Event::LaneOpened { conn } => self.lane_opened(conn),
            Event::HashBegan { job, path, size } => {
                self.files.hashing().began(&self.cx, job, path, size);
            }
            Event::HashProgressed { job, bytes_done } => {
                self.files.hashing().progressed(&mut self.cx, job, bytes_done);
            }
            Event::Hashed { job, result } => self.hashed(job, result),
            Event::LookedAt { face, line, path } => self.looked_at(face, line, path),
            Event::PartOpened { file, turn, result } => {
                self.swarm.part_opened(&mut self.cx, (file, turn), result);
            }
            Event::PartTried { file, turn, result } => {
                self.swarm.part_tried(&mut self.cx, (file, turn), result);
            }
            Event::LeftoversFound(leftovers) => {
                self.swarm.leftovers_found(&mut self.cx, leftovers);
            }
            Event::FolderExamined { face, line, list } => self.tell_health(face, line, list),
            Event::PartRemoved { face, line, wanted, result } => {
                self.part_removed((face, line), &wanted, result);
            }
            Event::ListFetched { file, turn, conn, result } => {
                let of = (file, turn, conn);
                self.swarm.list_fetched(&mut self.cx, of, result, &self.members);
            }
            Event::FolderListFetched { file, turn, conn, entry, result } => {
                let of = (file, turn, conn);
                self.swarm.folder_list_fetched(&mut self.cx, of, entry, result, &self.members);
            }
            Event::ManifestRead { file, turn, result } => {
                let files = &self.files;
                let is_offered = |folder: &_, summary| files.offers_as(folder, summary);
                self.swarm.manifest_read(&mut self.cx, (file, turn), result, is_offered);
            }
            Event::FolderListed { face, line, folder, result } => {
                self.folder_listed((face, line), folder, result);
            }
            Event::ChunkPicked { file, turn, conn, chunk } => {
                self.swarm.chunk_picked((file, turn), conn, chunk);
            }
            Event::ChunkUrgent { file, first, last } => {
                self.swarm.chunk_urgent(&mut self.cx, file, (first, last));
            }
            Event::ChunkCame { file, conn, chunk, bytes } => {
                self.swarm.chunk_came(&mut self.cx, (file, chunk), conn, bytes);
            }
            Event::ChunkFetched(fetched) => {
                self.swarm.chunk_fetched(&mut self.cx, fetched, &self.members);
            }
            Event::PartFinished { file, turn, result, names } => {
                self.swarm.part_finished(&mut self.cx, (file, turn), result, names);
            }
            Event::SourceChecked { file, intact, path } => {
                self.source_checked(file, intact, path.as_deref());
            }
            Event::ParkedChecked { file, intact } => self.parked_checked(file, intact),
            Event::ChunkServed { member, file, bytes } => {
                self.swarm.chunk_served(&self.cx, (member, file), bytes);
            }
        }
    }

    /// Carries out what the machines want of each other.
    fn carry_out_orders(&mut self) {
        while let Some(order) = self.cx.next_order() {
            match order {
                Order::CloseOutsiders => self.close_outsiders(),
                Order::FailDownloads(failure) => self.swarm.fail_all(&mut self.cx, &failure),
                Order::Command(given) => self.commanded(given),
                Order::LockSettled => self.run_deferred(),
                Order::Dial { conn, target, purpose } => {
                    self.links.dial(&mut self.cx, conn, target, purpose);
                }
                Order::EndConn { conn, how, refusal } => self.conn_ended(conn, how, refusal),
                Order::Agree(conn) => self.agree(conn),
                Order::DropLane(conn) => self.drop_lane(conn),
            }
        }
    }

    fn run_timers(&mut self) {
        for timer in self.cx.timers.take_due(self.cx.now) {
            match timer {
                Timer::Swarm => self.swarm.timer(&mut self.cx),
                Timer::Undo => self.files.undo_due(&mut self.cx),
                Timer::SayFiles(conn) => self.cx.mark(conn),
                Timer::Attempt(id) => self.attempt_due(id),
                Timer::Link(conn) => self.link_due(conn),
                Timer::Notices => self.cx.notify_due(),
                Timer::Guesses => self.guesses.tell(&mut self.cx),
                Timer::Repair(conn) => self.log.repair_due(&mut self.cx, conn),
                Timer::Records => self.records_due(),
                Timer::RecordsLeft(conn) => self.cx.mark(conn),
                Timer::Departure => self.look_at_departures(),
                // These are checked after each event.
                Timer::Waits => {}
                Timer::Words => self.comparisons.expire(&mut self.cx),
                Timer::Members => self.members.due(),
                Timer::Presence(conn) => self.cx.mark(conn),
                Timer::Parents => self.parents_overdue(),
                Timer::Receipts => self.log.tell_held(&mut self.cx, &self.members),
            }
        }
    }

    // Small helpers of every part.

    fn link_of(&self, member: &MemberId) -> Option<(ConnId, &Link)> {
        let conn = self.members.conn_of(member)?;
        Some((conn, self.links.link(conn)?))
    }

    fn listening(&mut self, port: u16, addresses: Vec<SocketAddr>, tunnels: &[(IpAddr, String)]) {
        self.members.listen(&mut self.cx, port, addresses);
        let addresses = self.members.own().spoken_addresses();
        let named =
            |(ip, name): &(IpAddr, String)| (SocketAddr::new(*ip, port).to_string(), name.clone());
        let tunnels = tunnels.iter().map(named).collect();
        self.cx.notify(Notice::Listening { addresses, tunnels });
    }
}
