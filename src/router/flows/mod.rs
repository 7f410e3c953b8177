//! What takes several machines: one file for each story that they have together.
//!
//! A flow asks one machine, and hands on to the next what came of it. It keeps nothing itself.

mod admitting;
mod agreeing;
mod cancelling;
mod commanding;
mod connecting;
mod departing;
mod downloading;
mod ending;
mod flushing;
mod hearing;
mod lanes;
mod membership;
mod moving;
mod offering;
mod offers;
mod outsiders;
mod presence;
mod saying;
mod showing;
mod waiting;
