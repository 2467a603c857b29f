//! The socket of a connection, and how long is waited for what comes.
//!
//! A server may take as long as it likes to begin with a reply: what it was asked to do may take its time, and whoever asked has
//! a deadline. But what has begun is whole soon after, so that nobody waits for a server that sends a byte now and then.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use hammer2_core::media::heartbeat::HEARTBEAT_PERIOD;
use rustix::net::{RecvFlags, recv, sockopt};

use crate::device::Access;

/// A machine that is silent for so long is gone, with the connection. A server that is there and slow isn't: its machine
/// answers for it.
const SILENCE: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// How long what was sent may be on its way to an export that is written to. Whatever arrives later could come after somebody else
/// has taken over, as the host goes on sending it until then: so this is the time from the end of a lease to that of a watch.
const MOST_UNDER_WAY: Duration = Duration::from_millis(HEARTBEAT_PERIOD.as_millis() as u64 / 2);

/// How long it may take from the first byte of a reply to its last.
const REPLY_DEADLINE: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 15_000 });

/// Both directions of a socket, in pieces as large as they come.
pub(super) struct Stream {
    reader: BufReader<TimedReader>,
    writer: BufWriter<TcpStream>,
}

impl Stream {
    /// What comes first is whole at `end`.
    pub(super) fn of(socket: &TcpStream, access: Access, end: Instant) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        sockopt::set_socket_keepalive(socket, true)?;
        sockopt::set_tcp_keepidle(socket, SILENCE / PROBES)?;
        sockopt::set_tcp_keepintvl(socket, SILENCE / PROBES)?;
        sockopt::set_tcp_keepcnt(socket, PROBES)?;
        let patience = if access == Access::Write { MOST_UNDER_WAY } else { SILENCE };
        sockopt::set_tcp_user_timeout(socket, patience.as_millis() as u32)?;
        let reader = TimedReader { socket: socket.try_clone()?, end: Some(end), is_greeting: true, is_timed: false };
        Ok(Self { reader: BufReader::new(reader), writer: BufWriter::new(socket.try_clone()?) })
    }

    /// The greeting is over: from here on comes what is asked for.
    pub(super) fn await_replies(&mut self) {
        let reader = self.reader.get_mut();
        (reader.is_greeting, reader.end) = (false, None);
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.reader.read(bytes)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    /// Sends what was written: a request, or the end of one. The next reply begins when it comes.
    fn flush(&mut self) -> io::Result<()> {
        let reader = self.reader.get_mut();
        if !reader.is_greeting {
            reader.end = None;
        }
        self.writer.flush()
    }
}

/// A socket that isn't read from any longer than until then.
struct TimedReader {
    socket: TcpStream,
    /// None until a reply begins.
    end: Option<Instant>,
    is_greeting: bool,
    /// The socket has a timeout.
    is_timed: bool,
}

impl Read for TimedReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let is_over = self.end.is_some_and(|end| end <= Instant::now());
        if !is_over && (self.end.is_some() || self.is_timed) {
            self.socket.set_read_timeout(self.end.map(|end| end.saturating_duration_since(Instant::now())))?;
            self.is_timed = self.end.is_some();
        }
        // A process that was stopped in the middle of a reply finds the rest of it in the socket.
        let found = match is_over {
            true => {
                recv(&self.socket, &mut *bytes, RecvFlags::DONTWAIT).map(|(_, count)| count).map_err(io::Error::from)
            }
            false => self.socket.read(bytes),
        };
        let count = found.map_err(|error| match error.kind() {
            // The host says that it would have to wait, after having waited.
            ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
            _ => error,
        })?;
        self.end.get_or_insert_with(|| Instant::now() + REPLY_DEADLINE);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn who_comes_late_gets_what_came_in_time() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let socket = listener.accept().unwrap().0;
        server.write_all(b"reply").unwrap();
        socket.peek(&mut [0]).unwrap();
        let over = Instant::now() - Duration::from_secs(1);
        let mut reader = TimedReader { socket, end: Some(over), is_greeting: false, is_timed: false };
        let mut bytes = [0; 16];
        assert_eq!(reader.read(&mut bytes).unwrap(), 5);
        assert_eq!(reader.read(&mut bytes).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
