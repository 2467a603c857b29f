//! Finding virtio block devices on PCI.
//!
//! [`PortAccess`] is the oldest mechanism, an address port and a data port, over the kernel's own port I/O; kernels with
//! memory-mapped configuration space use virtio-drivers' `MmioCam` instead.

use virtio_drivers::Hal;
use virtio_drivers::transport::DeviceType;
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, VirtioPciError, virtio_device_type};

/// 32-bit port I/O.
pub trait Ports: Copy {
    /// Writes a port.
    fn write(self, port: u16, value: u32);

    /// Reads a port.
    fn read(self, port: u16) -> u32;
}

const ADDRESS_PORT: u16 = 0xcf8;
const DATA_PORT: u16 = 0xcfc;

/// Configuration space through the ports 0xcf8 and 0xcfc. Use it from one CPU at a time.
pub struct PortAccess<P>(pub P);

impl<P: Ports> PortAccess<P> {
    fn select(&self, function: DeviceFunction, register_offset: u8) {
        let address = u32::from(function.bus) << 16
            | u32::from(function.device) << 11
            | u32::from(function.function) << 8
            | u32::from(register_offset & 0xfc);
        self.0.write(ADDRESS_PORT, 1 << 31 | address);
    }
}

impl<P: Ports> ConfigurationAccess for PortAccess<P> {
    fn read_word(&self, function: DeviceFunction, register_offset: u8) -> u32 {
        self.select(function, register_offset);
        self.0.read(DATA_PORT)
    }

    fn write_word(&mut self, function: DeviceFunction, register_offset: u8, data: u32) {
        self.select(function, register_offset);
        self.0.write(DATA_PORT, data);
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self(self.0)
    }
}

/// Offset of the interrupt line register in the configuration space.
const INTERRUPT_LINE: u8 = 0x3c;
/// Offsets of the base address registers.
const BASE_ADDRESSES: [u8; 6] = [0x10, 0x14, 0x18, 0x1c, 0x20, 0x24];

/// A place on the bus, and what the firmware has assigned to it: enough to put a similar device there again.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where it is.
    pub function: DeviceFunction,
    base_addresses: [u32; BASE_ADDRESSES.len()],
    interrupt_line: u32,
}

impl Place {
    /// Notes what was assigned to a device.
    pub fn of<C: ConfigurationAccess>(access: &C, function: DeviceFunction) -> Self {
        let read = |register| access.read_word(function, register);
        Self { function, base_addresses: BASE_ADDRESSES.map(read), interrupt_line: read(INTERRUPT_LINE) }
    }

    /// Assigns the same to the device that is there now, and switches it on; none if there is no device.
    pub fn switch_on<H: Hal, C: ConfigurationAccess>(
        &self,
        mut access: C,
    ) -> Option<Result<PciTransport, VirtioPciError>> {
        for (register, value) in BASE_ADDRESSES.into_iter().zip(self.base_addresses) {
            access.write_word(self.function, register, value);
        }
        access.write_word(self.function, INTERRUPT_LINE, self.interrupt_line);
        let mut root = PciRoot::new(access);
        let (_, identity) = root.enumerate_bus(self.function.bus).find(|(function, _)| *function == self.function)?;
        if virtio_device_type(&identity) != Some(DeviceType::Block) {
            return None;
        }
        switch_on(&mut root, self.function);
        Some(PciTransport::new::<H, C>(&mut root, self.function))
    }
}

fn switch_on<C: ConfigurationAccess>(root: &mut PciRoot<C>, function: DeviceFunction) {
    let (_, command) = root.get_status_command(function);
    let enabled = command | Command::MEMORY_SPACE | Command::BUS_MASTER;
    root.set_command(function, enabled.difference(Command::INTERRUPT_DISABLE));
}

/// A virtio block device on the bus, switched on.
pub struct Found {
    /// Where it is.
    pub function: DeviceFunction,
    /// The transport for its driver.
    pub transport: PciTransport,
    /// The interrupt line to which the firmware has routed its INTx; 255 for none.
    pub interrupt_line: u8,
}

/// Calls `found` with every virtio block device of bus 0, in the order of slots. A device that can't be driven is passed as an
/// error instead of its transport; the others are still found.
pub fn for_each_block_device<H: Hal, C: ConfigurationAccess>(
    access: C,
    mut found: impl FnMut(Result<Found, (DeviceFunction, VirtioPciError)>),
) {
    // SAFETY: the copy is used by this function alone, between the root's own accesses.
    let mut root = PciRoot::new(unsafe { access.unsafe_clone() });
    for (function, identity) in root.enumerate_bus(0) {
        if virtio_device_type(&identity) != Some(DeviceType::Block) {
            continue;
        }
        switch_on(&mut root, function);
        let interrupt_line = access.read_word(function, INTERRUPT_LINE) as u8;
        found(match PciTransport::new::<H, C>(&mut root, function) {
            Ok(transport) => Ok(Found { function, transport, interrupt_line }),
            Err(error) => Err((function, error)),
        });
    }
}
