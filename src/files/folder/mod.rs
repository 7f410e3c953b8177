//! Folders: one offer for a tree of files, of which each can be checked by itself.
//!
//! [`manifest`] lists the files, [`units`] says in which pieces they are fetched, [`paths`] under
//! which names they lie here; all three are pure, and alike on every system. [`scan`] reads a
//! folder that is to be sent, [`chain`] opens what is in one, and [`staging`] builds one that is
//! received.
//! Nothing outside the folder is ever read or written: no link is followed inside it.

pub mod chain;
pub mod listing;
pub mod manifest;
pub mod marker;
pub mod memory;
pub mod paths;
pub mod scan;
pub mod select;
pub mod served;
pub mod staging;
pub mod units;
