//! The program's heap.
//!
//! One heap for all threads: Linux's allocator keeps an arena or a cache per thread, which, with
//! two threads per link, was half the cost of an idle link. Bulk data allocates nothing per record.

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
