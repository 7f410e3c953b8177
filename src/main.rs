//! The program: everything is in the library.

use std::process::ExitCode;

/// One heap for all threads. The system's allocator keeps an arena or a cache for each, which for
/// two threads a link was half of what an idle link cost; bulk data allocates nothing per record.
#[cfg(target_os = "linux")]
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    ExitCode::from(klatch::program::run(std::env::args_os()))
}
