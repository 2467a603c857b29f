//! A record of all requests in order: for inspection, for replay, and for cutting it off anywhere to see what a crash leaves.

use core::cell::{Cell, Ref, RefCell};
use core::ops::Deref;
use core::task::{Context, Poll};

use crate::io::{
    BlockDevice, Buffer, Completion, DeviceError, DeviceInfo, DeviceOffset, Operation, Permission, Request, Ticket,
};
use crate::media::check_functions::portable_xxh64;
use crate::memory::{self, Heap, NoMemory, Vec};

/// What a log keeps of the data of reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    Length,
    /// Its XXH64 (seed 0).
    Digest,
    /// A copy of written data, for replay, and the digest of read data.
    Data,
}

/// What was kept of one request's data.
#[derive(Debug)]
pub enum Content {
    /// Nothing.
    None,
    /// Its XXH64.
    Digest(u64),
    /// All of it.
    Data(Vec<u8>),
}

/// One request. Submissions and completions are events with numbers that rise by one within a log.
#[derive(Debug)]
pub struct Entry {
    /// The number its device was given, to tell several devices of one log apart.
    pub device: u16,
    /// What was asked for.
    pub operation: Operation,
    /// Bytes in the buffer.
    pub bytes: usize,
    /// The data, in the log's detail; that of a read only once it is complete.
    pub content: Content,
    /// The event of its submission.
    pub submitted: u64,
    /// The event of its completion, and how it ended.
    pub completed: Option<(u64, Result<(), DeviceError>)>,
}

/// The requests of one or more devices.
pub struct Log {
    entries: RefCell<Vec<Entry>>,
    limit: usize,
    detail: Detail,
    events: Cell<u64>,
    missed: Cell<u64>,
    /// How often the log was cleared, so that an earlier request isn't completed in a later one's entry.
    clears: Cell<u64>,
    heap: Heap,
}

impl Log {
    /// A log of at most `limit` requests.
    pub fn new(heap: Heap, limit: usize, detail: Detail) -> Self {
        Self {
            entries: RefCell::new(Vec::new_in(heap)),
            limit,
            detail,
            events: Cell::new(0),
            missed: Cell::new(0),
            clears: Cell::new(0),
            heap,
        }
    }

    /// The requests in the order of submission.
    pub fn entries(&self) -> Ref<'_, [Entry]> {
        Ref::map(self.entries.borrow(), |entries| &entries[..])
    }

    /// The number of requests that are missing from the log for want of room or memory. A log is complete when this is zero.
    pub fn missed(&self) -> u64 {
        self.missed.get()
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        self.entries.borrow_mut().clear();
        self.missed.set(0);
        self.clears.set(self.clears.get() + 1);
    }

    fn next_event(&self) -> u64 {
        let event = self.events.get();
        self.events.set(event + 1);
        event
    }

    fn record(&self, device: u16, request: &Request) -> Option<Position> {
        let submitted = self.next_event();
        match self.try_record(device, request, submitted) {
            Ok(index) => Some(Position { index, clears: self.clears.get() }),
            Err(NoMemory) => {
                self.missed.set(self.missed.get() + 1);
                None
            }
        }
    }

    fn try_record(&self, device: u16, request: &Request, submitted: u64) -> Result<usize, NoMemory> {
        let mut entries = self.entries.borrow_mut();
        let index = entries.len();
        if index >= self.limit {
            return Err(NoMemory);
        }
        let (operation, bytes) = (request.operation, request.buffer.len());
        let content = match operation {
            Operation::Write(_) => self.content_of(&request.buffer)?,
            _ => Content::None,
        };
        memory::push(&mut entries, Entry { device, operation, bytes, content, submitted, completed: None })?;
        Ok(index)
    }

    fn content_of(&self, buffer: &Buffer) -> Result<Content, NoMemory> {
        match self.detail {
            Detail::Length => Ok(Content::None),
            Detail::Digest => Ok(Content::Digest(portable_xxh64(buffer.bytes(), 0))),
            Detail::Data => {
                let mut data = Vec::new_in(self.heap);
                memory::extend(&mut data, buffer.bytes())?;
                Ok(Content::Data(data))
            }
        }
    }

    fn complete(&self, position: Option<Position>, completion: &Completion) {
        let event = self.next_event();
        let Some(position) = position.filter(|position| position.clears == self.clears.get()) else { return };
        let mut entries = self.entries.borrow_mut();
        let entry = &mut entries[position.index];
        entry.completed = Some((event, completion.result));
        let was_read = matches!(entry.operation, Operation::Read(_)) && completion.result.is_ok();
        if was_read && self.detail != Detail::Length {
            entry.content = Content::Digest(portable_xxh64(completion.buffer.bytes(), 0));
        }
    }
}

/// The position of a request's entry.
#[derive(Clone, Copy)]
struct Position {
    index: usize,
    clears: u64,
}

/// A device whose requests are recorded.
pub struct Logged<D, L> {
    device: D,
    number: u16,
    log: L,
    positions: RefCell<Vec<Option<Position>>>,
}

impl<D: BlockDevice, L: Deref<Target = Log>> Logged<D, L> {
    /// Records the requests to `device` in `log`, under `number`.
    pub fn new(heap: Heap, device: D, number: u16, log: L) -> Result<Self, NoMemory> {
        let depth = usize::from(device.info().queue_depth);
        let positions = RefCell::new(memory::filled(heap, depth, || None)?);
        Ok(Self { device, number, log, positions })
    }
}

impl<D: BlockDevice, L: Deref<Target = Log>> BlockDevice for Logged<D, L> {
    fn info(&self) -> &DeviceInfo {
        self.device.info()
    }

    fn measure(&self) -> u64 {
        self.device.measure()
    }

    fn next_content(&self, from: DeviceOffset) -> DeviceOffset {
        self.device.next_content(from)
    }

    fn permit(&self, permission: Permission) {
        self.device.permit(permission);
    }

    fn submit(&self, ticket: Ticket, request: Request) {
        self.positions.borrow_mut()[usize::from(ticket.0)] = self.log.record(self.number, &request);
        self.device.submit(ticket, request);
    }

    fn poll(&self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Completion> {
        let outcome = self.device.poll(ticket, cx);
        if let Poll::Ready(completion) = &outcome {
            let position = self.positions.borrow_mut()[usize::from(ticket.0)].take();
            self.log.complete(position, completion);
        }
        outcome
    }

    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<Result<(), DeviceError>> {
        self.device.poll_reset(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::testing::{self, HEAP, pattern};

    fn run<D: BlockDevice>(device: &D, operation: Operation, buffer: Buffer) -> Result<Buffer, DeviceError> {
        testing::complete(device, Request::new(operation, buffer))
    }

    #[test]
    fn requests_are_recorded_in_order_with_their_ends() {
        let log = Log::new(HEAP, 100, Detail::Data);
        let disk = testing::memory_disk(1 << 16);
        let device = Logged::new(HEAP, testing::memory_device(&disk), 7, &log).unwrap();
        let read = Request::new(Operation::Read(DeviceOffset(0)), pattern(512, 0));
        device.submit(Ticket(5), read);
        run(&device, Operation::Write(DeviceOffset(1024)), pattern(512, 1)).unwrap();
        run(&device, Operation::Read(DeviceOffset(1024)), pattern(512, 2)).unwrap();
        run(&device, Operation::Write(DeviceOffset(1 << 16)), pattern(512, 1)).unwrap_err();
        assert!(testing::poll_once(&device, Ticket(5)).is_ready());

        let entries = log.entries();
        let events: [_; 4] = core::array::from_fn(|index| (entries[index].submitted, entries[index].completed));
        let failed = Err(DeviceError::OutOfRange);
        let expected = [(0, Some((7, Ok(())))), (1, Some((2, Ok(())))), (3, Some((4, Ok(())))), (5, Some((6, failed)))];
        assert_eq!(events, expected);
        assert!(entries.iter().all(|entry| entry.device == 7 && entry.bytes == 512));
        let Content::Data(data) = &entries[1].content else { panic!("{:?}", entries[1]) };
        assert_eq!(&data[..], pattern(512, 1).bytes());
        assert!(matches!(entries[2].content, Content::Digest(digest) if digest == portable_xxh64(&data[..], 0)));
        assert_eq!((entries.len(), log.missed()), (4, 0));
    }

    #[test]
    fn a_full_log_says_what_it_missed_and_the_device_works_on() {
        let log = Log::new(HEAP, 2, Detail::Length);
        let disk = testing::memory_disk(1 << 16);
        let device = Logged::new(HEAP, testing::memory_device(&disk), 0, &log).unwrap();
        for _ in 0..5 {
            run(&device, Operation::Flush, Buffer::empty(HEAP)).unwrap();
        }
        assert_eq!((log.entries().len(), log.missed()), (2, 3));

        log.clear();
        device.submit(Ticket(5), Request::new(Operation::Flush, Buffer::empty(HEAP)));
        log.clear();
        run(&device, Operation::Read(DeviceOffset(0)), pattern(512, 0)).unwrap();
        let before = log.entries()[0].completed;
        assert!(testing::poll_once(&device, Ticket(5)).is_ready());
        assert_eq!(log.entries()[0].completed, before, "a request from before the log was cleared is in no entry");
        assert_eq!((log.entries().len(), log.missed()), (1, 0));
    }
}
