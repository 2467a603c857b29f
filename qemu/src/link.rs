//! What the precompiled `core` of a hosted target expects from a C library and an unwinder. Bare targets bring their own.

use core::arch::asm;
use core::ffi::c_void;

/// Bytes moved by one turn of the copying and filling loops.
const BLOCK_BYTES: usize = 64;

/// # Safety
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
    let blocks = bytes / BLOCK_BYTES;
    // It uses general registers: an emulated CPU, as is usual here, takes twice as long with vector registers.
    // SAFETY: the caller's promise. In assembly, since the compiler would turn a loop into a call of this very function.
    unsafe {
        asm!(
            "test {blocks}, {blocks}",
            "jz 3f",
            "2:",
            "mov {a}, [rsi + 0]",
            "mov {b}, [rsi + 8]",
            "mov {c}, [rsi + 16]",
            "mov {d}, [rsi + 24]",
            "mov [rdi + 0], {a}",
            "mov [rdi + 8], {b}",
            "mov [rdi + 16], {c}",
            "mov [rdi + 24], {d}",
            "mov {a}, [rsi + 32]",
            "mov {b}, [rsi + 40]",
            "mov {c}, [rsi + 48]",
            "mov {d}, [rsi + 56]",
            "mov [rdi + 32], {a}",
            "mov [rdi + 40], {b}",
            "mov [rdi + 48], {c}",
            "mov [rdi + 56], {d}",
            "add rsi, 64",
            "add rdi, 64",
            "dec {blocks}",
            "jnz 2b",
            "3:",
            "mov rcx, {rest}",
            "shr rcx, 3",
            "rep movsq",
            "mov rcx, {rest}",
            "and rcx, 7",
            "rep movsb",
            blocks = inout(reg) blocks => _,
            rest = in(reg) bytes % BLOCK_BYTES,
            a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
            inout("rdi") target => _,
            inout("rsi") source => _,
            out("rcx") _,
            options(nostack)
        );
    }
    target
}

/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(target: *mut u8, source: *const u8, bytes: usize) -> *mut u8 {
    if target.addr().wrapping_sub(source.addr()) >= bytes {
        // SAFETY: the caller's promise; the target doesn't begin inside the source, so copying upwards is right.
        return unsafe { memcpy(target, source, bytes) };
    }
    // SAFETY: the caller's promise; downwards, from the last byte on.
    unsafe {
        asm!(
            "std",
            "rep movsb",
            "mov rcx, {words}",
            "sub rsi, 7",
            "sub rdi, 7",
            "rep movsq",
            "cld",
            words = in(reg) bytes / 8,
            inout("rcx") bytes % 8 => _,
            inout("rdi") target.wrapping_add(bytes).wrapping_sub(1) => _,
            inout("rsi") source.wrapping_add(bytes).wrapping_sub(1) => _,
            options(nostack)
        );
    }
    target
}

/// # Safety
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(target: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    let word = u64::from(byte as u8) * 0x0101_0101_0101_0101;
    // SAFETY: the caller's promise.
    unsafe {
        asm!(
            "test {blocks}, {blocks}",
            "jz 3f",
            "movq {wide}, rax",
            "punpcklqdq {wide}, {wide}",
            "2:",
            "movups [rdi], {wide}",
            "movups [rdi + 16], {wide}",
            "movups [rdi + 32], {wide}",
            "movups [rdi + 48], {wide}",
            "add rdi, 64",
            "dec {blocks}",
            "jnz 2b",
            "3:",
            "rep stosb",
            blocks = inout(reg) bytes / BLOCK_BYTES => _,
            wide = out(xmm_reg) _,
            inout("rcx") bytes % BLOCK_BYTES => _,
            inout("rdi") target => _,
            in("rax") word,
            options(nostack)
        );
    }
    target
}

/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    let mut at = 0;
    // SAFETY: the caller's promise: both have this many bytes.
    unsafe {
        while at + 8 <= bytes {
            let words = (left.add(at).cast::<u64>().read_unaligned(), right.add(at).cast::<u64>().read_unaligned());
            if words.0 != words.1 {
                return if words.0.swap_bytes() < words.1.swap_bytes() { -1 } else { 1 };
            }
            at += 8;
        }
        while at < bytes {
            let difference = i32::from(*left.add(at)) - i32::from(*right.add(at));
            if difference != 0 {
                return difference;
            }
            at += 1;
        }
    }
    0
}

/// # Safety
/// As C's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(left: *const u8, right: *const u8, bytes: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(left, right, bytes) }
}

/// # Safety
/// As C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(text: *const u8) -> usize {
    let mut end = text;
    // SAFETY: the caller's promise: there is a NUL byte. Volatile, so that the loop isn't turned into a call of this.
    while unsafe { end.read_volatile() } != 0 {
        end = end.wrapping_add(1);
    }
    end.addr() - text.addr()
}

#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}

#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume(_: *mut c_void) -> ! {
    // Nothing unwinds: panics abort.
    crate::verdict::exit(crate::verdict::Verdict::Crash)
}
