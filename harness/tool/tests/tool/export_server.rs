//! An honest NBD server.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::thread;

use nbd::server::{Export, handshake, transmission};

/// Serves an image on the loopback address, under any export name, for as long as the test lives; returns the port. `wrap` comes
/// between the server and the image.
pub(crate) fn serve<D>(image: PathBuf, wrap: impl Fn(File) -> D + Send + 'static) -> u16
where
    D: Read + Write + Seek + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    serve_on(listener, image, wrap);
    port
}

/// The same, on an existing listener.
pub(crate) fn serve_on<D>(listener: TcpListener, image: PathBuf, wrap: impl Fn(File) -> D + Send + 'static)
where
    D: Read + Write + Seek + Send + 'static,
{
    thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            // The test may be over.
            let Ok(file) = File::options().read(true).write(true).open(&image) else { return };
            let (size, disk) = (file.metadata().unwrap().len(), wrap(file));
            thread::spawn(move || {
                let exports = |_: &str| Ok(Export::<()> { size, ..Export::default() });
                if handshake(&mut socket, exports).is_ok() {
                    // This ends with the connection.
                    let _ = transmission(socket, disk);
                }
            });
        }
    });
}
