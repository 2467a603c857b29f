//! The virtio driver against real (emulated) devices. The disks are scratch.

use core::future::poll_fn;

use hammer2_core::io::{
    BlockDevice, Buffer, Clock, Completion, DeviceError, DeviceOffset, Disk, Operation, Request, Ticket,
};
use hammer2_core::selftest::Failure;
use hammer2_kmod_shim::executor::Executor;

use super::parallel::{BufferPool, in_parallel};
use super::{Case, USED_BYTES, all_disks};
use crate::interrupts::device_interrupts;
use crate::platform::{MEMORY, Platform};
use crate::println;

pub(super) const CASES: &[Case] = &[
    Case { name: "disks: identity", run: identity },
    Case { name: "disks: patterns with the queue full", run: patterns },
    Case { name: "disks: interrupts end waits", run: interrupts },
    Case { name: "disks: flush", run: flush },
    Case { name: "disks: requests outside the disk", run: outside },
    Case { name: "disks: 200,000 small requests", run: index_wrap },
    Case { name: "disks: reset with requests in flight", run: reset },
    Case { name: "disks: sequential throughput", run: throughput },
];

/// The least number of requests a driver must keep in flight.
const LEAST_IN_FLIGHT: u16 = 64;

const CHUNK_BYTES: usize = 64 << 10;

/// A wait for one of the driver's own tickets.
async fn completion(device: impl BlockDevice, ticket: Ticket) -> Completion {
    poll_fn(|cx| device.poll(ticket, cx)).await
}

/// Fills a buffer with the pattern for `offset` of disk number `disk`.
fn fill(buffer: &mut Buffer, disk: usize, offset: u64) {
    for (index, word) in buffer.bytes_mut().chunks_exact_mut(8).enumerate() {
        word.copy_from_slice(&pattern(disk, offset + 8 * index as u64).to_le_bytes());
    }
}

fn is_filled(buffer: &Buffer, disk: usize, offset: u64) -> bool {
    let mut words = buffer.bytes().chunks_exact(8).enumerate();
    words.all(|(index, word)| *word == pattern(disk, offset + 8 * index as u64).to_le_bytes())
}

/// A number that differs from that of every other offset and disk.
fn pattern(disk: usize, offset: u64) -> u64 {
    (offset | (disk as u64) << 56).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn identity(platform: &Platform) -> Result<(), Failure> {
    let disks = all_disks(platform)?;
    for (index, disk) in disks.iter().enumerate() {
        let info = disk.info();
        println!("        {}: {} bytes, {} requests in flight", info.name, info.size_bytes, info.queue_depth);
        if info.queue_depth < LEAST_IN_FLIGHT {
            return Err(Failure::new(format_args!("{}: only {} requests in flight", info.name, info.queue_depth)));
        }
        if disks[..index].iter().any(|other| other.info().name == info.name) {
            return Err(Failure::new(format_args!("two disks are called {}", info.name)));
        }
    }
    Ok(())
}

fn patterns(platform: &Platform) -> Result<(), Failure> {
    let disks = all_disks(platform)?;
    for (index, disk) in disks.iter().enumerate() {
        let depth = disk.info().queue_depth;
        // Chunks all over the disk, up to its very end.
        let count = 3 * u64::from(depth);
        let stride = (disk.info().size_bytes - CHUNK_BYTES as u64) / (count - 1) / 512 * 512;
        let last = disk.info().size_bytes - CHUNK_BYTES as u64;
        let offset = move |number| if number == count - 1 { last } else { number * stride };
        let write = |number| async move {
            let mut buffer = Buffer::new(MEMORY, CHUNK_BYTES)?;
            fill(&mut buffer, index, offset(number));
            disk.write(DeviceOffset(offset(number)), buffer).await?;
            Ok(())
        };
        in_parallel(platform, depth, count, write)?;
        let check = |number| async move {
            let buffer = Buffer::new(MEMORY, CHUNK_BYTES)?;
            let buffer = disk.read(DeviceOffset(offset(number)), buffer).await?;
            if is_filled(&buffer, index, offset(number)) {
                return Ok(());
            }
            Err(Failure::new(format_args!("{}: wrong data at {:#x}", disk.info().name, offset(number))))
        };
        // There are more workers than tickets, so some wait for one.
        in_parallel(platform, depth + 16, count, check)?;
    }
    Ok(())
}

/// Without interrupts, the periodic tick would also find the completions, but late.
fn interrupts(platform: &Platform) -> Result<(), Failure> {
    const READS: u64 = 200;
    for disk in &all_disks(platform)? {
        let (start, before) = (platform.timer.now(), device_interrupts());
        let pool = &BufferPool::new(1, 512)?;
        in_parallel(platform, 1, READS, |number| async move {
            pool.put(disk.read(DeviceOffset(number * 512), pool.take()?).await?)
        })?;
        let microseconds = (platform.timer.now().nanoseconds - start.nanoseconds) / READS / 1000;
        let count = device_interrupts() - before;
        println!("        {}: {microseconds} us a read, {count} interrupts for {READS} reads", disk.info().name);
        // Some completions come before the wait, and are found without one.
        if count < READS / 20 {
            return Err(Failure::new(format_args!("{count} interrupts for {READS} reads one after the other")));
        }
    }
    Ok(())
}

fn flush(platform: &Platform) -> Result<(), Failure> {
    for disk in all_disks(platform)? {
        let disk = &disk;
        in_parallel(platform, 8, 32, |number| async move {
            let mut buffer = Buffer::new(MEMORY, 4096)?;
            fill(&mut buffer, 0, number);
            disk.write(DeviceOffset(number * 4096), buffer).await?;
            disk.flush().await?;
            Ok(())
        })?;
    }
    Ok(())
}

fn outside(platform: &Platform) -> Result<(), Failure> {
    let disks = all_disks(platform)?;
    let disk = &disks[0];
    let size = disk.info().size_bytes;
    let executor = Executor::new(MEMORY)?;
    for offset in [size, size - 512, u64::MAX - 511] {
        for writes in [false, true] {
            let buffer = Buffer::new(MEMORY, 4096)?;
            let offset = DeviceOffset(offset);
            let result = platform.run(&executor, async {
                if writes { disk.write(offset, buffer).await } else { disk.read(offset, buffer).await }
            });
            if !matches!(result, Err(DeviceError::OutOfRange)) {
                return Err(Failure::new(format_args!("{result:?} at {offset:?} of {size:#x} bytes")));
            }
        }
    }
    Ok(())
}

/// Makes more requests than the rings' 16-bit indices count.
fn index_wrap(platform: &Platform) -> Result<(), Failure> {
    const REQUESTS: u64 = 200_000;
    const BYTES: usize = 512;
    let disks = all_disks(platform)?;
    let disk = &disks[0];
    let pool = &BufferPool::new(disk.info().queue_depth, BYTES)?;
    in_parallel(platform, disk.info().queue_depth, REQUESTS, |number| async move {
        pool.put(disk.read(DeviceOffset(number % 1024 * BYTES as u64), pool.take()?).await?)
    })
}

fn reset(platform: &Platform) -> Result<(), Failure> {
    const ROUNDS: u64 = 20;
    const IN_FLIGHT: u16 = 48;
    let disks = all_disks(platform)?;
    let disk: &Disk = &disks[disks.len() - 1];
    let device = platform.disks[disks.len() - 1];
    let executor = Executor::new(MEMORY)?;
    let mut ended = 0;
    for round in 0..ROUNDS {
        for number in 0..IN_FLIGHT {
            let mut buffer = Buffer::new(MEMORY, CHUNK_BYTES)?;
            let offset = u64::from(number) * CHUNK_BYTES as u64;
            fill(&mut buffer, 0, offset);
            let operation = if number % 2 == 0 {
                Operation::Write(DeviceOffset(offset))
            } else {
                Operation::Read(DeviceOffset(offset))
            };
            (&device).submit(Ticket(number), Request::new(operation, buffer));
        }
        // In the even rounds the device knows of them.
        if round % 2 == 0 {
            device.turn();
        }
        platform.run(&executor, disk.reset())?;
        for number in 0..IN_FLIGHT {
            match platform.run(&executor, completion(device, Ticket(number))).result {
                Ok(()) => (),
                Err(DeviceError::Gone) => ended += 1,
                Err(error) => return Err(Failure::new(format_args!("request {number}, round {round}: {error}"))),
            }
        }
        let mut buffer = Buffer::new(MEMORY, CHUNK_BYTES)?;
        fill(&mut buffer, 1, round);
        platform.run(&executor, async {
            let buffer = disk.write(DeviceOffset(0), buffer).await?;
            disk.flush().await?;
            disk.read(DeviceOffset(0), buffer).await
        })?;
    }
    println!("        {ended} of {} requests ended by a reset", ROUNDS * u64::from(IN_FLIGHT));
    if ended == 0 { Err(Failure::new(format_args!("no request was in flight"))) } else { Ok(()) }
}

fn throughput(platform: &Platform) -> Result<(), Failure> {
    const PASSES: u64 = 2;
    const IN_FLIGHT: u16 = 16;
    let disks = all_disks(platform)?;
    let disk = &disks[0];
    let chunks = USED_BYTES / CHUNK_BYTES as u64;
    let offset = move |number| DeviceOffset(number % chunks * CHUNK_BYTES as u64);
    let pool = &BufferPool::new(IN_FLIGHT, CHUNK_BYTES)?;
    for writes in [true, false] {
        let start = platform.timer.now();
        in_parallel(platform, IN_FLIGHT, PASSES * chunks, |number| async move {
            let (at, buffer) = (offset(number), pool.take()?);
            pool.put(if writes { disk.write(at, buffer).await? } else { disk.read(at, buffer).await? })
        })?;
        let nanoseconds = (platform.timer.now().nanoseconds - start.nanoseconds).max(1);
        let megabytes_per_second = PASSES * USED_BYTES * 1000 / nanoseconds;
        let what = if writes { "write" } else { "read" };
        println!("        raw sequential {what}, 64 KiB, {IN_FLIGHT} in flight: {megabytes_per_second} MB/s");
    }
    Ok(())
}
