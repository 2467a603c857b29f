//! Memory that is handed in, counted, and can run out.
//!
//! Every allocation of the core goes through a [`Heap`]: the allocator its user hands over at mount. The heap enforces the
//! budget (see `Budget` in `hammer2-kmod-shim`), so an allocation can fail anywhere, and does in the tests. A failure is
//! [`NoMemory`]: the operation stops with nothing half done, and the next one may work.
//!
//! `alloc::vec::Vec` and `Box::new` abort when memory runs out, so the core doesn't use them.

mod hash_index;

use core::pin::Pin;

use allocator_api2::alloc::{AllocError, Allocator};

pub use hash_index::HashIndex;

/// The allocator a mount takes all its memory from. That of a program with an operating system is
/// `&allocator_api2::alloc::Global`, of the crate allocator-api2 (0.4, with the feature `alloc`), which the program names as a
/// dependency of its own.
pub type Heap = &'static (dyn Allocator + Send + Sync);

/// A vector in a [`Heap`]. Grow it with [`push`] or after `try_reserve`, never with the methods that abort.
pub type Vec<T> = allocator_api2::vec::Vec<T, Heap>;

/// A box in a [`Heap`]. Make it with `Box::try_new_in`.
pub type Box<T> = allocator_api2::boxed::Box<T, Heap>;

/// One of several owners of a value in a [`Heap`].
pub type Shared<T> = hammer2_shared::Shared<T, Heap>;

/// The budget given at mount is used up. Nothing was changed; the next operation may work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("out of memory: the budget given at mount is used up")]
pub struct NoMemory;

impl From<AllocError> for NoMemory {
    fn from(_: AllocError) -> Self {
        NoMemory
    }
}

/// Puts `value` into a box.
pub fn boxed<T>(heap: Heap, value: T) -> Result<Box<T>, NoMemory> {
    Ok(Box::try_new_in(value, heap)?)
}

/// Puts a seldom needed future into a box of its own, so that futures which may await it get no larger and need no more stack.
#[inline(never)]
pub fn aside<F: Future>(heap: Heap, make: impl FnOnce() -> F) -> Result<Pin<Box<F>>, NoMemory> {
    Ok(Box::into_pin(boxed(heap, make())?))
}

/// Awaits a future that was put [aside]; want of memory for it becomes an error like its own.
pub async fn answer_of<T, E: From<NoMemory>, F: Future<Output = Result<T, E>>>(
    heap: Heap,
    make: impl FnOnce() -> F,
) -> Result<T, E> {
    aside(heap, make)?.await
}

/// Appends `item`, growing the vector when it must.
pub fn push<T>(vec: &mut Vec<T>, item: T) -> Result<(), NoMemory> {
    vec.try_reserve(1).map_err(|_| NoMemory)?;
    vec.push(item);
    Ok(())
}

/// Appends all of `bytes`, growing the vector when it must.
pub fn extend(vec: &mut Vec<u8>, bytes: &[u8]) -> Result<(), NoMemory> {
    vec.try_reserve(bytes.len()).map_err(|_| NoMemory)?;
    append(vec, bytes);
    Ok(())
}

/// Appends all of `bytes`, for which there must be room. The vector's own method takes 17 instructions for each byte.
pub fn append(vec: &mut Vec<u8>, bytes: &[u8]) {
    let start = vec.len();
    vec.resize(start + bytes.len(), 0);
    vec[start..].copy_from_slice(bytes);
}

/// A vector of `len` zero bytes, with room for no more.
pub fn zeroed(heap: Heap, len: usize) -> Result<Vec<u8>, NoMemory> {
    padded(heap, &[], len)
}

/// A vector of `len` bytes, with room for no more, that begins with `bytes`; the rest is zero.
pub fn padded(heap: Heap, bytes: &[u8], len: usize) -> Result<Vec<u8>, NoMemory> {
    let mut vec = Vec::new_in(heap);
    vec.try_reserve_exact(len.max(bytes.len())).map_err(|_| NoMemory)?;
    append(&mut vec, bytes);
    vec.resize(len, 0);
    Ok(vec)
}

/// The free list of a table of `count` places, each as `name` makes it of its number. The lowest comes last and is taken first.
/// The list has room for all of them to come back.
pub fn free_places<T>(heap: Heap, count: usize, name: impl Fn(u32) -> T) -> Result<Vec<T>, NoMemory> {
    let mut next = count as u32;
    filled(heap, count, || {
        next -= 1;
        name(next)
    })
}

/// A vector of `len` items made by `make`, with room for no more.
pub fn filled<T>(heap: Heap, len: usize, make: impl FnMut() -> T) -> Result<Vec<T>, NoMemory> {
    let mut vec = Vec::new_in(heap);
    vec.try_reserve_exact(len).map_err(|_| NoMemory)?;
    vec.resize_with(len, make);
    Ok(vec)
}
