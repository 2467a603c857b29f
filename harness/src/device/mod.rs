//! Block devices on a host.

mod file;
mod image_file;
mod nbd;
mod workers;

pub use file::{Access, FileDevice, OpenError};
pub use image_file::{load_image, save_image};
pub use nbd::{AddressError, ExportAddress, ExportError, NbdDevice};
