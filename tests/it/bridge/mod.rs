//! The bridge of the real program: pages over real sockets, and attackers.

mod coming_back;
mod files;
mod folders;
mod guards;
mod page;
mod tabs;
