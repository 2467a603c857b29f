//! The byte stream of a connection, encrypted or not, with the deadlines for reading from it.
//! A server may take any time to begin a reply: its work may take long, and the caller has a deadline. But a reply that has begun
//! must be complete soon after, so that nobody waits for a server that sends a byte now and then.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

use super::socket::Socket;

/// The longest time from the first byte of a reply to its last.
const REPLY_DEADLINE: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 15_000 });

/// Written bytes are sent when there are so many, or at a flush.
const MOST_PENDING_BYTES: usize = 128 << 10;

/// Both directions of a connection, buffered.
pub(super) struct Stream {
    reader: BufReader<Wire>,
    pending: Vec<u8>,
}

impl Stream {
    /// A stream on a socket, whose negotiation must be complete at `end`.
    pub(super) fn of(socket: Socket, end: Instant) -> Self {
        let socket = TimedSocket { socket, end: Some(end), is_greeting: true, is_timed: false };
        Self { reader: BufReader::new(Wire { socket, tls: None }), pending: Vec::new() }
    }

    /// Begins TLS: from here on everything is encrypted, and the server has proved that it is `server`.
    pub(super) fn start_tls(&mut self, config: Arc<ClientConfig>, server: ServerName<'static>) -> io::Result<()> {
        if !self.reader.buffer().is_empty() {
            // An attacker on the way could have sent it.
            return Err(io::Error::new(ErrorKind::InvalidData, "the server went on in plain text"));
        }
        let mut tls = ClientConnection::new(config, server).map_err(io::Error::other)?;
        let wire = self.reader.get_mut();
        while tls.is_handshaking() {
            tls.complete_io(&mut wire.socket)?;
        }
        wire.tls = Some(Box::new(tls));
        Ok(())
    }

    /// Ends the negotiation: from here on, only replies to requests come.
    pub(super) fn await_replies(&mut self) {
        let socket = &mut self.reader.get_mut().socket;
        (socket.is_greeting, socket.end) = (false, None);
    }

    fn send(&mut self) -> io::Result<()> {
        let sent = self.reader.get_mut().write_all(&self.pending);
        self.pending.clear();
        sent
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= MOST_PENDING_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    /// Sends the written bytes: a request, or the end of one. The deadline of the next reply begins with its first byte.
    fn flush(&mut self) -> io::Result<()> {
        let socket = &mut self.reader.get_mut().socket;
        if !socket.is_greeting {
            socket.end = None;
        }
        self.send()?;
        self.reader.get_mut().flush()
    }
}

/// A socket, with its encryption if there is one.
struct Wire {
    socket: TimedSocket,
    tls: Option<Box<ClientConnection>>,
}

impl Read for Wire {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).read(bytes),
            None => self.socket.read(bytes),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).write(bytes),
            None => self.socket.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.socket).flush(),
            None => Ok(()),
        }
    }
}

/// A socket with a deadline for reads.
struct TimedSocket {
    socket: Socket,
    /// None until a reply begins.
    end: Option<Instant>,
    is_greeting: bool,
    /// True if the socket has a timeout set.
    is_timed: bool,
}

impl Read for TimedSocket {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let is_over = self.end.is_some_and(|end| end <= Instant::now());
        if !is_over && (self.end.is_some() || self.is_timed) {
            self.socket.set_read_timeout(self.end.map(|end| end.saturating_duration_since(Instant::now())))?;
            self.is_timed = self.end.is_some();
        }
        // If the process was stopped in the middle of a reply, the rest of it is in the socket.
        let found = match is_over {
            true => {
                recv(&self.socket, &mut *bytes, RecvFlags::DONTWAIT).map(|(_, count)| count).map_err(io::Error::from)
            }
            false => self.socket.read(bytes),
        };
        let count = found.map_err(|error| match error.kind() {
            // The host reports a timeout as "would block".
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })?;
        self.end.get_or_insert_with(|| Instant::now() + REPLY_DEADLINE);
        Ok(count)
    }
}

impl Write for TimedSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn who_comes_late_gets_what_came_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        server.write_all(b"reply").unwrap();
        socket.peek(&mut [0]).unwrap();
        let over = Instant::now() - Duration::from_secs(1);
        let socket = Socket::Tcp(socket);
        let mut reader = TimedSocket { socket, end: Some(over), is_greeting: false, is_timed: false };
        let mut bytes = [0; 16];
        assert_eq!(reader.read(&mut bytes).unwrap(), 5);
        assert_eq!(reader.read(&mut bytes).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
