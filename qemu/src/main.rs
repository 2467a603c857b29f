//! The test kernel: boots by PVH in QEMU, takes over the virtio disks, does what the command line says, and ends QEMU with a
//! verdict as exit code (see [`verdict::Verdict`]).
//!
//! Everything that kernels can share is in `hammer2-kmod-shim`; this crate has only what is specific to this machine.
#![no_std]
#![no_main]
#![deny(unsafe_op_in_unsafe_fn)]

mod boot;
mod cluster;
mod descriptors;
mod interrupts;
#[cfg(not(target_os = "none"))]
mod link;
mod options;
mod platform;
mod power_cut;
mod serial;
mod slots;
mod stack;
mod start_info;
mod suite;
mod time;
mod verdict;
mod walk;

use hammer2_kmod_shim::logger::Logger;
use log::LevelFilter;

use options::{Mode, Options};
use platform::Platform;
use serial::Console;
use start_info::StartInfo;
use verdict::Verdict;

static LOGGER: Logger<Console> = Logger::new(Console);

/// The boot code ends here, on the big stack, with all memory mapped onto itself and interrupts off.
#[unsafe(no_mangle)]
extern "C" fn kernel_main(start_info: &'static StartInfo) -> ! {
    Console::start();
    LOGGER.install(LevelFilter::Info);
    descriptors::load();
    stack::arm_guard();
    verdict::exit(run(start_info))
}

fn run(start_info: &'static StartInfo) -> Verdict {
    let options = match Options::parse(start_info.command_line()) {
        Ok(options) => options,
        Err(word) => {
            println!(
                "kernel: `{word}` on the command line isn't understood; use mode=suite, walk, power-cut, power-check, \
                 cluster or cluster-check"
            );
            return Verdict::Fail;
        }
    };
    let Some(mut memory) = start_info.free_memory() else {
        println!("kernel: the loader has passed no memory map");
        return Verdict::Fail;
    };
    // SAFETY: memory that the map calls free and that neither the kernel nor the loader's tables reach into; nobody else
    // is given it.
    let memory = unsafe { memory.as_mut() };
    let platform = match Platform::start(memory) {
        Ok(platform) => platform,
        Err(error) => {
            println!("kernel: {error}; give the machine more memory");
            return Verdict::Fail;
        }
    };
    if let Some(rate) = options.console_rate {
        serial::slow_down(platform.ticks_per_second / rate);
    }
    println!("kernel: {} MiB free, {} virtio disks", platform.memory_bytes >> 20, platform.disks.len());
    match options.mode {
        Mode::Suite => suite::run(&platform),
        Mode::Walk => walk::run(&platform, &options.nodes),
        Mode::PowerCut => power_cut::work(&platform, &options),
        Mode::PowerCheck => power_cut::check(&platform, &options),
        Mode::Cluster => cluster::work(&platform, &options),
        Mode::ClusterCheck => cluster::check(&platform, &options),
    }
}
