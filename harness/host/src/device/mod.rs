//! Block devices on a host.

mod file;
mod holder;
mod image_file;
mod name;
mod nbd;
mod signatures;
mod workers;

pub use file::{Access, FileDevice, OpenError};
pub use holder::Holder;
pub use image_file::{load_image, save_image};
pub use name::lasting_name;
pub use nbd::{AddressError, ExportAddress, ExportError, NbdDevice};
pub use signatures::{ContentUnknown, Signature, signatures};
