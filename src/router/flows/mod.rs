//! Flows: stories that involve several machines, one file for each.
//!
//! A flow asks one machine and passes the result to the next. It keeps no state.

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
mod looking;
mod membership;
mod moving;
mod offering;
mod offers;
mod outsiders;
mod presence;
mod saying;
mod showing;
mod waiting;
