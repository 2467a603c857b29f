//! A cable between a machine and its disk that is pulled out for a while.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::task::{Context, Poll, Waker};
use std::thread::sleep;
use std::time::{Duration, Instant};

use allocator_api2::alloc::Global;
use hammer2_core::io::{BlockDevice, Buffer, DeviceError, DeviceOffset, Operation, Request, Ticket};
use hammer2_host::device::{Access, ExportAddress, NbdDevice};

const IMAGE_BYTES: u64 = 1 << 20;
const HERE: &str = "10.251.77.1/24";
const THERE: &str = "10.251.77.2";

/// A machine with a disk: a network namespace with a server in it.
struct Machine {
    namespace: String,
    server: Child,
}

fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status().unwrap();
    assert!(done.success(), "ip {arguments:?}: iproute2 and root are needed");
}

impl Machine {
    fn start(image: &Path) -> Self {
        let namespace = format!("h2-cable-{}", std::process::id());
        ip(&["netns", "add", &namespace]);
        let cable = format!("h2c{}", std::process::id());
        ip(&["link", "add", &cable, "type", "veth", "peer", "name", "cable", "netns", &namespace]);
        ip(&["address", "add", HERE, "dev", &cable]);
        ip(&["link", "set", &cable, "up"]);
        ip(&["-n", &namespace, "address", "add", &format!("{THERE}/24"), "dev", "cable"]);
        let mut server = Command::new("setpriv");
        server.args(["--pdeathsig", "KILL", "nsenter", &format!("--net=/run/netns/{namespace}")]);
        server.args(["nbdkit", "--foreground", "file"]).arg(image).stderr(Stdio::null());
        let machine = Self { namespace, server: server.spawn().unwrap() };
        machine.plug_in();
        machine
    }

    fn pull_out(&self) {
        ip(&["-n", &self.namespace, "link", "set", "cable", "down"]);
    }

    fn plug_in(&self) {
        ip(&["-n", &self.namespace, "link", "set", "cable", "up"]);
    }

    fn open(&self) -> NbdDevice {
        let address = ExportAddress::parse(&format!("nbd://{THERE}/disk")).unwrap().unwrap();
        let start = Instant::now();
        loop {
            match NbdDevice::open(address.clone(), Access::Write) {
                Ok(device) => return device,
                Err(error) => assert!(start.elapsed() < Duration::from_secs(30), "{error}"),
            }
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = Command::new("ip").args(["netns", "delete", &self.namespace]).status();
    }
}

fn write(device: &NbdDevice, offset: u64) {
    let mut buffer = Buffer::new(&Global, 4096).unwrap();
    buffer.bytes_mut().fill(1);
    device.submit(Ticket(0), Request::new(Operation::Write(DeviceOffset(offset)), buffer));
}

fn wait(device: &NbdDevice) -> Result<(), DeviceError> {
    loop {
        match device.poll(Ticket(0), &mut Context::from_waker(Waker::noop())) {
            Poll::Ready(completion) => return completion.result,
            Poll::Pending => sleep(Duration::from_millis(10)),
        }
    }
}

/// The host resends unacknowledged data again and again. By the time the cable is back, another machine may have the disk.
#[test]
#[ignore = "needs root and namespaces of the network: scripts/test mount"]
fn what_a_pulled_cable_kept_does_not_land_when_it_is_plugged_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("disk.img");
    File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
    let machine = Machine::start(&image);
    let device = machine.open();
    write(&device, 0);
    assert_eq!(wait(&device), Ok(()));
    machine.pull_out();
    write(&device, 65536);
    // This is longer than from the end of a lease to that of a watch.
    sleep(Duration::from_millis(2500));
    machine.plug_in();
    assert_eq!(wait(&device), Err(DeviceError::Gone));
    // By now, the host would have resent the data.
    sleep(Duration::from_secs(2));
    let mut bytes = [0; 2];
    let file = File::open(&image).unwrap();
    file.read_exact_at(&mut bytes[..1], 0).unwrap();
    file.read_exact_at(&mut bytes[1..], 65536).unwrap();
    assert_eq!(bytes, [1, 0], "what was written before, and nothing after");
    fs::remove_file(image).unwrap();
}
