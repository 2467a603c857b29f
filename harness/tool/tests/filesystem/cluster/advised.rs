//! A table of refusals: each is provoked, every command that it advises in backquotes is run as it stands, each by itself, and
//! then the refused operation works.

use std::fs::{self, File};

use super::advice::advice;
use super::tool::Folder;

/// A refusal.
struct Case {
    /// The images, a letter each, and how many of them are formatted.
    images: (&'static str, usize),
    /// The commands before it; `!X` removes an image, `=XY` makes Y a copy of X.
    before: &'static [&'static str],
    /// The exit status, and the refused command.
    refused: (i32, &'static str),
    /// How many commands are advised.
    advised: usize,
    /// The command that works afterwards; empty if there is none.
    after: &'static str,
}

const CLUSTER: &str = "cluster create -L W A B C";
const FORCED: &[&str] = &[CLUSTER, "=BX", "mkdir A+B@W:/one", "mkdir X+C@W:/other"];

const CASES: &[Case] = &[
    Case { images: ("A", 1), before: &[], refused: (2, "pfs-clid A NONE"), advised: 1, after: "pfs-clid A DATA" },
    Case { images: ("A", 1), before: &[], refused: (2, "pfs-fsid A NONE"), advised: 1, after: "pfs-fsid A DATA" },
    Case { images: ("A", 1), before: &[], refused: (2, "cluster status A"), advised: 1, after: "cluster status A+new" },
    Case { images: ("A", 1), before: &[], refused: (2, "cluster resync A"), advised: 1, after: "cluster resync A+new" },
    Case {
        images: ("A", 1),
        before: &[],
        refused: (2, "cluster promote A A"),
        advised: 1,
        after: "cluster scrub A+new",
    },
    Case {
        images: ("A", 1),
        before: &[],
        refused: (2, "cluster remove A A"),
        advised: 1,
        after: "cluster status A+new",
    },
    Case { images: ("A", 1), before: &[], refused: (2, "scrub --resume A"), advised: 1, after: "scrub A" },
    Case { images: ("AB", 1), before: &[], refused: (2, "cluster add A B"), advised: 2, after: "cluster status A+B" },
    Case { images: ("AB", 2), before: &[], refused: (2, "fsck A+B"), advised: 1, after: "fsck B" },
    Case { images: ("A", 1), before: &[], refused: (2, "pfs-delete A DATA"), advised: 1, after: "pfs-create A DATA" },
    Case { images: ("ABC", 3), before: &[CLUSTER], refused: (2, "pfs-delete A W"), advised: 1, after: "pfs-list A" },
    Case {
        images: ("A", 1),
        before: &["put tree A:/tree"],
        refused: (1, "destroy A:/tree"),
        advised: 1,
        after: "mkdir A:/tree",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER],
        refused: (2, "cluster force A@W A"),
        advised: 1,
        after: "mkdir A@W:/x",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "!C"],
        refused: (1, "cluster status A+B@W"),
        advised: 1,
        after: "cluster status A+B@W",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "!C"],
        refused: (1, "cluster scrub A+B@W"),
        advised: 1,
        after: "cluster scrub A+B@W",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "!C"],
        refused: (1, "cluster resync A+B@W"),
        advised: 1,
        after: "cluster resync A+B@W",
    },
    // Nothing can be removed or replaced when too few are left to agree.
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "!B", "!C"],
        refused: (1, "mkdir A@W:/x"),
        advised: 1,
        after: "mkdir A@W:/x",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "!B", "!C"],
        refused: (3, "cluster status A@W"),
        advised: 1,
        after: "mkdir A@W:/x",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "!B", "!C"],
        refused: (1, "cluster scrub A@W"),
        advised: 1,
        after: "mkdir A@W:/x",
    },
    Case {
        images: ("AB", 2),
        before: &["cluster create -L W A B", "!A"],
        refused: (1, "cluster resync B@W"),
        advised: 1,
        after: "mkdir B@W:/x",
    },
    Case {
        images: ("ABCDE", 5),
        before: &["cluster create -L W A B C D E", "!A", "!B", "!C"],
        refused: (1, "mkdir D+E@W:/x"),
        advised: 2,
        after: "mkdir D+E@W:/x",
    },
    Case {
        images: ("ABC", 3),
        before: FORCED,
        refused: (1, "mkdir A+B+C@W:/x"),
        advised: 2,
        after: "mkdir A+B+C@W:/x",
    },
    Case {
        images: ("ABC", 3),
        before: FORCED,
        refused: (3, "cluster status A+B+C@W"),
        advised: 2,
        after: "cluster status A+B+C@W",
    },
    Case {
        images: ("ABC", 3),
        before: &[CLUSTER, "mkdir A+B@W:/x"],
        refused: (1, "cluster status A+B+C@W"),
        advised: 1,
        after: "cluster status A+B+C@W",
    },
];

impl Case {
    fn begin(&self) -> (Folder, String) {
        let (names, formatted) = self.images;
        let folder = Folder::new(names, formatted);
        File::create(folder.path().join("new")).unwrap().set_len(128 << 20).unwrap();
        for step in self.before {
            match step.split_at(1) {
                ("!", image) => fs::remove_file(folder.path().join(image)).unwrap(),
                ("=", images) => {
                    fs::copy(folder.path().join(&images[..1]), folder.path().join(&images[1..])).map(drop).unwrap();
                }
                _ => drop(folder.expect(0, step)),
            }
        }
        let (status, command) = self.refused;
        let output = folder.expect(status, command);
        let said = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        (folder, said)
    }
}

#[test]
fn every_refusal_is_followed_as_it_advises() {
    for case in CASES {
        let command = case.refused.1;
        let (_, said) = case.begin();
        let count = advice(&said).len();
        assert_eq!(count, case.advised, "{command}: {said}");
        for choice in 0..count {
            // Each advice is followed by itself, from the beginning.
            let (folder, said) = case.begin();
            folder.follow(&said, choice);
            folder.expect(0, case.after);
        }
    }
}
