//! Scripted workloads, each with several syncs.

use hammer2_model::Bytes::{Noise, Text, Zeros};
use hammer2_model::{Bytes, Step};

const KIB: u64 = 1024;

fn create(path: impl Into<String>) -> Step {
    Step::Create(path.into())
}

fn mkdir(path: impl Into<String>) -> Step {
    Step::Mkdir(path.into())
}

fn write(path: impl Into<String>, offset: u64, len: u64, bytes: Bytes) -> Step {
    Step::Write(path.into(), offset, len as usize, bytes)
}

fn append(path: impl Into<String>, len: u64) -> Step {
    Step::Append(path.into(), len as usize)
}

fn truncate(path: impl Into<String>, size: u64) -> Step {
    Step::Truncate(path.into(), size)
}

fn punch(path: impl Into<String>, offset: u64, len: u64) -> Step {
    Step::Punch(path.into(), offset, len)
}

fn clone(from: impl Into<String>, offset: u64, to: impl Into<String>, to_offset: u64, len: u64) -> Step {
    Step::Clone(from.into(), offset, to.into(), to_offset, len)
}

fn link(path: impl Into<String>, new: impl Into<String>) -> Step {
    Step::Link(path.into(), new.into())
}

fn unlink(path: impl Into<String>) -> Step {
    Step::Unlink(path.into())
}

fn rmdir(path: impl Into<String>) -> Step {
    Step::Rmdir(path.into())
}

fn rename(path: impl Into<String>, new: impl Into<String>) -> Step {
    Step::Rename(path.into(), new.into())
}

fn symlink(path: impl Into<String>, target: impl Into<String>) -> Step {
    Step::Symlink(path.into(), target.into())
}

fn fsync(path: impl Into<String>) -> Step {
    Step::Fsync(path.into())
}

fn snapshot(label: impl Into<String>) -> Step {
    Step::Snapshot(label.into())
}

/// The name of a workload, and its steps.
pub(crate) type Workload = (&'static str, Vec<Step>);

/// Makes `count` files of `len` bytes.
fn files(folder: &'static str, count: u64, len: u64) -> impl Iterator<Item = Step> {
    (0..count).flat_map(move |n| {
        let path = format!("{folder}f{n}");
        [create(path.clone()), write(path, 0, len, if n % 2 == 0 { Text } else { Noise })]
    })
}

/// Puts a sync behind every `every` steps, and one at the end.
fn synced(steps: impl IntoIterator<Item = Step>, every: usize) -> Vec<Step> {
    let mut all = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        all.push(step);
        if (index + 1) % every == 0 {
            all.push(Step::Sync);
        }
    }
    if !matches!(all.last(), Some(Step::Sync)) {
        all.push(Step::Sync);
    }
    all
}

/// All workloads.
pub(crate) fn all() -> Vec<Workload> {
    let mut all = of_names();
    all.extend(of_content());
    all.extend(of_many());
    all
}

fn of_names() -> Vec<Workload> {
    vec![
        ("create", synced((0..12).map(|n| create(format!("n{n}"))), 3)),
        ("long names", synced((0..10).map(|n| create(format!("{n}{}", "x".repeat(40 + 20 * n)))), 3)),
        ("directories and back", {
            let make = (0..8).map(|n| mkdir(format!("d{n}")));
            let fill = (0..8).map(|n| create(format!("d{n}/f")));
            let clear = (0..8).flat_map(|n| [unlink(format!("d{n}/f")), rmdir(format!("d{n}"))]);
            synced(make.chain(fill).chain(clear), 6)
        }),
        ("deep directories", {
            let path = |depth: usize| vec!["deep"; depth].join("/");
            let down = (1..14).map(move |depth| mkdir(path(depth)));
            let file = [create(path(13) + "/file"), append(path(13) + "/file", 3000)];
            let up = [unlink(path(13) + "/file"), rmdir(path(13)), rmdir(path(12)), rmdir(path(11))];
            synced(down.chain(file).chain(up), 5)
        }),
        ("symbolic links", {
            let make = (0..8).map(|n| symlink(format!("s{n}"), "to/".repeat(1 + 40 * n)));
            let drop = (0..4).map(|n| unlink(format!("s{}", 2 * n)));
            synced(make.chain(drop), 4)
        }),
        ("hard links", {
            let first = [mkdir("a"), mkdir("b"), create("a/f"), append("a/f", 2000)];
            let more = (0..6).map(|n| link("a/f", format!("b/l{n}")));
            let fewer = [append("b/l0", 9000), unlink("a/f"), unlink("b/l0"), unlink("b/l3"), append("b/l1", 1)];
            let last = [1, 2, 4, 5].map(|n| unlink(format!("b/l{n}")));
            synced(first.into_iter().chain(more).chain(fewer).chain(last), 3)
        }),
        ("rename over existing", {
            let steps = (0..6).flat_map(|n| {
                let new = format!("new{n}");
                [create(new.clone()), append(new.clone(), 5000 + n), rename(new, "the file")]
            });
            synced(steps, 4)
        }),
        ("rename directories", {
            let make = [mkdir("a"), mkdir("b"), mkdir("a/c"), create("a/c/f"), append("a/c/f", 100)];
            let moves =
                [rename("a/c", "b/c"), rename("b", "a/b"), mkdir("e"), rename("a/b/c", "e"), rename("e", "a/e")];
            let back =
                [rename("a/e/f", "f"), rmdir("a/e"), rmdir("a/b"), rename("f", "a/f"), unlink("a/f"), rmdir("a")];
            synced(make.into_iter().chain(moves).chain(back), 2)
        }),
    ]
}

fn of_content() -> Vec<Workload> {
    vec![
        ("overwrite in the inode", {
            let writes = (0..8).map(|n| write("f", 50 * n, 100, Noise));
            synced([create("f")].into_iter().chain(writes), 2)
        }),
        ("overwrite a block", {
            let writes = (0..8).map(|n| write("f", 3000 * n, 40_000, if n % 2 == 0 { Noise } else { Text }));
            synced([create("f")].into_iter().chain(writes), 2)
        }),
        ("append", synced([create("f")].into_iter().chain((0..14).map(|n| append("f", 500 << (n / 2)))), 3)),
        ("truncate down and up", {
            let sizes = [150_000, 70_000, 65_536, 300, 0, 512, 513, 200_000, 1];
            let cuts = sizes.map(|size| truncate("f", size));
            synced([create("f"), write("f", 0, 250_000, Noise)].into_iter().chain(cuts), 2)
        }),
        ("in the inode and out", {
            let lengths = [0, 512, 513, 512, 0, 70_000, 10, 600];
            let resize = lengths.into_iter().flat_map(|len| [truncate("f", len), append("f", 20), Step::Sync]);
            [create("f")].into_iter().chain(resize).collect()
        }),
        ("sparse", {
            let writes = (0..8).map(|n| write("f", n * n * 61 * KIB, 3000, Text));
            synced([create("f")].into_iter().chain(writes), 2)
        }),
        ("holes", {
            let punches = (0..7).map(|n| punch("f", n * 71 * KIB, (n + 1) * 13 * KIB));
            let zeros = [write("f", 0, 192 * KIB, Zeros), write("f", 70_000, 10, Text)];
            synced([create("f"), write("f", 0, 600 * KIB, Noise)].into_iter().chain(punches).chain(zeros), 2)
        }),
        ("methods", {
            let methods = [(0, 3), (2, 4), (0x63, 2), (1, 0), (2, 3)];
            let steps = methods.into_iter().flat_map(|(compression, check)| {
                [Step::Methods("f".into(), compression, check), write("f", 30_000, 150_000, Text), append("f", 999)]
            });
            synced([create("f")].into_iter().chain(steps), 3)
        }),
        ("a big file", {
            let parts = (0..6).map(|n| write("f", n * 512 * KIB, 512 * KIB, if n == 3 { Text } else { Noise }));
            let ends = [write("f", 1000 * KIB, 300 * KIB, Noise), truncate("f", 1234 * KIB), append("f", 300 * KIB)];
            synced([create("f")].into_iter().chain(parts).chain(ends), 3)
        }),
        ("blocks that files share", {
            // Of blocks that no commit has seen yet and of others, before and after either file is changed.
            let steps = (0..4).flat_map(|n| {
                let (from, to) = (format!("f{n}"), format!("t{n}"));
                let made = [create(from.clone()), write(from.clone(), 0, 300 * KIB, Noise), create(to.clone())];
                let sync = (n % 2 == 0).then_some(Step::Sync);
                let shared = [
                    clone(from.clone(), 0, to.clone(), 0, 300 * KIB),
                    clone(from.clone(), 64 * KIB, to.clone(), 448 * KIB, 100 * KIB),
                ];
                let gone = match n {
                    0 => [write(from, 0, 200 * KIB, Text), truncate(to, 100 * KIB)],
                    1 => [write(to, 64 * KIB, 64 * KIB, Zeros), unlink(from)],
                    2 => [unlink(to), write(from, 128 * KIB, 64 * KIB, Noise)],
                    _ => [punch(from, 0, 256 * KIB), clone(to, 64 * KIB, "t0", 0, 128 * KIB)],
                };
                made.into_iter().chain(sync).chain(shared).chain(gone).chain([append("f0", 64 * KIB)])
            });
            let freed =
                [Step::Bulkfree, snapshot("s"), unlink("t3"), Step::Bulkfree, Step::Bulkfree, append("f0", 500 * KIB)];
            synced(steps.chain(freed), 7)
        }),
        ("replace by copy", {
            let steps = (0..4).flat_map(|n| {
                [create("copy"), write("copy", 0, 100 * KIB + n, Noise), Step::Sync, rename("copy", "file"), Step::Sync]
            });
            steps.collect()
        }),
    ]
}

fn of_many() -> Vec<Workload> {
    vec![
        ("many small files", {
            let clear = (0..160).step_by(3).map(|n| unlink(format!("f{n}")));
            synced(files("", 160, 700).chain(clear), 90)
        }),
        ("many names in a directory", {
            let make = (0..300).map(|n| create(format!("d/name {n}")));
            let clear = (0..300).map(|n| unlink(format!("d/name {n}")));
            synced([mkdir("d")].into_iter().chain(make).chain(clear).chain([rmdir("d")]), 120)
        }),
        ("bulk delete", {
            let clear = (0..40).map(|n| unlink(format!("d/f{n}")));
            let mut steps = vec![mkdir("d")];
            steps.extend(files("d/", 40, 9000));
            steps.push(Step::Sync);
            steps.extend(clear);
            steps.extend([rmdir("d"), Step::Sync, create("f"), Step::Sync]);
            steps
        }),
        ("mixed sizes", {
            let sizes = [0, 1, 511, 513, 1024, 5000, 16_384, 65_535, 65_537, 200_000];
            let make = (0..20).flat_map(|n| {
                let path = format!("f{n}");
                [create(path.clone()), write(path, 0, sizes[n % sizes.len()], if n < 10 { Noise } else { Text })]
            });
            let change = (0..20).map(|n| append(format!("f{n}"), sizes[(n + 3) % sizes.len()]));
            let clear = (0..20).step_by(2).map(|n| unlink(format!("f{n}")));
            synced(make.chain(change).chain(clear), 17)
        }),
        ("written before it is synced", {
            // This is more than memory holds, so blocks go to the device long before a header leads to them.
            let first = (0..3).flat_map(|n| [create(format!("f{n}")), write(format!("f{n}"), 0, 1500 * KIB, Noise)]);
            let again = (0..3).map(|n| write(format!("f{n}"), 100 * KIB, 900 * KIB, Noise));
            let mut steps: Vec<_> = first.chain([Step::Sync]).chain(again).collect();
            steps.extend([unlink("f1"), write("f0", 0, 64 * KIB, Text), Step::Sync]);
            steps
        }),
        ("temporary files", {
            let steps = (0..10).flat_map(|n| {
                let path = format!("t{n}");
                [create(path.clone()), append(path.clone(), 3000 * (n + 1)), unlink(path)]
            });
            synced([create("kept")].into_iter().chain(steps), 7)
        }),
        ("snapshots", {
            let change = |n: u64| [write("f", 9000 * n, 20_000, Noise), append("d/g", 300), create(format!("n{n}"))];
            let steps = (0..4).flat_map(|n| change(n).into_iter().chain([snapshot(format!("s{n}"))]));
            let clear = [unlink("f"), unlink("d/g"), rmdir("d"), Step::Sync];
            [mkdir("d"), create("f"), create("d/g")].into_iter().chain(steps).chain(clear).collect()
        }),
        ("fsync of files", {
            let steps = (0..8).flat_map(|n| {
                let path = format!("f{n}");
                [create(path.clone()), append("log", 900), append(path.clone(), 700 * n), fsync(path)]
            });
            let log = (0..4).flat_map(|_| [append("log", 5000), fsync("log")]);
            [create("log")].into_iter().chain(steps).chain(log).collect()
        }),
        ("bulkfree between changes", {
            let steps = (0..4).flat_map(|n| {
                let path = format!("f{n}");
                [create(path.clone()), append(path.clone(), 70_000), Step::Bulkfree, unlink(path), Step::Bulkfree]
            });
            let last = [Step::Bulkfree, snapshot("s"), Step::Bulkfree, write("kept", 0, 4000, Noise), Step::Sync];
            [create("kept"), append("kept", 90_000)].into_iter().chain(steps).chain(last).collect()
        }),
        ("nothing between syncs", vec![Step::Sync, create("f"), Step::Sync, Step::Sync, append("f", 9), Step::Sync]),
    ]
}

/// A small tree for sequences of single operations.
pub(crate) fn prepared() -> Vec<Step> {
    vec![
        mkdir("d"),
        mkdir("empty"),
        create("f"),
        write("f", 0, 3000, Noise),
        create("small"),
        write("small", 0, 100, Text),
        create("d/g"),
        write("d/g", 0, 90_000, Text),
        symlink("s", "d/g"),
        Step::Sync,
    ]
}

/// A bit of everything, to begin on the prepared tree.
pub(crate) fn mixed() -> Vec<Step> {
    let long = "long".repeat(30);
    let first = [
        create("a"),
        write("a", 0, 400, Text),
        mkdir("d/e"),
        append("f", 60_000),
        link("f", "d/e/f"),
        write("d/g", 50_000, 100_000, Noise),
        symlink(long.clone(), "target/".repeat(100)),
        Step::Sync,
        rename("a", "d/e/a"),
        rename("small", "f"),
        Step::Exchange("d/g".into(), "empty".into()),
        Step::Exchange("empty".into(), "d/g".into()),
        snapshot("first"),
        punch("d/g", 10_000, 130_000),
        truncate("d/e/f", 1000),
        Step::Methods("d/e".into(), 2, 3),
        create("d/e/compressed"),
        write("d/e/compressed", 0, 200_000, Text),
        unlink(long),
        rmdir("empty"),
        fsync("d/e/compressed"),
        Step::Bulkfree,
    ];
    let many = (0..12).map(|n| create(format!("d/many {n}")));
    let last =
        [Step::Sync, unlink("d/many 3"), rename("d/e", "e"), truncate("e/a", 70_000), unlink("e/f"), Step::Bulkfree];
    first.into_iter().chain(many).chain(last).collect()
}

/// Growing between syncs, and using the new space.
pub(crate) fn growing() -> Vec<Step> {
    vec![
        create("before"),
        write("before", 0, 300_000, Noise),
        Step::Sync,
        create("with"),
        write("with", 0, 200_000, Noise),
        Step::Grow,
        create("after"),
        write("after", 0, 300_000, Noise),
        unlink("before"),
        Step::Sync,
        append("after", 70_000),
        Step::Sync,
    ]
}

/// Much is written, and removed a commit later.
pub(crate) fn removing() -> Vec<Step> {
    let mut steps = vec![mkdir("d"), create("stays"), write("stays", 0, 200_000, Noise)];
    steps.extend(files("d/", 12, 150_000));
    steps.extend([Step::Sync, write("stays", 70_000, 60_000, Noise), Step::Sync]);
    steps.extend((0..12).filter(|number| number % 3 > 0).map(|number| unlink(format!("d/f{number}"))));
    steps.extend([truncate("stays", 100_000), Step::Sync]);
    steps
}

/// Single operations on the prepared tree. After another one, some of them must fail.
pub(crate) fn vocabulary() -> Vec<Step> {
    vec![
        create("new"),
        write("small", 100, 1000, Noise),
        write("f", 500, 1000, Noise),
        write("d/g", 60_000, 10_000, Noise),
        append("f", 70_000),
        truncate("f", 100),
        truncate("d/g", 200_000),
        punch("d/g", 0, 65_536),
        link("f", "d/new link"),
        unlink("f"),
        unlink("d/g"),
        rename("f", "d/g"),
        rename("small", "moved"),
        rename("empty", "d/empty"),
        Step::Exchange("empty".into(), "d/g".into()),
        mkdir("d/new"),
        rmdir("empty"),
        symlink("new symlink", "somewhere"),
        fsync("f"),
        fsync("d/g"),
        snapshot("snapshot"),
        Step::Sync,
    ]
}
