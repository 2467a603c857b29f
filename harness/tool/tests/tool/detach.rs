//! A slave that is kept elsewhere, with nothing mounted: it is brought in step when it is there, and isn't missed otherwise.

use super::folder::{Folder, noise};

const IMAGE_BYTES: u64 = 64 << 20;
const MASTERS: &str = "a.img+b.img+c.img@CL";

#[test]
fn a_slave_is_brought_in_step_by_plugging_it_in() {
    let folder = Folder::new();
    for image in ["a.img", "b.img", "c.img", "s.img", "x.img"] {
        folder.image(image, IMAGE_BYTES);
        folder.succeed(["newfs", image]);
    }
    folder.succeed(["cluster", "create", "-L", "CL", "--slave", "s.img", "a.img", "b.img", "c.img"]);
    // This is less than a member may lag by, as its disk may be slow for a moment on a busy machine.
    let content = noise(1 << 20, 19);
    std::fs::write(folder.path("content"), &content).unwrap();
    folder.succeed(["put", "content", &format!("{MASTERS}:/content")]);

    let said = folder.succeed(["cluster", "resync", "--detach", "s.img", MASTERS]);
    assert!(said.contains("in sync") && said.contains("can be unplugged"), "{said}");
    assert!(folder.read(["cat", "s.img@CL:/content"]) == content);
    let alone = ["a.img", "s.img"].map(|image| folder.succeed(["manifest", &format!("{image}@CL")]));
    assert_eq!(alone[0], alone[1]);
    folder.check("s.img");

    folder.refuse(["cluster", "resync", "--detach", "b.img", MASTERS], 2, "is no slave");
    folder.refuse(["cluster", "resync", "--detach", "x.img", MASTERS], 2, "is no member here");
    folder.refuse(["cluster", "resync", "--detach", "gone.img", MASTERS], 2, "gone.img");
}
