//! A slave that is kept elsewhere, and brought in step while the others are mounted.

use std::fs::{self, File};
use std::io::Write as _;

use super::cluster::{IMAGE_BYTES, Masters, NODES};
use super::mounted::noise;

#[test]
#[ignore = "needs FUSE: scripts/test mount"]
fn a_slave_comes_is_brought_in_step_and_goes_while_it_is_mounted() {
    let masters = Masters::new(IMAGE_BYTES);
    let slave = masters.path("s.img");
    File::create(&slave).unwrap().set_len(IMAGE_BYTES).unwrap();
    masters.volume.succeed(&["newfs", "s.img"]);
    masters.volume.succeed(&["cluster", "add", "-t", "SLAVE", NODES, "s.img"]);

    let mounted = masters.volume.mount_node(NODES, &[]);
    let directory = masters.volume.directory().display().to_string();
    let detach = ["cluster", "resync", "--detach", "s.img", &directory];
    let content = noise(5 << 20);
    for round in 0..3 {
        let mut file = File::create(mounted.path(format!("file{round}"))).unwrap();
        file.write_all(&content).unwrap();
        file.sync_all().unwrap();
        let said = masters.volume.succeed(&detach);
        assert!(said.contains("in sync") && said.contains("can be unplugged"), "{said}");
        // It isn't in use any more: it can be checked, and taken away.
        masters.volume.succeed(&["fsck", "--strict", "s.img"]);
        assert!(masters.volume.run(&["cat", &format!("s.img@CL:/file{round}")]).stdout == content);
        fs::rename(&slave, masters.path("away.img")).unwrap();
        assert!(!masters.volume.run(&detach).status.success(), "it isn't there");
        fs::rename(masters.path("away.img"), &slave).unwrap();
    }
    masters.volume.refuse(&["cluster", "resync", "--detach", "b.img", &directory], 2, "is no slave");
    // The mount has reported the missing member, and its missing disk.
    let (status, said) = mounted.unmount();
    assert!(status.success(), "{said}");
    let alone = ["b.img", "s.img"].map(|image| masters.volume.succeed(&["manifest", &format!("{image}@CL")]));
    assert_eq!(alone[0], alone[1]);
}
