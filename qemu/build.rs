//! Links the kernel with its own layout, for the host triple as well as for `x86_64-unknown-none`.

use std::env;
use std::path::Path;

const KERNEL: &str = "hammer2-qemu";

fn main() {
    let source = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
    let script = Path::new(&source).join("kernel.ld");
    println!("cargo:rerun-if-changed={}", script.display());
    let script = format!("-T{}", script.display());
    let bare = env::var("TARGET").is_ok_and(|target| target.ends_with("-none"));
    let linker_arguments =
        ["--no-pie", "--build-id=none", "-zmax-page-size=4096", "-znoexecstack", "--gc-sections", &script];
    if bare {
        // The linker is called directly.
        linker_arguments.iter().for_each(|argument| link_argument(argument));
        return;
    }
    // The host's compiler driver calls the linker, and would add what a hosted program needs.
    ["-nostartfiles", "-nostdlib", "-nodefaultlibs", "-static", "-no-pie"].iter().for_each(|flag| link_argument(flag));
    linker_arguments[1..].iter().for_each(|argument| link_argument(&format!("-Wl,{argument}")));
}

fn link_argument(argument: &str) {
    println!("cargo:rustc-link-arg-bin={KERNEL}={argument}");
}
