//! An honest NBD server.

use std::fs::File;
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use nbd::server::{Export, handshake, transmission};

/// Serves an image on the loopback address, whatever the export is called, for as long as the test lives; the port.
pub(crate) fn serve(image: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let (mut socket, file) = (socket.unwrap(), File::options().read(true).write(true).open(&image).unwrap());
            let size = file.metadata().unwrap().len();
            thread::spawn(move || {
                let exports = |_: &str| Ok(Export::<()> { size, ..Export::default() });
                if handshake(&mut socket, exports).is_ok() {
                    // Ends with the connection.
                    let _ = transmission(socket, file);
                }
            });
        }
    });
    port
}
