//! Volumes on exports of an NBD server.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;

use super::export_server;
use super::folder::Folder;

const IMAGE_BYTES: u64 = 64 << 20;

/// Serves an image; returns the address of its export.
fn serve(image: PathBuf) -> String {
    format!("nbd://127.0.0.1:{}/a%20disk", export_server::serve(image, |file| file))
}

#[test]
fn a_cluster_of_exports_and_files_is_used_like_any_other() {
    let folder = Folder::new();
    let mut nodes = Vec::new();
    for name in ["a.img", "b.img", "c.img"] {
        folder.image(name, IMAGE_BYTES);
        nodes.push(if name == "c.img" { name.to_owned() } else { serve(folder.path(name)) });
        folder.succeed(["newfs", nodes.last().unwrap()]);
    }
    folder.succeed(["cluster", "create", "-L", "CL", &nodes[0], &nodes[1], &nodes[2]]);
    let all = format!("{}@CL", nodes.join("+"));
    fs::create_dir(folder.path("source")).unwrap();
    fs::write(folder.path("source/file"), "content").unwrap();
    folder.succeed(["put", "source", &format!("{all}:/put")]);
    assert_eq!(folder.succeed(["cat", &format!("{all}:/put/file")]), "content");
    folder.succeed(["cluster", "status", &all]);
    for node in &nodes {
        folder.check(node);
        assert_eq!(folder.succeed(["cat", &format!("{node}@CL:/put/file")]), "content");
    }
    folder.check("a.img");
}

#[test]
fn what_is_no_export_is_refused() {
    let folder = Folder::new();
    folder.refuse(["ls", "nbd://:1/data"], 2, "write nbd://HOST");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let name = format!("nbd://127.0.0.1:{}/data", listener.local_addr().unwrap().port());
    drop(listener);
    folder.refuse(["ls", &name], 2, "start its NBD server");
    folder.refuse(["newfs", &name], 2, "start its NBD server");
}
