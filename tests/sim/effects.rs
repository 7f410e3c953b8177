//! The world as the shell of every node: it performs the router's effects.

use std::sync::Arc;

use klatch::crypto::password::Password;
use klatch::router::command::NewPassword;
use klatch::router::event::{Effect, Event};
use klatch::router::message::Message;

use crate::pipe::Parcel;
use crate::secrets::password_data;
use crate::world::{View, World};

impl World {
    /// Performs an effect as if the node's router had decided it.
    pub fn perform(&mut self, node: usize, effect: Effect) {
        match effect {
            Effect::Dial { conn, target, role } => self.dial(node, conn, target, role),
            Effect::SendHello { conn, hello, room } => self.say_hello(node, conn, hello, room),
            Effect::Proceed { conn, plan } => self.proceed(node, conn, plan),
            Effect::Judge { conn, known } => self.judged(node, conn, known),
            Effect::DrawValue { conn } => {
                let value = self.draw_bytes();
                self.done(node, 0, Event::ValueDrawn { conn, value });
            }
            Effect::Send { conn, message } => {
                self.check_said(node, conn, &message);
                if let Message::Entry(entry) = &message {
                    self.entries.entry(entry.id).or_insert_with(|| Arc::clone(entry));
                }
                if !self.nodes[node].withholds.is_some_and(|withholds| withholds(&message)) {
                    self.send(node, conn, message);
                }
            }
            Effect::Linked { conn, member } => {
                self.check_linked(node, conn, &member);
                if let Some((pipe, end)) = self.end_of(node, conn) {
                    self.pipes[pipe].ends[end].admitted = true;
                    self.pipes[pipe].linked_ms[end] = Some(self.now_ms);
                }
            }
            Effect::Refuse { conn, refusal } => {
                self.check_refusal(node, conn, &refusal);
                self.shut(node, conn, Parcel::Refused(refusal));
            }
            Effect::Close { conn } => self.close(node, conn),
            Effect::StartLane { conn, fetch, .. } => self.start_lane(node, conn, fetch),
            Effect::AskPassword { face, line, .. } => {
                self.nodes[node].asked += 1;
                let answer = self.nodes[node].answers.pop_front().flatten();
                let password = answer.map(|text| NewPassword::Set(Password::new(text).unwrap()));
                self.done(node, 700, Event::PasswordGiven { face, line, password });
            }
            Effect::Confirm { face, line, .. } => {
                self.nodes[node].asked += 1;
                let yes = self.nodes[node].agrees;
                self.done(node, 900, Event::Confirmed { face, line, yes });
            }
            Effect::PrepareLock { face, line, room, password } => {
                let data = password_data(self.draw_bytes());
                self.passwords.insert(data.hash(), password.expose().to_owned());
                let took = self.rng.between(100, 400);
                self.done(node, took, Event::LockPrepared { face, line, room, data });
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
                // The shell closes what remains; what was queued is still sent.
                self.nodes[node].exit_code = Some(exit_code);
                self.nodes[node].router = None;
                self.nodes[node].disk.crash();
                self.nodes[node].due_ms = None;
            }
            other => self.perform_file(node, other),
        }
    }
}
