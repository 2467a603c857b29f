//! Exports over TLS and on unix sockets, of nbdkit and qemu-nbd, with certificates that are made here.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::mounted::{Volume, wait_until};

const IMAGE_BYTES: u64 = 64 << 20;
/// How long a server may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);

fn openssl(folder: &Path, arguments: &str) {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output();
    let output = output.expect("openssl is needed");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

const NEW_KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

/// Makes an authority in a folder, with certificates for a server of this machine and a client.
fn certify(folder: &Path) {
    fs::create_dir(folder).unwrap();
    openssl(folder, &format!("req -x509 {NEW_KEY} -keyout ca-key.pem -out ca-cert.pem -subj /CN=authority -days 2"));
    for (who, about) in [("server", "subjectAltName=DNS:localhost"), ("client", "extendedKeyUsage=clientAuth")] {
        fs::write(folder.join("about"), about).unwrap();
        openssl(folder, &format!("req -new {NEW_KEY} -keyout {who}-key.pem -out {who}.csr -subj /CN={who}"));
        let signed = "-CA ca-cert.pem -CAkey ca-key.pem -CAcreateserial -days 2 -extfile about";
        openssl(folder, &format!("x509 -req -in {who}.csr {signed} -out {who}-cert.pem"));
    }
}

/// A server of an image.
struct Server {
    process: Child,
    place: Place,
}

#[derive(Clone)]
enum Place {
    Port(u16),
    Socket(PathBuf),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Nbdkit,
    QemuNbd,
}

impl Server {
    fn start(kind: Kind, image: &Path, certificates: Option<&Path>, socket: Option<PathBuf>) -> Self {
        let place = socket.map_or_else(
            || Place::Port(TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()),
            Place::Socket,
        );
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]);
        match kind {
            Kind::Nbdkit => {
                command.args(["nbdkit", "--foreground"]);
                match &place {
                    Place::Port(port) => command.args(["--ipaddr=127.0.0.1", &format!("--port={port}")]),
                    Place::Socket(path) => command.arg("--unix").arg(path),
                };
                if let Some(folder) = certificates {
                    command.args(["--tls=require", "--tls-verify-peer"]);
                    command.arg(format!("--tls-certificates={}", folder.display()));
                }
                command.arg("file").arg(image);
            }
            Kind::QemuNbd => {
                command.args(["qemu-nbd", "--persistent", "--shared=0", "--format=raw", "--export-name=disk"]);
                match &place {
                    Place::Port(port) => command.args(["--bind=127.0.0.1", &format!("--port={port}")]),
                    Place::Socket(path) => command.arg(format!("--socket={}", path.display())),
                };
                if let Some(folder) = certificates {
                    let credentials = "tls-creds-x509,id=tls,endpoint=server,verify-peer=yes,dir=";
                    command.args(["--tls-creds", "tls", "--object", &format!("{credentials}{}", folder.display())]);
                }
                command.arg(image);
            }
        }
        let process = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let server = Self { process, place };
        let start = Instant::now();
        wait_until("the server listens", || {
            assert!(start.elapsed() < PATIENCE, "{command:?}: nbdkit and qemu-utils are needed");
            match &server.place {
                Place::Port(port) => std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok(),
                Place::Socket(path) => UnixStream::connect(path).is_ok(),
            }
        });
        server
    }

    /// The address of its export, with `options` behind it.
    fn name(&self, scheme: &str, options: &str) -> String {
        match &self.place {
            Place::Port(port) => format!("{scheme}://localhost:{port}/disk?{options}"),
            Place::Socket(path) => format!("{scheme}+unix:///disk?socket={}&{options}", path.display()),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A place for servers: images, certificates, and the tool.
struct Site {
    volume: Volume,
}

impl Site {
    fn new() -> Self {
        let site = Self { volume: Volume::new(IMAGE_BYTES) };
        certify(&site.path("right"));
        certify(&site.path("stranger"));
        // This client knows the authority, but has no certificate.
        fs::create_dir(site.path("nobody")).unwrap();
        fs::copy(site.path("right/ca-cert.pem"), site.path("nobody/ca-cert.pem")).unwrap();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.volume.directory().with_file_name(name)
    }

    fn image(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        File::create(&path).unwrap().set_len(IMAGE_BYTES).unwrap();
        path
    }

    fn certificates(&self, folder: &str) -> String {
        format!("tls-certificates={}", self.path(folder).display())
    }

    /// Makes a filesystem on an export, and uses it, over TLS.
    fn use_export(&self, server: &Server) {
        let (tool, right) = (&self.volume, self.certificates("right"));
        let export = server.name("nbds", &right);
        tool.succeed(&["newfs", "-q", "-f", &export]);
        fs::write(self.path("file"), vec![7; 300_000]).unwrap();
        tool.succeed(&["put", "file", &format!("{export}:/file")]);
        assert_eq!(tool.run(&["cat", &format!("{export}:/file")]).stdout, vec![7; 300_000]);
    }
}

#[test]
#[ignore = "needs nbdkit, qemu-nbd and openssl: scripts/test mount"]
fn exports_over_tls_are_used_by_whom_the_server_knows() {
    let site = Site::new();
    let certificates = site.path("right");
    for (kind, name) in [(Kind::Nbdkit, "nbdkit"), (Kind::QemuNbd, "qemu")] {
        let image = site.image(&format!("{name}.img"));
        for socket in [None, Some(site.path(&format!("{name}.sock")))] {
            let server = Server::start(kind, &image, Some(&certificates), socket);
            site.use_export(&server);
            let refused =
                |scheme, options: &str, words| site.volume.refuse(&["info", &server.name(scheme, options)], 2, words);
            let right = site.certificates("right");
            refused("nbd", "", "its server speaks only TLS: write nbds://");
            refused("nbds", &site.certificates("stranger"), "the server isn't trusted");
            refused("nbds", &format!("{right}&tls-hostname=other.example"), "the server isn't trusted");
            refused("nbds", &site.certificates("nobody"), "the server doesn't accept who we are");
            refused("nbds", &site.certificates("missing"), "name the folder of the certificates");
        }
        site.volume.succeed(&["fsck", "--strict", &format!("{name}.img")]);
    }
}

#[test]
#[ignore = "needs nbdkit and openssl: scripts/test mount"]
fn servers_without_tls_are_told_from_those_with_it() {
    let site = Site::new();
    for (kind, name) in [(Kind::Nbdkit, "nbdkit.img"), (Kind::QemuNbd, "qemu.img")] {
        let server = Server::start(kind, &site.image(name), None, None);
        let export = server.name("nbds", &site.certificates("right"));
        site.volume.refuse(&["info", &export], 2, "its server speaks no TLS: give it certificates");
    }
}

/// Three members: over TLS from nbdkit and qemu-nbd, and on a unix socket.
#[test]
#[ignore = "needs FUSE, nbdkit, qemu-nbd and openssl: scripts/test mount"]
fn a_cluster_of_such_exports_is_mounted() {
    let site = Site::new();
    let certificates = site.path("right");
    let images = ["a.img", "b.img", "c.img"].map(|name| site.image(name));
    let servers = [
        Server::start(Kind::Nbdkit, &images[0], Some(&certificates), None),
        Server::start(Kind::QemuNbd, &images[1], Some(&certificates), None),
        Server::start(Kind::Nbdkit, &images[2], None, Some(site.path("c.sock"))),
    ];
    let right = site.certificates("right");
    let names = [servers[0].name("nbds", &right), servers[1].name("nbds", &right), servers[2].name("nbd", "")];
    for name in &names {
        site.volume.succeed(&["newfs", "-q", name]);
    }
    site.volume.succeed(&["cluster", "create", "-L", "CL", &names[0], &names[1], &names[2]]);
    let mounted = site.volume.mount_node(&format!("{}@CL", names.join("+")), &[]);
    fs::write(mounted.path("file"), vec![3; 5_000_000]).unwrap();
    File::open(mounted.path("file")).unwrap().sync_all().unwrap();
    assert_eq!(fs::read(mounted.path("file")).unwrap(), vec![3; 5_000_000]);
    mounted.unmount_well();
    drop(servers);
    for name in ["a.img", "b.img", "c.img"] {
        site.volume.succeed(&["fsck", "--strict", name]);
        assert_eq!(site.volume.run(&["cat", &format!("{name}@CL:/file")]).stdout, vec![3; 5_000_000]);
    }
}
