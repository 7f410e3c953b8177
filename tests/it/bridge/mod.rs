//! The bridge of the real program: pages over real sockets, and those who attack it.

mod coming_back;
mod files;
mod guards;
mod page;
mod tabs;
