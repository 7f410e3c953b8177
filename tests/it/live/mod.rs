//! People at terminals: real programs on real pseudo-terminals.

mod burst;
mod hostile;
mod talk;
mod typing;
