//! The heap of the program.
//!
//! One for all threads: the allocator of Linux keeps an arena or a cache for each, which for two
//! threads a link was half of what an idle link cost; bulk data allocates nothing per record.

/// The allocator: one heap on Linux, the system's own elsewhere.
#[cfg(target_os = "linux")]
pub type Heap = dlmalloc::GlobalDlmalloc;
/// The allocator: one heap on Linux, the system's own elsewhere.
#[cfg(not(target_os = "linux"))]
pub type Heap = std::alloc::System;

/// The heap, for `#[global_allocator]`.
#[cfg(target_os = "linux")]
pub const HEAP: Heap = dlmalloc::GlobalDlmalloc;
/// The heap, for `#[global_allocator]`.
#[cfg(not(target_os = "linux"))]
pub const HEAP: Heap = std::alloc::System;
