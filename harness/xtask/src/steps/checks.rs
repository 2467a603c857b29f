//! Steps that are mostly cargo's: how the code looks, compiles, is documented; the tests of the host; what the kernel takes.

use std::fs;
use std::path::Path;

use super::context::{Context, skip};
use crate::system::command::Run;
use crate::system::words::say;
use crate::trouble::{About, Done};

/// Warnings are errors.
const STRICT: [&str; 3] = ["--", "--deny", "warnings"];

/// The kernel has nobody who unwinds.
const NO_UNWINDING: &str = "profile.dev.panic='abort'";

/// The manifests of workspaces of their own, for the sake of their dependencies or their target.
///
/// # Errors
///
/// A folder can't be read.
pub(super) fn workspaces_beside(root: &Path) -> Done<Vec<String>> {
    let mut found = Vec::new();
    for above in ["harness", "kmod-shim"] {
        for entry in fs::read_dir(root.join(above)).about(above)? {
            let name = entry.about(above)?.file_name();
            let manifest = format!("{above}/{}/Cargo.toml", name.to_string_lossy());
            let text = fs::read_to_string(root.join(&manifest)).unwrap_or_default();
            if text.lines().any(|line| line == "[workspace]") {
                found.push(manifest);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// rustfmt finds nothing to change.
pub(crate) fn format(step: &Context) -> Done {
    step.cargo(&["fmt", "--all", "--check"]).run()?;
    for manifest in workspaces_beside(step.checkout.root())? {
        step.cargo(&["fmt", "--check", "--manifest-path", &manifest]).run()?;
    }
    Ok(())
}

/// clippy finds nothing. The core and what goes into the kernel also on their own: in a build of the whole workspace, features
/// that userspace turns on hide what is missing.
pub(crate) fn lint(step: &Context) -> Done {
    let clippy = |words: &[&str]| step.cargo(&["clippy", "--quiet"]).args(words).args(STRICT).run();
    clippy(&["--workspace", "--all-targets"])?;
    clippy(&["--package", "hammer2-core", "--package", "hammer2-shared", "--package", "hammer2-kmod-shim"])?;
    clippy(&["--package", "hammer2-qemu", "--features", "kernel", "--config", NO_UNWINDING])?;
    for manifest in workspaces_beside(step.checkout.root())? {
        clippy(&["--all-targets", "--manifest-path", &manifest])?;
    }
    Ok(())
}

/// rustdoc has no warning.
pub(crate) fn docs(step: &Context) -> Done {
    let doc = |words: &[&str]| {
        step.cargo(&["doc", "--quiet", "--no-deps"]).args(words).env("RUSTDOCFLAGS", "--deny warnings").run()
    };
    doc(&["--workspace"])?;
    // As a user of the library gets it, without the feature `raw`, which others turn on in a build of everything.
    doc(&["--package", "hammer2-core"])?;
    doc(&["--package", "hammer2-qemu", "--features", "kernel", "--document-private-items", "--config", NO_UNWINDING])
}

/// Unit, integration and documentation tests.
pub(crate) fn host_tests(step: &Context) -> Done {
    step.build_all()?;
    step.cargo(&["test", "--quiet", "--workspace", "--no-fail-fast"]).run()
}

/// What threads share, in every order that loom finds. It is built with other options, and so in a place of its own; the core is
/// there because the monitor's crate has it, and does nothing.
pub(crate) fn monitor_model(step: &Context) -> Done {
    let words = ["test", "--quiet", "--release", "--package", "hammer2-kmod-shim", "--test", "monitor"];
    let mut models = step.cargo(&words);
    models.args(["--config", "profile.release.package.hammer2-core.opt-level=0"]);
    models.args(["--package", "hammer2-shared", "--test", "model"]).env("RUSTFLAGS", "--cfg loom");
    models.env("CARGO_TARGET_DIR", step.checkout.target().join("loom")).run()
}

/// The core links into a kernel without a standard library. A dependency that needs `std` would bring a second panic handler, or
/// symbols that no library is there for.
pub(crate) fn no_std(step: &Context) -> Done {
    let kernel = crate::build::kernel(&step.checkout)?;
    let bytes = fs::metadata(&kernel).about(kernel.display())?.len();
    say!("a static kernel of {bytes} bytes, linked without libraries");
    Ok(())
}

/// What operations take, counted by valgrind, is no more than it was.
pub(crate) fn instructions(step: &Context) -> Done {
    step.script("bench", &["instructions"]).run()
}

/// Every crate for others could be published as it is.
pub(crate) fn publishable(step: &Context) -> Done {
    step.script("publishable", &[]).run()
}

/// hammer2.ko in Debian's Linux 6.1; golden volumes, too, where they are.
pub(crate) fn kmod(step: &Context) -> Done {
    if !crate::system::need::is_there("apt-cache") {
        return skip("the module is built with packages of Debian");
    }
    if crate::system::command::program("apt-cache", &["show", "rustc-web"]).noted(&step.path("apt"))? != 0 {
        return skip("apt has no rustc-web (apt-get update)");
    }
    step.build_all()?;
    step.boot(&["--linux", "--kernel", "6.1"]).run()?;
    let Ok(golden) = step.golden() else { return Ok(()) };
    step.needs.program("zstd", "zstd")?;
    for name in ["p01-basic-lz4", "p25-multivol-populated"] {
        super::kernel::walked(step, &golden, name, &["--linux", "--kernel", "6.1"])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::workspaces_beside;
    use crate::checkout::Checkout;

    #[test]
    fn workspaces_of_their_own_are_found() {
        let found = workspaces_beside(Checkout::here().root()).expect("folders");
        assert_eq!(found, ["harness/bench/Cargo.toml", "harness/fuzz/Cargo.toml", "kmod-shim/linux/Cargo.toml"]);
    }
}
