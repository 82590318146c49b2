//! An allocator that counts allocated memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Allocations above this size fail, and with them the process.
const LARGEST: usize = 4 << 30;

/// The system's allocator, with the current and the maximum number of allocated bytes.
pub struct Counting {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Counting {
    /// Creates an allocator with nothing allocated.
    pub const fn new() -> Self {
        Counting {
            now: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        }
    }

    /// Runs a function; returns its result and the maximum number of bytes that it allocated.
    pub fn most_during<T>(&self, run: impl FnOnce() -> T) -> (T, usize) {
        let before = self.now.load(Ordering::Relaxed);
        self.most.store(before, Ordering::Relaxed);
        let result = run();
        (
            result,
            self.most.load(Ordering::Relaxed).saturating_sub(before),
        )
    }

    fn add(&self, bytes: usize) {
        let now = self.now.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.most.fetch_max(now, Ordering::Relaxed);
    }
}

// SAFETY: every call is passed unchanged to the system's allocator; the counting does not access
// the allocated memory.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        self.add(layout.size());
        // SAFETY: ensured by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST {
            return std::ptr::null_mut();
        }
        self.add(layout.size());
        // SAFETY: ensured by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        self.now.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: ensured by the caller.
        unsafe { System.dealloc(at, layout) }
    }
}
