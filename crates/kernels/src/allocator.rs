//! The program's allocator: the system's, which returns large buffers at once and ends the program with a sentence when there is no
//! memory left.
#![expect(unsafe_code, reason = "an allocator, and its settings, are the business of the C library")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write as _;

/// Allocations from this size on are mapped on their own, so that their memory is returned when they are freed. Mapping costs far
/// less than a pass over as many bytes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES: i32 = 1 << 20;

/// The system's allocator. Where it has no memory, the program ends with exit code 1 and a line on standard error; Rust's own
/// reaction would be to abort.
#[derive(Debug)]
pub struct Allocator;

impl Allocator {
    /// Makes the process take little more memory than is in use. By default, glibc keeps freed buffers of up to 32 MiB, in a pool for
    /// each thread. To be called once, before other threads start.
    pub fn keep_little() {
        #[cfg(all(target_os = "linux", target_env = "gnu"))]
        // SAFETY: `mallopt` may be called at any time; these settings take any positive number.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES);
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// What an allocation of `size` bytes gave, unless it failed.
fn checked(pointer: *mut u8, size: usize) -> *mut u8 {
    if pointer.is_null() {
        // Nobody can be told that standard error cannot be written to.
        let _ = writeln!(
            std::io::stderr(),
            "error: out of memory: {size} bytes more are not to be had; allow less with --memory, or raise the limit (ulimit -v)"
        );
        std::process::exit(1);
    }
    pointer
}

// SAFETY: every request goes to `System` unchanged, and every pointer is one of its own; `checked` never unwinds.
unsafe impl GlobalAlloc for Allocator {
    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System` too; the same below.
        checked(unsafe { System.alloc(layout) }, layout.size())
    }

    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        checked(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as in `alloc`.
        checked(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    // SAFETY: the contract is the caller's, as in `GlobalAlloc`.
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
