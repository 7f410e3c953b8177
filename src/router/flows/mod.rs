//! What takes several machines: one file for each story that they have together.
//!
//! A flow asks one machine, and hands on to the next what came of it. It keeps nothing itself.

mod hearing;
mod saying;
