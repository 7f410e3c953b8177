//! The world as the shell of every node: it performs the router's effects.

use klatch::crypto::password::Password;
use klatch::crypto::room_key::RoomKey;
use klatch::router::event::{Effect, Event, Plan};
use klatch::router::message::Message;

use crate::pipe::Parcel;
use crate::world::{View, World, lock};

impl World {
    /// Performs an effect as if the node's router had decided it.
    pub fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Dial { conn, target, role } => self.dial(node, conn, target, role),
            Effect::SendHello { conn, hello, room } => self.say_hello(node, conn, hello, room),
            Effect::Proceed { conn, plan } => {
                if let Plan::Prove { keys, .. } = &plan {
                    let keys = keys.iter().map(|(mark, key)| (mark.hash, key.clone()));
                    self.records.extend(keys);
                }
                if let Plan::Grant { record, .. } = &plan {
                    self.records.insert(record.hash, record.body.key.clone());
                }
                self.proceed(node, conn, plan);
            }
            Effect::Send { conn, message } => {
                if let Message::Record(record) = &message {
                    self.records.insert(record.hash, record.body.key.clone());
                }
                if let Message::Entry(entry) = &message {
                    self.entries.entry(entry.id).or_insert_with(|| entry.clone());
                }
                if !self.nodes[node].withholds.is_some_and(|withholds| withholds(&message)) {
                    self.send(node, conn, message);
                }
            }
            Effect::Linked { conn, .. } => {
                if let Some((pipe, end)) = self.end_of(node, conn) {
                    self.pipes[pipe].ends[end].admitted = true;
                }
            }
            Effect::Refuse { conn, refusal } => {
                self.shut(node, conn, Parcel::Refused(refusal));
            }
            Effect::Close { conn } => self.close(node, conn),
            Effect::StartLane { conn, fetch, .. } => self.start_lane(node, conn, fetch),
            Effect::AskPassword { face, line, .. } => {
                let answer = self.nodes[node].answers.pop_front().flatten();
                let password = answer.map(|text| Password::new(text).unwrap());
                self.done(node, 700, Event::PasswordGiven { face, line, password });
            }
            Effect::PrepareLock { face, line, room, password } => {
                let key = RoomKey::from_bytes(self.draw_bytes());
                self.passwords.insert(*key.as_bytes(), password.expose().to_owned());
                let took = self.rng.between(100, 400);
                let lock = lock();
                self.done(node, took, Event::LockPrepared { face, line, room, lock, key });
            }
            Effect::Notify(notice) | Effect::Tell { notice, .. } => self.noticed(node, notice),
            Effect::Reply { line, command, result, .. } => {
                let before = self.nodes[node].replies.insert(line, (command, result));
                assert!(
                    before.is_none(),
                    "line {line} of {} answered twice",
                    self.nodes[node].name
                );
            }
            Effect::Forget => self.nodes[node].view = View::default(),
            Effect::Stop { exit_code } => {
                // The shell closes what is left; what was queued is still sent.
                self.nodes[node].exit_code = Some(exit_code);
                self.nodes[node].router = None;
                self.nodes[node].disk.crash();
                self.nodes[node].due_ms = None;
            }
            other => self.perform_file(node, other),
        }
    }
}
