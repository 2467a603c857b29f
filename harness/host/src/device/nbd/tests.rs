//! Exports of a server inside the test.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use allocator_api2::alloc::Global;
use hammer2_core::io::{Buffer, DeviceOffset, Disk, DiskOptions, Duration, PAGE_BYTES, boxed_device};
use hammer2_core::memory::Heap;

use super::*;
use crate::clock::HostClock;
use crate::executor::Executor;

const HEAP: Heap = &Global;
const EXPORT_BYTES: u64 = 1 << 20;

const HAS_FLAGS: u16 = 1;
const READ_ONLY: u16 = 1 << 1;
const SEND_FLUSH: u16 = 1 << 2;
const SEND_TRIM: u16 = 1 << 5;
const SEND_WRITE_ZEROES: u16 = 1 << 6;
const MULTI_CONN: u16 = 1 << 8;

/// How the server treats requests.
#[derive(Default)]
enum Mood {
    #[default]
    Good,
    /// The next write fails.
    Failing,
    /// The next write waits for the test twice.
    Hanging(Arc<Barrier>),
    /// From the next reply on, it sends a byte now and then.
    Dripping,
}

/// The state that all connections share.
#[derive(Default)]
struct Shared {
    bytes: Mutex<Vec<u8>>,
    mood: Mutex<Mood>,
    connections: Mutex<Vec<TcpStream>>,
}

/// The content of the export as one connection sees it.
struct Content {
    shared: Arc<Shared>,
    position: u64,
}

impl Content {
    fn at<T>(&mut self, work: impl FnOnce(&mut Cursor<&mut Vec<u8>>) -> io::Result<T>) -> io::Result<T> {
        let mut bytes = self.shared.bytes.lock().unwrap();
        let mut cursor = Cursor::new(&mut *bytes);
        cursor.set_position(self.position);
        let outcome = work(&mut cursor);
        self.position = cursor.position();
        outcome
    }
}

impl Read for Content {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.at(|cursor| cursor.read(bytes))
    }
}

impl Write for Content {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mood = std::mem::take(&mut *self.shared.mood.lock().unwrap());
        match mood {
            Mood::Good => {}
            Mood::Dripping => *self.shared.mood.lock().unwrap() = Mood::Dripping,
            Mood::Failing => return Err(io::Error::from_raw_os_error(28)),
            Mood::Hanging(barrier) => {
                barrier.wait();
                barrier.wait();
            }
        }
        self.at(|cursor| cursor.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Content {
    fn seek(&mut self, from: SeekFrom) -> io::Result<u64> {
        self.at(|cursor| cursor.seek(from))
    }
}

/// A connection as the server uses it.
struct Reply {
    socket: TcpStream,
    shared: Arc<Shared>,
}

impl Read for Reply {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.socket.read(bytes)
    }
}

impl Write for Reply {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let drips = matches!(*self.shared.mood.lock().unwrap(), Mood::Dripping);
        if !drips {
            return self.socket.write(bytes);
        }
        thread::sleep(Duration::from_millis(50));
        self.socket.write(&bytes[..1])
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

/// A server that ends with the test's process.
struct Server {
    port: u16,
    shared: Arc<Shared>,
}

impl Server {
    fn start(flags: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let shared = Arc::new(Shared { bytes: Mutex::new(vec![0; EXPORT_BYTES as usize]), ..Shared::default() });
        let server = Self { port: listener.local_addr().unwrap().port(), shared: shared.clone() };
        thread::spawn(move || {
            for socket in listener.incoming() {
                let (mut socket, shared) = (socket.unwrap(), shared.clone());
                shared.connections.lock().unwrap().push(socket.try_clone().unwrap());
                thread::spawn(move || {
                    let end = socket.try_clone().unwrap();
                    if greet(&mut socket, flags).is_ok() {
                        let reply = Reply { socket, shared: shared.clone() };
                        let _ = nbd::server::transmission(reply, Content { shared, position: 0 });
                    }
                    // The list has another handle of the socket.
                    let _ = end.shutdown(Shutdown::Both);
                });
            }
        });
        server
    }

    fn open_export(&self, export: &str, access: Access) -> Result<NbdDevice, ExportError> {
        let name = format!("nbd://127.0.0.1:{}/{export}", self.port);
        NbdDevice::open(ExportAddress::parse(&name).unwrap().unwrap(), access)
    }

    fn open(&self, access: Access) -> Result<NbdDevice, ExportError> {
        self.open_export("data", access)
    }

    fn set(&self, mood: Mood) {
        *self.shared.mood.lock().unwrap() = mood;
    }

    fn hang_up(&self) {
        for socket in self.shared.connections.lock().unwrap().drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// The server's side of the handshake of old servers, with any flags; there is one export.
fn greet(socket: &mut TcpStream, flags: u16) -> io::Result<()> {
    socket.write_all(b"NBDMAGICIHAVEOPT\0\0")?;
    let mut asked = [0; 4 + 8 + 4 + 4];
    socket.read_exact(&mut asked)?;
    let mut name = vec![0; u32::from_be_bytes(asked[16..].try_into().unwrap()) as usize];
    socket.read_exact(&mut name)?;
    if name != b"data" {
        return Err(io::ErrorKind::NotFound.into());
    }
    socket.write_all(&EXPORT_BYTES.to_be_bytes())?;
    socket.write_all(&flags.to_be_bytes())?;
    socket.write_all(&[0; 124])
}

fn disk(device: NbdDevice, clock: &'static HostClock, deadline: Duration) -> Disk {
    Disk::new(HEAP, boxed_device(HEAP, device).unwrap(), clock, DiskOptions { deadline }).unwrap()
}

fn block(byte: u8) -> Buffer {
    let mut buffer = Buffer::new(HEAP, 65536).unwrap();
    buffer.bytes_mut().fill(byte);
    buffer
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_is_written_is_there_on_one_connection_or_several() {
    for (flags, connections) in [(HAS_FLAGS | SEND_FLUSH, 1), (HAS_FLAGS | SEND_FLUSH | MULTI_CONN, 4)] {
        let server = Server::start(flags);
        let clock = HostClock::leaked();
        let disk = disk(server.open(Access::Write).unwrap(), clock, LONG);
        assert_eq!(server.shared.connections.lock().unwrap().len(), connections);
        let done = std::cell::Cell::new(0);
        let executor = Executor::new(clock);
        for number in 0..16u8 {
            let (disk, done) = (&disk, &done);
            executor.spawn(async move {
                let offset = DeviceOffset(u64::from(number) * 65536);
                disk.write(offset, block(number)).await.unwrap();
                assert!(disk.read(offset, block(99)).await.unwrap().bytes().iter().all(|byte| *byte == number));
                done.set(done.get() + 1);
            });
        }
        executor.block_on(async {
            while done.get() < 16 {
                disk.flush().await.unwrap();
            }
            assert_eq!(disk.read(DeviceOffset(EXPORT_BYTES), block(0)).await.unwrap_err(), DeviceError::OutOfRange);
            assert_eq!(disk.discard(DeviceOffset(0), 65536).await, Err(DeviceError::Unsupported), "it wasn't offered");
        });
        let bytes = server.shared.bytes.lock().unwrap();
        assert!(bytes.chunks(65536).enumerate().all(|(number, block)| block.iter().all(|byte| *byte == number as u8)));
    }
}

#[test]
fn zeros_are_asked_for_where_they_are_offered() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("nbd://127.0.0.1:{}/data", listener.local_addr().unwrap().port());
    // The server answers two requests: it does the one, and knows nothing of the other.
    let server = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        greet(&mut socket, HAS_FLAGS | SEND_FLUSH | SEND_WRITE_ZEROES).unwrap();
        [0_u32, 22].map(|error| {
            let mut request = [0; 28];
            socket.read_exact(&mut request).unwrap();
            socket.write_all(&[&[0x67, 0x44, 0x66, 0x98], &error.to_be_bytes()[..], &request[8..16]].concat()).unwrap();
            request
        })
    });
    let device = NbdDevice::open(ExportAddress::parse(&name).unwrap().unwrap(), Access::Write).unwrap();
    let clock = HostClock::leaked();
    let disk = disk(device, clock, LONG);
    Executor::new(clock).block_on(async {
        assert_eq!(disk.zero(DeviceOffset(0x1_0200), 0x2_0000).await, Ok(()));
        assert_eq!(disk.zero(DeviceOffset(0), 512).await, Err(DeviceError::Io(5)));
    });
    let [done, refused] = server.join().unwrap();
    assert_eq!(done[..8], [0x25, 0x60, 0x95, 0x13, 0, 0, 0, 6]);
    assert_eq!(done[16..], [0, 0, 0, 0, 0, 1, 2, 0, 0, 2, 0, 0]);
    assert_eq!(refused[24..], [0, 0, 2, 0]);
}

#[test]
fn a_request_that_fails_leaves_the_connection_as_it_was() {
    let server = Server::start(HAS_FLAGS | SEND_FLUSH | SEND_TRIM);
    let clock = HostClock::leaked();
    let disk = disk(server.open(Access::Write).unwrap(), clock, LONG);
    Executor::new(clock).block_on(async {
        server.set(Mood::Failing);
        // So few bytes arrive in one piece: the server has read the whole request when it fails.
        let mut little = block(1);
        little.truncate(PAGE_BYTES);
        assert_eq!(disk.write(DeviceOffset(0), little).await.unwrap_err(), DeviceError::NoSpace);
        disk.write(DeviceOffset(0), block(2)).await.unwrap();
        assert_eq!(disk.read(DeviceOffset(0), block(0)).await.unwrap().bytes()[0], 2);
        // The test's server can't discard, whatever its flags say.
        assert_eq!(disk.discard(DeviceOffset(0), 65536).await, Err(DeviceError::Io(5)));
        disk.flush().await.unwrap();
    });
}

#[test]
fn a_lost_connection_is_a_device_that_is_gone_until_it_is_reset() {
    let server = Server::start(HAS_FLAGS | SEND_FLUSH | MULTI_CONN);
    let clock = HostClock::leaked();
    let disk = disk(server.open(Access::Write).unwrap(), clock, LONG);
    Executor::new(clock).block_on(async {
        disk.write(DeviceOffset(0), block(1)).await.unwrap();
        server.hang_up();
        for _ in 0..8 {
            // The server would answer now, but earlier unflushed writes may be lost.
            assert_eq!(disk.flush().await, Err(DeviceError::Gone));
        }
        disk.reset().await.unwrap();
        assert_eq!(disk.read(DeviceOffset(0), block(0)).await.unwrap().bytes()[0], 1);
        disk.flush().await.unwrap();
    });
}

#[test]
fn a_server_that_hangs_is_waited_for_by_a_reset_and_by_nobody_else() {
    let server = Server::start(HAS_FLAGS | SEND_FLUSH);
    let clock = HostClock::leaked();
    let disk = disk(server.open(Access::Write).unwrap(), clock, Duration::from_millis(100));
    let barrier = Arc::new(Barrier::new(2));
    Executor::new(clock).block_on(async {
        server.set(Mood::Hanging(barrier.clone()));
        assert_eq!(disk.write(DeviceOffset(0), block(1)).await.unwrap_err(), DeviceError::Timeout);
        assert_eq!(disk.reset().await, Err(DeviceError::Timeout), "the write could land at any time");
        barrier.wait();
        barrier.wait();
        while disk.reset().await.is_err() {}
        assert_eq!(disk.read(DeviceOffset(0), block(0)).await.unwrap().bytes()[0], 1, "it has landed");
        assert_eq!(server.shared.connections.lock().unwrap().len(), 1, "the connection is the same");
    });
}

#[test]
fn a_server_that_sends_a_byte_now_and_then_is_as_good_as_gone() {
    let server = Server::start(HAS_FLAGS | SEND_FLUSH);
    let clock = HostClock::leaked();
    let disk = disk(server.open(Access::Write).unwrap(), clock, Duration::from_millis(100));
    Executor::new(clock).block_on(async {
        disk.write(DeviceOffset(0), block(1)).await.unwrap();
        server.set(Mood::Dripping);
        assert_eq!(disk.read(DeviceOffset(0), block(0)).await.unwrap_err(), DeviceError::Timeout);
        // The rest of its reply isn't waited for.
        let begun = std::time::Instant::now();
        while disk.reset().await.is_err() {
            assert!(begun.elapsed() < Duration::from_secs(10), "a server that drips is waited for");
        }
        server.set(Mood::Good);
        assert_eq!(disk.read(DeviceOffset(0), block(0)).await.unwrap().bytes()[0], 1);
        assert_eq!(server.shared.connections.lock().unwrap().len(), 2, "it is a new connection");
    });
}

#[test]
fn what_can_not_be_used_is_refused_with_the_reason() {
    let refused = |flags: u16| Server::start(flags).open(Access::Write).err().unwrap();
    assert!(matches!(refused(HAS_FLAGS | SEND_FLUSH | READ_ONLY), ExportError::ReadOnly { .. }));
    assert!(matches!(refused(HAS_FLAGS), ExportError::NoFlush { .. }));
    assert!(Server::start(HAS_FLAGS | READ_ONLY).open(Access::Read).is_ok());

    let server = Server::start(HAS_FLAGS | SEND_FLUSH);
    assert!(matches!(server.open_export("other", Access::Read), Err(ExportError::Refused { .. })));
    let writer = server.open(Access::Write).unwrap();
    assert!(matches!(server.open(Access::Write), Err(ExportError::InUse { .. })));
    assert!(matches!(server.open(Access::Read), Err(ExportError::InUse { .. })));
    drop(writer);
    assert!(server.open(Access::Write).is_ok());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("nbd://127.0.0.1:{}/data", listener.local_addr().unwrap().port());
    let open = || NbdDevice::open(ExportAddress::parse(&name).unwrap().unwrap(), Access::Read).err().unwrap();
    let speaker = thread::spawn(move || listener.accept().unwrap().0.write_all(b"220 mail.example ESMTP").unwrap());
    assert!(matches!(open(), ExportError::NotNbd { .. }));
    speaker.join().unwrap();
    assert!(matches!(open(), ExportError::Connect { .. }), "nobody listens any more");
}
