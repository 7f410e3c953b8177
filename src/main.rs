//! The program: everything is in the library.

use std::process::ExitCode;

#[global_allocator]
static HEAP: klatch::sys::heap::Heap = klatch::sys::heap::HEAP;

fn main() -> ExitCode {
    ExitCode::from(klatch::program::run(std::env::args_os()))
}
