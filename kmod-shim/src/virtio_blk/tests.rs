//! The driver with a device that is a few pages of memory.

use super::*;
use allocator_api2::alloc::Global;
use core::cell::Cell;
use core::ptr::NonNull;
use hammer2_core::io::{DeviceName, DeviceOffset};
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::rc::Rc;
use std::vec::Vec as StdVec;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus};
use virtio_drivers::{BufferDirection, Error, PAGE_SIZE, PhysAddr};
use zerocopy::{FromBytes, Immutable, IntoBytes};

const QUEUE: usize = 16;
const SECTORS: usize = 64;
const EVERYTHING: u64 = Features::all().bits() & !Features::READ_ONLY.bits() | EVENT_IDX | INDIRECT;
const EVENT_IDX: u64 = 1 << 29;
const INDIRECT: u64 = 1 << 28;

/// Device addresses are those of the process.
struct Identity;

fn pages_layout(pages: usize) -> Layout {
    Layout::from_size_align(pages * PAGE_SIZE, PAGE_SIZE).unwrap()
}

// SAFETY: fresh, zeroed, page-aligned memory.
unsafe impl Hal for Identity {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        // SAFETY: never zero pages.
        let block = NonNull::new(unsafe { alloc_zeroed(pages_layout(pages)) }).unwrap();
        (block.as_ptr().expose_provenance() as u64, block)
    }

    unsafe fn dma_dealloc(_: PhysAddr, start: NonNull<u8>, pages: usize) -> i32 {
        // SAFETY: the caller's promise.
        unsafe { dealloc(start.as_ptr(), pages_layout(pages)) };
        0
    }

    unsafe fn mmio_phys_to_virt(_: PhysAddr, _: usize) -> NonNull<u8> {
        unreachable!("the test device has no registers in memory")
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        buffer.cast::<u8>().as_ptr().expose_provenance() as u64
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// A device in this process. It answers when the test tells it to.
struct Model {
    offered: u64,
    accepted: Cell<u64>,
    status: Cell<DeviceStatus>,
    /// A status that is read instead of the real one, if any.
    stuck: Cell<Option<DeviceStatus>>,
    doorbells: Cell<u32>,
    /// Descriptor table, available ring, used ring.
    rings: Cell<Option<[u64; 3]>>,
    seen: Cell<u16>,
    /// The status with which it answers.
    answer: Cell<u8>,
    storage: RefCell<StdVec<u8>>,
}

impl Model {
    fn new(offered: u64) -> Rc<Self> {
        Rc::new(Self {
            offered,
            accepted: Cell::default(),
            status: Cell::default(),
            stuck: Cell::default(),
            doorbells: Cell::default(),
            rings: Cell::default(),
            seen: Cell::default(),
            answer: Cell::default(),
            storage: RefCell::new(std::vec![0; SECTORS * 512]),
        })
    }

    /// Serves every request in the available ring.
    fn serve(&self) -> usize {
        let [table, available, used] = self.rings.get().unwrap();
        let mut served = 0;
        // SAFETY: addresses of the driver's live rings and of the memory they name.
        unsafe {
            while read::<u16>(available + 2) != self.seen.get() {
                let slot = u64::from(self.seen.get()) % QUEUE as u64;
                let head = read::<u16>(available + 4 + 2 * slot);
                let written = self.serve_chain(table, head);
                write(used + 4 + 8 * slot, u32::from(head));
                write(used + 8 + 8 * slot, written);
                self.seen.set(self.seen.get().wrapping_add(1));
                write(used + 2, self.seen.get());
                served += 1;
            }
        }
        served
    }

    /// # Safety
    /// `head` begins a chain of `table`.
    unsafe fn serve_chain(&self, table: u64, head: u16) -> u32 {
        let mut chain = StdVec::new();
        let mut next = Some(head);
        // SAFETY: the caller's promise.
        unsafe {
            while let Some(index) = next {
                let at = table + 16 * u64::from(index);
                let flags = read::<u16>(at + 12);
                assert_eq!(flags & 4, 0, "an indirect table");
                chain.push((read::<u64>(at), read::<u32>(at + 8) as usize, flags & 2 != 0));
                next = (flags & 1 != 0).then(|| read::<u16>(at + 14));
            }
            let (header, status) = (chain[0], chain[chain.len() - 1]);
            assert_eq!((header.1, header.2, status.1, status.2), (16, false, 1, true));
            let start = read::<u64>(header.0 + 8) as usize * 512;
            let mut storage = self.storage.borrow_mut();
            match (read::<u32>(header.0), &chain[1..chain.len() - 1]) {
                (0, [(data, bytes, true)]) => {
                    (*data as *mut u8).copy_from(storage[start..][..*bytes].as_ptr(), *bytes);
                }
                (1, [(data, bytes, false)]) => {
                    storage[start..][..*bytes].as_mut_ptr().copy_from(*data as *const u8, *bytes);
                }
                (4, []) => (),
                (11, [(range, 16, false)]) => {
                    let (first, sectors) = (read::<u64>(*range) as usize, read::<u32>(range + 8) as usize);
                    storage[first * 512..][..sectors * 512].fill(0xdd);
                }
                (13, [(range, 16, false)]) => {
                    let (first, sectors) = (read::<u64>(*range) as usize, read::<u32>(range + 8) as usize);
                    storage[first * 512..][..sectors * 512].fill(0);
                }
                (code, data) => panic!("request {code} with {data:?}"),
            }
            write(status.0, self.answer.get());
        }
        1
    }
}

/// # Safety
/// A `T` is at this address.
unsafe fn read<T: Copy>(address: u64) -> T {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::with_exposed_provenance::<T>(address as usize).read_volatile() }
}

/// # Safety
/// A `T` is at this address.
unsafe fn write<T: Copy>(address: u64, value: T) {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::with_exposed_provenance_mut::<T>(address as usize).write_volatile(value) }
}

struct Wire(Rc<Model>);

impl Transport for Wire {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        self.0.offered
    }

    fn write_driver_features(&mut self, features: u64) {
        self.0.accepted.set(features);
    }

    fn max_queue_size(&mut self, _: u16) -> u32 {
        QUEUE as u32
    }

    fn notify(&mut self, _: u16) {
        self.0.doorbells.set(self.0.doorbells.get() + 1);
    }

    fn get_status(&self) -> DeviceStatus {
        self.0.stuck.get().unwrap_or(self.0.status.get())
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.0.status.set(status);
        if status.is_empty() {
            self.0.rings.set(None);
            self.0.seen.set(0);
        }
    }

    fn set_guest_page_size(&mut self, _: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(&mut self, _: u16, size: u32, table: PhysAddr, available: PhysAddr, used: PhysAddr) {
        assert_eq!(size, QUEUE as u32);
        self.0.rings.set(Some([table, available, used]));
    }

    fn queue_unset(&mut self, _: u16) {}

    fn queue_used(&mut self, _: u16) -> bool {
        self.0.rings.get().is_some()
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::QUEUE_INTERRUPT
    }

    fn read_config_generation(&self) -> u32 {
        0
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T, Error> {
        let mut space = [0_u8; 60];
        space[0..8].copy_from_slice(&(SECTORS as u64).to_le_bytes());
        space[36..40].copy_from_slice(&4_u32.to_le_bytes());
        space[48..52].copy_from_slice(&4_u32.to_le_bytes());
        T::read_from_prefix(&space[offset..]).map(|(value, _)| value).map_err(|_| Error::ConfigSpaceTooSmall)
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, _: usize, _: T) -> Result<(), Error> {
        Err(Error::Unsupported)
    }
}

type Driver = VirtioBlk<Identity, Wire, QUEUE>;

fn driver(model: &Rc<Model>) -> Driver {
    Driver::new(&Global, Wire(model.clone()), DeviceName::new(&"model")).unwrap()
}

fn submit(driver: &Driver, ticket: u16, operation: Operation, bytes: &[u8]) {
    let mut buffer = Buffer::new(&Global, bytes.len()).unwrap();
    buffer.bytes_mut().copy_from_slice(bytes);
    (&driver).submit(Ticket(ticket), Request::new(operation, buffer));
}

fn poll(driver: &Driver, ticket: u16) -> Poll<Completion> {
    (&driver).poll(Ticket(ticket), &mut Context::from_waker(Waker::noop()))
}

fn result(driver: &Driver, ticket: u16) -> Result<(), DeviceError> {
    match poll(driver, ticket) {
        Poll::Ready(completion) => completion.result,
        Poll::Pending => panic!("ticket {ticket} is pending"),
    }
}

fn poll_reset(driver: &Driver) -> Poll<Result<(), DeviceError>> {
    (&driver).poll_reset(&mut Context::from_waker(Waker::noop()))
}

const START: DeviceOffset = DeviceOffset(0);

#[test]
fn one_doorbell_for_a_turn_and_data_both_ways() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    assert_eq!((driver.info.size_bytes, driver.info.queue_depth), (SECTORS as u64 * 512, 5));
    for ticket in 0..Driver::DEPTH as u16 {
        submit(&driver, ticket, Operation::Write(DeviceOffset(u64::from(ticket) * 512)), &[ticket as u8 + 1; 512]);
    }
    assert_eq!(model.doorbells.get(), 0);
    driver.turn();
    driver.turn();
    assert_eq!(model.doorbells.get(), 1);
    assert!(poll(&driver, 0).is_pending());
    assert_eq!(model.serve(), Driver::DEPTH);
    driver.turn();
    (0..Driver::DEPTH as u16).for_each(|ticket| assert_eq!(result(&driver, ticket), Ok(())));
    submit(&driver, 0, Operation::Read(DeviceOffset(1024)), &[0; 512]);
    submit(&driver, 1, Operation::Flush, &[]);
    assert_eq!(model.serve(), 2);
    driver.turn();
    assert_eq!(result(&driver, 1), Ok(()));
    let Poll::Ready(completion) = poll(&driver, 0) else { panic!("pending") };
    assert_eq!(completion.buffer.bytes(), [3; 512]);
}

#[test]
fn only_understood_features_are_accepted() {
    let model = Model::new(EVERYTHING);
    let _driver = driver(&model);
    assert_eq!(model.accepted.get() & (EVENT_IDX | INDIRECT), 0);
    let old = Driver::new(&Global, Wire(Model::new(EVERYTHING & !Features::VERSION_1.bits())), DeviceName::new(&"old"));
    assert_eq!(old.err(), Some(SetupError::Features));
}

#[test]
fn indices_wrap() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    for number in 0..70_000_u32 {
        let byte = number as u8;
        submit(&driver, 3, Operation::Write(START), &[byte; 512]);
        driver.turn();
        assert_eq!(model.serve(), 1);
        driver.turn();
        assert_eq!(result(&driver, 3), Ok(()));
        assert_eq!(model.storage.borrow()[0], byte);
    }
}

#[test]
fn what_the_device_need_not_see_is_answered_at_once() {
    let read_only = driver(&Model::new(Features::READ_ONLY.bits() | Features::VERSION_1.bits()));
    submit(&read_only, 0, Operation::Write(START), &[0; 512]);
    assert_eq!(result(&read_only, 0), Err(DeviceError::ReadOnly));
    submit(&read_only, 0, Operation::Flush, &[]);
    assert_eq!(result(&read_only, 0), Ok(()));

    let plain = driver(&Model::new(Features::VERSION_1.bits()));
    submit(&plain, 0, Operation::Discard { offset: START, bytes: 512 }, &[]);
    assert_eq!(result(&plain, 0), Err(DeviceError::Unsupported));
    let end = SECTORS as u64 * 512;
    for (offset, bytes, expected) in [
        (end, 512, DeviceError::OutOfRange),
        (end - 512, 1024, DeviceError::OutOfRange),
        (u64::MAX - 511, 512, DeviceError::OutOfRange),
        (1, 512, DeviceError::Unsupported),
        (0, 100, DeviceError::Unsupported),
    ] {
        submit(&plain, 0, Operation::Read(DeviceOffset(offset)), &std::vec![0; bytes]);
        assert_eq!(result(&plain, 0), Err(expected));
    }
}

#[test]
fn discards_are_cut_to_what_the_device_takes() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Discard { offset: DeviceOffset(512), bytes: 10 * 512 }, &[]);
    model.serve();
    driver.turn();
    assert_eq!(result(&driver, 0), Ok(()));
    let discarded = model.storage.borrow().iter().filter(|byte| **byte == 0xdd).count();
    assert_eq!(discarded, 4 * 512);
}

#[test]
fn zeros_are_all_of_them_or_none() {
    let model = Model::new(EVERYTHING);
    model.storage.borrow_mut().fill(7);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Zero { offset: DeviceOffset(512), bytes: 4 * 512 }, &[]);
    model.serve();
    driver.turn();
    assert_eq!(result(&driver, 0), Ok(()));
    assert!(model.storage.borrow().iter().enumerate().all(|(at, byte)| (*byte == 0) == (512..5 * 512).contains(&at)));
    submit(&driver, 0, Operation::Zero { offset: DeviceOffset(512), bytes: 5 * 512 }, &[]);
    assert_eq!(result(&driver, 0), Err(DeviceError::Unsupported), "more than the device takes");
    assert_eq!(model.serve(), 0);
}

#[test]
fn the_devices_errors_are_told_apart() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    for (answer, expected) in [(1, DeviceError::Io(1)), (2, DeviceError::Unsupported), (77, DeviceError::Io(77))] {
        model.answer.set(answer);
        submit(&driver, 0, Operation::Flush, &[]);
        model.serve();
        driver.turn();
        assert_eq!(result(&driver, 0), Err(expected));
    }
}

#[test]
fn a_reset_waits_for_the_device_and_gives_every_buffer_back() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Write(START), &[1; 512]);
    model.serve();
    driver.turn();
    submit(&driver, 1, Operation::Write(START), &[2; 512]);
    driver.turn();
    model.stuck.set(Some(DeviceStatus::DRIVER_OK));
    assert!(poll_reset(&driver).is_pending());
    assert!(poll(&driver, 1).is_pending());
    submit(&driver, 2, Operation::Flush, &[]);
    assert_eq!(result(&driver, 2), Err(DeviceError::Gone));
    model.stuck.set(None);
    assert_eq!(poll_reset(&driver), Poll::Ready(Ok(())));
    let Poll::Ready(completion) = poll(&driver, 1) else { panic!("pending") };
    assert_eq!((completion.result, completion.buffer.bytes()[0]), (Err(DeviceError::Gone), 2));
    assert_eq!(result(&driver, 0), Ok(()));
    submit(&driver, 1, Operation::Write(START), &[3; 512]);
    assert_eq!(model.serve(), 1);
    driver.turn();
    assert_eq!((result(&driver, 1), model.storage.borrow()[0]), (Ok(()), 3));
}

#[test]
fn a_device_pulled_out_ends_its_requests() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Flush, &[]);
    model.stuck.set(Some(DeviceStatus::all()));
    assert_eq!(poll_reset(&driver), Poll::Ready(Err(DeviceError::Gone)));
    assert_eq!(result(&driver, 0), Err(DeviceError::Gone));
    submit(&driver, 0, Operation::Flush, &[]);
    assert_eq!(result(&driver, 0), Err(DeviceError::Gone));
}

#[test]
fn a_device_taken_out_ends_its_requests_and_another_takes_its_place() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Flush, &[]);
    driver.turn();
    model.stuck.set(Some(DeviceStatus::ACKNOWLEDGE));
    assert!(!driver.take_out(), "it doesn't let go of its memory");
    assert!(poll(&driver, 0).is_pending());
    model.stuck.set(None);
    assert!(driver.take_out());
    assert_eq!(result(&driver, 0), Err(DeviceError::Gone));
    submit(&driver, 1, Operation::Flush, &[]);
    assert_eq!(result(&driver, 1), Err(DeviceError::Gone));
    assert_eq!(poll_reset(&driver), Poll::Ready(Err(DeviceError::Gone)), "there is nothing to reset");

    let other = Model::new(EVERYTHING & !Features::DISCARD.bits());
    assert_eq!(driver.put_back(Wire(other)), Err(SetupError::Features));
    submit(&driver, 1, Operation::Flush, &[]);
    assert_eq!(result(&driver, 1), Err(DeviceError::Gone));
    let back = Model::new(EVERYTHING);
    driver.put_back(Wire(back.clone())).unwrap();
    submit(&driver, 1, Operation::Write(DeviceOffset(512)), &[7; 512]);
    driver.turn();
    assert_eq!(back.serve(), 1);
    driver.turn();
    assert_eq!(result(&driver, 1), Ok(()));
}

#[test]
fn an_answer_to_no_request_stops_the_device_until_a_reset() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Flush, &[]);
    let [_, _, used] = model.rings.get().unwrap();
    // SAFETY: the driver's live used ring.
    unsafe {
        write(used + 4, 0xffff_u32);
        write(used + 2, 1_u16);
    }
    driver.turn();
    driver.turn();
    assert!(poll(&driver, 0).is_pending());
    assert_eq!(poll_reset(&driver), Poll::Ready(Ok(())));
    assert_eq!(result(&driver, 0), Err(DeviceError::Gone));
}

#[test]
fn a_new_owner_starts_afresh_after_a_reset() {
    let model = Model::new(EVERYTHING);
    let driver = driver(&model);
    submit(&driver, 0, Operation::Write(START), &[1; 512]);
    assert_eq!(poll_reset(&driver), Poll::Ready(Ok(())));
    submit(&driver, 0, Operation::Flush, &[]);
    assert!(poll(&driver, 0).is_pending());
    assert_eq!(model.serve(), 1);
    driver.turn();
    assert_eq!(result(&driver, 0), Ok(()));
}

#[test]
#[should_panic(expected = "is in use")]
fn a_ticket_the_device_still_has_is_not_used_again() {
    let driver = driver(&Model::new(EVERYTHING));
    submit(&driver, 0, Operation::Flush, &[]);
    submit(&driver, 0, Operation::Flush, &[]);
}

#[test]
fn dropping_a_driver_stops_its_device() {
    let model = Model::new(EVERYTHING);
    drop(driver(&model));
    assert!(model.status.get().is_empty());
    assert_eq!(Rc::strong_count(&model), 1);
}
