//! The probe for libblkid that `docs/blkid.md` describes: with only the constants in that document, it recognizes volumes, and
//! names them like the tool. Also the answers of this machine's blkid(8) and wipefs(8).

use std::collections::HashMap;
use std::env;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use hammer2_core::media::check::crc32c;

use super::folder::Folder;

/// A row of the table.
#[derive(Clone, Debug)]
struct Constant {
    offset: Option<usize>,
    bytes: Option<usize>,
    value: Vec<u8>,
    number: Option<u64>,
}

/// The document's table, by name.
struct Constants(HashMap<String, Constant>);

fn number(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x");
    digits.map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

impl Constants {
    fn of_document() -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/blkid.md");
        Self::read(&fs::read_to_string(path).unwrap())
    }

    fn read(text: &str) -> Self {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        let constants = rows.map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let value = cells[3].split(' ').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<Vec<_>, _>>();
            let small = |text: &str| number(text).map(|number| usize::try_from(number).unwrap());
            let constant = Constant {
                offset: small(cells[1]),
                bytes: small(cells[2]),
                value: value.unwrap_or_default(),
                number: number(cells[3]),
            };
            (cells[0].trim_end_matches('`').to_owned(), constant)
        });
        Self(constants.collect())
    }

    fn of(&self, name: &str) -> &Constant {
        self.0.get(name).unwrap_or_else(|| panic!("docs/blkid.md has no `{name}`"))
    }

    /// The field of a structure.
    fn field<'b>(&self, name: &str, of: &'b [u8]) -> &'b [u8] {
        let Constant { offset, bytes, .. } = self.of(name);
        &of[offset.unwrap()..][..bytes.unwrap()]
    }

    fn read_number(&self, name: &str, of: &[u8]) -> u64 {
        self.field(name, of).iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// True when the field has the value that the document gives.
    fn has(&self, name: &str, of: &[u8]) -> bool {
        let Constant { value, .. } = self.of(name);
        !value.is_empty() && self.field(name, of) == value
    }

    fn size(&self, name: &str) -> usize {
        self.of(name).bytes.unwrap()
    }

    fn count(&self, name: &str) -> u64 {
        self.of(name).number.unwrap()
    }
}

/// The probe's result for a volume.
#[derive(Debug, PartialEq, Eq)]
struct Probed {
    uuid: String,
    version: u64,
    volume_bytes: u64,
    label: Option<String>,
}

fn read_at(file: &File, offset: u64, bytes: usize) -> Option<Vec<u8>> {
    let mut block = vec![0; bytes];
    file.read_exact_at(&mut block, offset).ok().map(|()| block)
}

/// The probe that the document describes.
fn probe(constants: &Constants, path: &Path) -> Option<Probed> {
    let file = File::open(path).unwrap();
    let is_good = |header: &Vec<u8>| {
        let code = |name: &str| {
            let covered = constants.of(name).offset.unwrap();
            constants.read_number(name, header) == u64::from(crc32c(&header[..covered]))
        };
        constants.has("magic", header) && constants.has("fstype", header) && code("sector_code") && code("header_code")
    };
    let copies = (0..constants.count("copies")).map(|copy| copy * constants.count("copy_distance"));
    let copies = copies.filter_map(|offset| read_at(&file, offset, constants.size("header"))).filter(is_good);
    let header = copies.max_by_key(|header| constants.read_number("mirror_tid", header))?;
    let fsid = constants.field("fsid", &header);
    let hex = |bytes: &mut dyn Iterator<Item = &u8>| bytes.map(|byte| format!("{byte:02x}")).collect::<String>();
    let swapped = |from: usize, to: usize| hex(&mut fsid[from..to].iter().rev());
    let uuid = [swapped(0, 4), swapped(4, 6), swapped(6, 8), hex(&mut fsid[8..10].iter()), hex(&mut fsid[10..].iter())];
    Some(Probed {
        uuid: uuid.join("-"),
        version: constants.read_number("version", &header),
        volume_bytes: constants.read_number("volu_size", &header),
        label: label(constants, &file, &header),
    })
}

/// The inode that a blockref leads to, if it leads to one.
fn inode(constants: &Constants, file: &File, blockref: &[u8]) -> Option<Vec<u8>> {
    let is_inode = constants.has("blockref_type", blockref);
    let offset = constants.read_number("blockref_data_off", blockref) & !0x3f;
    read_at(file, offset, constants.size("inode")).filter(|_| is_inode)
}

/// The document's section "Which label".
fn label(constants: &Constants, file: &File, header: &[u8]) -> Option<String> {
    let is_root_volume = constants.read_number("volu_id", header) == 0;
    let super_root = inode(constants, file, constants.field("super_root", header)).filter(|_| is_root_volume)?;
    let blockrefs = constants.field("inode_set", &super_root).chunks(constants.size("blockref"));
    assert_eq!(blockrefs.len() as u64, constants.count("set_entries"));
    let empty = |blockref: &&[u8]| constants.field("blockref_type", blockref) != [0];
    let mut labels = Vec::new();
    for blockref in blockrefs.filter(empty) {
        let pfs = inode(constants, file, blockref)?;
        let name = constants.field("inode_name", &pfs);
        let name = &name[..constants.read_number("inode_name_len", &pfs) as usize];
        if constants.has("inode_subtype", &pfs) && name != b"LOCAL" {
            labels.push(String::from_utf8(name.to_vec()).unwrap());
        }
    }
    let data = labels.iter().position(|label| label == "DATA");
    labels.into_iter().nth(data.unwrap_or(0))
}

/// The tool's answer for the same volume.
fn told(folder: &Folder, image: &str) -> Probed {
    let info = folder.json(["info", "--json", image]);
    let (header, volume) = (&info["header"], &info["volumes"][0]);
    let udev = folder.succeed(["scan", "--udev", image]);
    let label = udev.lines().find_map(|line| line.strip_prefix("ID_FS_LABEL="));
    Probed {
        uuid: header["fsid"].as_str().unwrap().into(),
        version: header["version"].as_u64().unwrap(),
        volume_bytes: volume["bytes"].as_u64().unwrap(),
        label: label.map(Into::into),
    }
}

#[test]
fn a_probe_by_the_document_finds_what_the_tool_finds() {
    let (folder, constants) = (Folder::new(), Constants::of_document());
    for (image, bytes, labels) in [
        ("small.img", 64 << 20, &["HOME"][..]),
        ("data.img", 256 << 20, &["OTHER", "DATA"]),
        ("large.img", 9 << 30, &["LARGE"]),
    ] {
        folder.image(image, bytes);
        let labels = labels.iter().flat_map(|label| ["-L", label]);
        folder.succeed(["newfs", "-q"].into_iter().chain(labels).chain([image]));
        assert_eq!(probe(&constants, &folder.path(image)), Some(told(&folder, image)), "{image}");
        // Any copy may be the newest.
        for name in ["a", "b", "c"] {
            folder.succeed(["mkdir", &format!("{image}:/{name}")]);
            let probed = probe(&constants, &folder.path(image));
            assert_eq!(probed, Some(told(&folder, image)), "{image}");
            assert!(probed.is_some_and(|probed| probed.label.is_some()), "{image}");
        }
    }
    // The first copy alone doesn't make a volume, and a volume without it is still one.
    let large = File::options().write(true).open(folder.path("large.img")).unwrap();
    large.write_all_at(&[0; 8], 0).unwrap();
    assert_eq!(probe(&constants, &folder.path("large.img")), Some(told(&folder, "large.img")));
    folder.image("empty.img", 64 << 20);
    assert_eq!(probe(&constants, &folder.path("empty.img")), None);
    // A sector of a header is torn.
    let small = File::options().write(true).open(folder.path("small.img")).unwrap();
    small.write_all_at(&[1], 0x208).unwrap();
    assert_eq!(probe(&constants, &folder.path("small.img")), None);
}

#[test]
fn each_constant_of_the_document_counts() {
    let folder = Folder::new();
    folder.image("a.img", 64 << 20);
    folder.succeed(["newfs", "-q", "-L", "HOME", "a.img"]);
    // This would be chosen if it weren't a snapshot.
    folder.succeed(["snapshot", "a.img@HOME", "DATA"]);
    let right = Constants::of_document();
    let expected = probe(&right, &folder.path("a.img"));
    assert_eq!(expected.as_ref().and_then(|probed| probed.label.as_deref()), Some("HOME"));
    // Constants that only matter for several copies, volumes or PFSs are left out: they are tested above, and by the golden
    // volumes.
    let of_others = ["copy_distance", "copies", "mirror_tid", "volu_id", "set_entries", "blockref", "header", "inode"];
    for name in right.0.keys().filter(|name| !of_others.contains(&name.as_str())) {
        let mut wrong = Constants(right.0.clone());
        let constant = wrong.0.get_mut(name).unwrap();
        constant.offset = constant.offset.map(|offset| offset + 4);
        let outcome = std::panic::catch_unwind(|| probe(&wrong, &folder.path("a.img")));
        assert!(!outcome.is_ok_and(|probed| probed == expected), "{name} can be anything");
    }
}

/// The output of a program about an image, as `NAME=VALUE` or in another form.
fn said(program: &str, arguments: &[&str], image: &Path) -> Option<String> {
    let output = Command::new(program).args(arguments).arg(image).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn libblkid_of_this_machine_knows_no_hammer2_or_says_the_same() {
    let folder = Folder::new();
    folder.image("a.img", 256 << 20);
    folder.succeed(["newfs", "-q", "-L", "HOME", "a.img"]);
    let image = folder.path("a.img");
    let told = told(&folder, "a.img");
    let Some(probed) = said("blkid", &["-p", "-o", "export"], &image) else {
        eprintln!("no blkid here: SKIPPED");
        return;
    };
    let value = |name: &str| probed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    match value("TYPE") {
        None => assert_eq!(probed, "", "it takes a part of the volume for something else"),
        Some(kind) => {
            assert_eq!((kind, value("UUID"), value("LABEL")), ("hammer2", Some(&told.uuid[..]), told.label.as_deref()));
        }
    }
    let signatures = said("wipefs", &["--noheadings", "--output", "TYPE"], &image).unwrap_or_default();
    assert!(signatures.lines().all(|kind| kind.trim() == "hammer2"), "{signatures}");
}

#[test]
#[ignore = "needs golden volumes, in H2_GOLDEN: scripts/test golden-check"]
fn golden_volumes_are_probed_as_the_tool_finds_them() {
    let golden: PathBuf = env::var_os("H2_GOLDEN").expect("H2_GOLDEN names the folder of the golden volumes").into();
    let constants = Constants::of_document();
    let (mut probed, mut labelled) = (0, 0);
    for entry in fs::read_dir(golden).unwrap() {
        let packed = entry.unwrap().path();
        let name = packed.file_name().unwrap().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".zst") else { continue };
        let folder = Folder::new();
        let image = folder.path(name);
        let mut unpack = Command::new("zstd");
        assert!(unpack.args(["-d", "-q", "--sparse"]).arg(&packed).arg("-o").arg(&image).status().unwrap().success());
        let seen = probe(&constants, &image).unwrap_or_else(|| panic!("{name}: not recognized"));
        let udev = folder.succeed(["scan", "--udev", name]);
        let value = |key: &str| udev.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        assert_eq!(Some(&seen.uuid[..]), value("ID_FS_UUID"), "{name}");
        // For one volume of a set, the tool gives no label; with many PFSs, the probe doesn't.
        if let (Some(label), Some(told)) = (&seen.label, value("ID_FS_LABEL")) {
            assert_eq!(label, told, "{name}");
            labelled += 1;
        }
        probed += 1;
    }
    assert!(probed > 20 && labelled > 10, "{probed} volumes, {labelled} with labels");
    println!("{probed} golden volumes, {labelled} with labels");
}

#[test]
fn the_table_is_read_as_it_is_written() {
    let constants = Constants::read("| `a` | 0x10 | 8 | 01 ff | words |\n| `b` | | | 0x80000000 | |\n");
    let a = constants.of("a");
    assert_eq!((a.offset, a.bytes, &a.value[..]), (Some(16), Some(8), &[1, 255][..]));
    assert_eq!(constants.count("b"), 0x8000_0000);
}
