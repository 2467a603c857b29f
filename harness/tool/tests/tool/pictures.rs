//! Pictures and pages of filesystems that aren't mounted: they are well-formed whatever the names are, agree with the JSON, and
//! have the exit statuses of the text output. Those of mounts are in `mount/seeing.rs`.

use roxmltree::Document;

use super::folder::Folder;

/// A label that would be an element, an entity and the end of an attribute, if it weren't escaped.
const LABEL: &str = "<b x='1'>&lt;\"]]>";

/// Three masters with a file each; images have names of the same kind.
fn cluster() -> (Folder, [&'static str; 3]) {
    let images = ["<a>&.img", "b\"'.img", "c.img"];
    let folder = Folder::new();
    for image in images {
        folder.image(image, 256 << 20);
        folder.succeed(["newfs", image]);
    }
    folder.succeed(["cluster", "create", "-L", LABEL, images[0], images[1], images[2]]);
    (folder, images)
}

/// The output of a command, which must end with this status.
fn printed(folder: &Folder, arguments: &[&str], status: i32) -> String {
    let output = folder.run(arguments);
    assert_eq!(output.status.code(), Some(status), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn texts(document: &Document<'_>) -> Vec<String> {
    let texts = document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", "text")));
    texts.map(|node| node.children().filter_map(|inner| inner.text()).collect()).collect()
}

#[test]
fn a_cluster_is_drawn_with_its_members_and_those_that_are_missing() {
    let (folder, [one, other, third]) = cluster();
    let (all, two) = (format!("{one}+{other}+{third}@{LABEL}"), format!("{one}+{third}@{LABEL}"));
    for (nodes, status, states) in [(&all, 0, ["in sync"; 3]), (&two, 1, ["in sync", "in sync", "missing"])] {
        let svg = printed(&folder, &["cluster", "status", "--svg", nodes], status);
        let document = Document::parse(&svg).unwrap();
        let texts = texts(&document);
        let has = |text: &str| texts.iter().any(|drawn| drawn == text);
        assert!(has(LABEL) && has(one) && has(third), "{texts:?}");
        let drawn: Vec<&str> = texts.iter().map(String::as_str).filter(|text| states.contains(text)).collect();
        assert_eq!(drawn, states);
        let status_of = |form: &str| printed(&folder, &["cluster", "status", form, nodes], status);
        let json: serde_json::Value = serde_json::from_str(&status_of("--json")).unwrap();
        let version = json["version"].as_str().unwrap();
        assert!(texts.iter().any(|text| text.ends_with(&format!("version {version}"))), "{texts:?}");
        let page = status_of("--html");
        assert!(page.starts_with("<!DOCTYPE html>") && page.contains(&svg[svg.find("<rect").unwrap()..svg.len() - 10]));
        assert!(!page.contains("<b x") && page.contains("&lt;b x"), "{page}");
        assert!(page.contains("give the directory it is mounted on"));
    }
    for forms in [["--json", "--html"], ["--json", "--svg"], ["--html", "--svg"]] {
        folder.refuse(["cluster", "status", forms[0], forms[1], &all], 2, "cannot be used with");
    }
    // There are too few members to change anything, and then no cluster at all.
    printed(&folder, &["cluster", "status", "--svg", &format!("{third}@{LABEL}")], 3);
    folder.refuse(["cluster", "status", "--html", "c.img@NONE"], 2, "@NONE");
}

#[test]
fn a_freemap_is_drawn_to_scale() {
    let (folder, [one, ..]) = cluster();
    let content: Vec<u8> =
        (0..20_000_000u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).take(20 << 20).collect();
    std::fs::write(folder.path("content"), content).unwrap();
    folder.succeed(["put", "content", &format!("{one}@LOCAL:/file")]);
    let svg = printed(&folder, &["freemap", "--svg", one], 0);
    let document = Document::parse(&svg).unwrap();
    let texts = texts(&document);
    let total = folder.succeed(["freemap", "--json", one]);
    let total: serde_json::Value = serde_json::from_str(total.lines().last().unwrap()).unwrap();
    let human = |key: &str| indicatif::HumanBytes(total[key].as_u64().unwrap()).to_string();
    let said = format!("{} of 256.00 MiB allocated, {} free", human("allocated_bytes"), human("free_bytes"));
    assert!(texts.contains(&said), "{said}: {texts:?}");
    assert!(texts.iter().any(|text| text.starts_with("file data: 2")), "{texts:?}");
    assert!(
        texts.iter().any(|text| text.starts_with("reserved")) && texts.iter().any(|text| text.starts_with("inodes"))
    );
    assert!(texts.iter().any(|text| text.starts_with("a cell is 64.00 KiB, a row 4.00 MiB;")), "{texts:?}");
    assert!(texts.iter().any(|text| text == one));
    folder.refuse(["freemap", "--svg", "--json", one], 2, "cannot be used with");
    folder.refuse(["freemap", "--svg", "--segments", one], 2, "cannot be used with");
    folder.refuse(["freemap", "--svg", "none.img"], 2, "none.img: No such file");
}

#[test]
fn the_freemap_of_terabytes_is_no_larger_a_picture() {
    let folder = Folder::new();
    folder.image("large.img", 4 << 40);
    folder.succeed(["newfs", "large.img"]);
    let svg = printed(&folder, &["freemap", "--svg", "large.img"], 0);
    let document = Document::parse(&svg).unwrap();
    assert!(texts(&document).iter().any(|text| text.starts_with("a cell is 1.00 GiB, a row 64.00 GiB;")), "{svg}");
    assert!(svg.len() < 100_000, "{} bytes", svg.len());
}
