//! The network: a namespace for each machine, and a cable between each machine that mounts and each machine with a disk.

use std::error::Error;

use hammer2_torture::program::run;

/// How many machines mount.
pub(crate) const HOSTS: usize = 2;
/// How many machines have a disk.
pub(crate) const DISKS: usize = 3;

/// How a cable fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// It is pulled out: nothing gets through.
    Unplugged,
    /// Replies of the disk's machine are lost, but it gets requests, and carries them out.
    Deaf,
}

/// The namespaces of one run, until it is dropped.
pub(crate) struct Network {
    /// The prefix of all namespaces' names.
    prefix: String,
    /// Makes its addresses different from those of other runs, as processes of one machine keep each other from an export by its
    /// name.
    number: u8,
}

impl Network {
    /// Makes the machines and cables, after removing the remains of an earlier run of that name.
    pub(crate) fn new(prefix: String, number: u8) -> Result<Self, Box<dyn Error>> {
        let network = Self { prefix, number };
        network.remove();
        for name in network.names() {
            run("ip", &["netns", "add", &name])?;
            run("ip", &["-n", &name, "link", "set", "lo", "up"])?;
        }
        for host in 0..HOSTS {
            for disk in 0..DISKS {
                network.connect(host, disk)?;
            }
        }
        Ok(network)
    }

    fn connect(&self, host: usize, disk: usize) -> Result<(), Box<dyn Error>> {
        let (here, there) = (self.host(host), self.disk(disk));
        let (out, back) = (format!("disk{disk}"), format!("host{host}"));
        let cable = ["link", "add", &out, "netns", &here, "type", "veth", "peer", "name", &back, "netns", &there];
        run("ip", &cable)?;
        let ends = [(&here, &out, self.host_address(host, disk)), (&there, &back, self.disk_address(host, disk))];
        for (namespace, interface, address) in ends {
            run("ip", &["-n", namespace, "address", "add", &format!("{address}/24"), "dev", interface])?;
            run("ip", &["-n", namespace, "link", "set", interface, "up"])?;
        }
        Ok(())
    }

    /// The namespace of a machine that mounts.
    pub(crate) fn host(&self, host: usize) -> String {
        format!("{}-host{host}", self.prefix)
    }

    /// The namespace of a machine with a disk.
    pub(crate) fn disk(&self, disk: usize) -> String {
        format!("{}-disk{disk}", self.prefix)
    }

    fn names(&self) -> Vec<String> {
        (0..HOSTS).map(|host| self.host(host)).chain((0..DISKS).map(|disk| self.disk(disk))).collect()
    }

    /// Makes a cable fail.
    pub(crate) fn cut(&self, host: usize, disk: usize, how: Cut) -> Result<(), Box<dyn Error>> {
        let namespace = self.disk(disk);
        match how {
            Cut::Unplugged => run("ip", &["-n", &namespace, "link", "set", &format!("host{host}"), "down"])?,
            Cut::Deaf => run("ip", &["-n", &namespace, "route", "add", "blackhole", &self.host_address(host, disk)])?,
        };
        Ok(())
    }

    /// Mends a cable, however it was cut.
    pub(crate) fn mend(&self, host: usize, disk: usize) -> Result<(), Box<dyn Error>> {
        let namespace = self.disk(disk);
        run("ip", &["-n", &namespace, "link", "set", &format!("host{host}"), "up"])?;
        // The route exists only after that kind of cut.
        drop(run("ip", &["-n", &namespace, "route", "delete", "blackhole", &self.host_address(host, disk)]));
        Ok(())
    }

    fn host_address(&self, host: usize, disk: usize) -> String {
        format!("10.{}.{}.1", self.number, host * 16 + disk)
    }

    /// The address of a disk for a machine that mounts.
    pub(crate) fn disk_address(&self, host: usize, disk: usize) -> String {
        format!("10.{}.{}.2", self.number, host * 16 + disk)
    }

    fn remove(&self) {
        for name in self.names() {
            drop(run("ip", &["netns", "delete", &name]));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.remove();
    }
}
