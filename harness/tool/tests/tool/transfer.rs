//! Sending a PFS, and then its changes: every received state is the one that was sent.

use std::fs::{self, File};
use std::process::{Output, Stdio};

use hammer2_core::random::Random;

use super::folder::{Folder, noise};

fn folder_with(images: &[&str]) -> Folder {
    let folder = Folder::new();
    for image in images {
        folder.image(image, 128 << 20);
        folder.succeed(["newfs", image]);
    }
    folder
}

/// Sends, and keeps the stream; returns the reported transaction id.
fn send(folder: &Folder, arguments: &[&str], stream: &str) -> String {
    let output = folder.command(["send"].iter().chain(arguments)).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    fs::write(folder.path(stream), output.stdout).unwrap();
    told.trim().rsplit(' ').next().unwrap().to_owned()
}

fn receive(folder: &Folder, target: &str, stream: &str) -> Output {
    let input = File::open(folder.path(stream)).unwrap();
    folder.command(["receive", target]).stdin(input).stdout(Stdio::piped()).output().unwrap()
}

fn received(folder: &Folder, target: &str, stream: &str) {
    let output = receive(folder, target, stream);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn refused(folder: &Folder, target: &str, stream: &str, status: i32, complaint: &str) {
    let output = receive(folder, target, stream);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(status), "{text}");
    assert!(text.contains(complaint), "{text}");
}

fn alike(folder: &Folder, one: &str, other: &str) {
    assert_eq!(folder.succeed(["manifest", one]), folder.succeed(["manifest", other]), "{one} and {other}");
}

/// Something of every kind: large and small files, compressible ones, holes, links, a long name.
fn populate(folder: &Folder) {
    let src = folder.path("src");
    fs::create_dir_all(src.join("dir/inner")).unwrap();
    fs::write(src.join("small"), "small").unwrap();
    fs::write(src.join("noise"), noise(300_000, 1)).unwrap();
    fs::write(src.join("text"), "all work and no play\n".repeat(20_000)).unwrap();
    fs::write(src.join("dir").join("n".repeat(200)), "long").unwrap();
    fs::hard_link(src.join("text"), src.join("dir/inner/same")).unwrap();
    std::os::unix::fs::symlink("small", src.join("link")).unwrap();
    let holes = File::create(src.join("holes")).unwrap();
    holes.set_len(3 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"middle", 1 << 20).unwrap();
    folder.succeed(["put", "src", "a.img:/"]);
}

/// Changes of every kind.
fn change(folder: &Folder, round: u64) {
    let more = folder.path(format!("more{round}"));
    fs::create_dir_all(more.join("new")).unwrap();
    fs::write(more.join("new").join(format!("file{round}")), noise(150_000, round)).unwrap();
    folder.succeed(["put", &format!("more{round}"), "a.img:/"]);
    match round {
        1 => {
            folder.succeed(["rm", "a.img:/noise"]);
            folder.succeed(["mv", "a.img:/dir/inner", "/moved"]);
            folder.succeed(["truncate", "70000", "a.img:/text"]);
        }
        2 => {
            folder.succeed(["ln", "/small", "a.img:/dir/another"]);
            folder.succeed(["rm", "a.img:/moved/same"]);
            folder.succeed(["truncate", "1000000", "a.img:/small"]);
            folder.succeed(["rm", "a.img:/link"]);
        }
        3 => {
            folder.succeed(["rm", "-r", "a.img:/dir"]);
            folder.succeed(["chmod", "600", "a.img:/text"]);
        }
        _ => {}
    }
}

#[test]
fn changes_are_applied_in_their_order_and_in_no_other() {
    let folder = folder_with(&["a.img", "b.img"]);
    populate(&folder);
    let mut tid = send(&folder, &["a.img@DATA"], "full");
    received(&folder, "b.img@COPY", "full");
    alike(&folder, "a.img", "b.img@COPY");
    let mut streams = Vec::new();
    for round in 1..=3 {
        change(&folder, round);
        let stream = format!("inc{round}");
        tid = send(&folder, &["a.img@DATA", &tid], &stream);
        streams.push(stream);
    }
    let whole = fs::metadata(folder.path("full")).unwrap().len();
    let part = fs::metadata(folder.path("inc3")).unwrap().len();
    assert!(part < whole / 2, "{part} of {whole}: what didn't change isn't sent");
    refused(&folder, "b.img@COPY", "inc2", 2, "isn't what it received last");
    refused(&folder, "b.img@COPY", "full", 2, "isn't empty");
    received(&folder, "b.img@COPY", "inc1");
    refused(&folder, "b.img@COPY", "inc1", 2, "isn't what it received last");
    received(&folder, "b.img@COPY", "inc2");
    received(&folder, "b.img@COPY", "inc3");
    alike(&folder, "a.img", "b.img@COPY");
    folder.check("b.img");
    // The received PFS is sent on, as a whole and in changes.
    let from = send(&folder, &["b.img@COPY"], "on");
    received(&folder, "a.img@BACK", "on");
    alike(&folder, "a.img", "a.img@BACK");
    folder.succeed(["rm", "b.img@COPY:/text"]);
    change(&folder, 4);
    send(&folder, &["a.img@DATA", &tid], "inc4");
    refused(&folder, "b.img@COPY", "inc4", 2, "was changed since");
    send(&folder, &["b.img@COPY", &from], "inc5");
    received(&folder, "a.img@BACK", "inc5");
    alike(&folder, "b.img@COPY", "a.img@BACK");
    folder.check("a.img");
}

#[test]
fn snapshots_are_bases() {
    let folder = folder_with(&["a.img", "b.img"]);
    populate(&folder);
    folder.succeed(["snapshot", "a.img@DATA", "one"]);
    change(&folder, 1);
    folder.succeed(["snapshot", "a.img@DATA", "two"]);
    change(&folder, 2);
    send(&folder, &["a.img@one"], "full");
    send(&folder, &["a.img@two", "one"], "first");
    send(&folder, &["a.img@DATA", "two"], "second");
    received(&folder, "b.img@COPY", "full");
    alike(&folder, "a.img@one", "b.img@COPY");
    refused(&folder, "b.img@COPY", "second", 2, "isn't what it received last");
    received(&folder, "b.img@COPY", "first");
    alike(&folder, "a.img@two", "b.img@COPY");
    received(&folder, "b.img@COPY", "second");
    alike(&folder, "a.img", "b.img@COPY");
    folder.check("b.img");
    folder.refuse(["send", "a.img@DATA", "three"], 2, "there is no snapshot three");
    folder.refuse(["send", "a.img@one", "DATA"], 2, "is no snapshot");
    folder.refuse(["send", "a.img@DATA", "0xffffff"], 2, "there is nothing that");
}

#[test]
fn a_cluster_receives_on_all_members() {
    let folder = folder_with(&["a.img", "b.img", "c.img", "d.img"]);
    populate(&folder);
    let tid = send(&folder, &["a.img"], "full");
    change(&folder, 1);
    send(&folder, &["a.img", &tid], "inc");
    let cluster = "b.img+c.img+d.img@COPY";
    received(&folder, cluster, "full");
    received(&folder, cluster, "inc");
    for image in ["b.img", "c.img", "d.img"] {
        folder.check(image);
        let alone = folder.succeed(["--as-of", "0", "manifest", &format!("{image}@COPY")]);
        assert_eq!(alone, folder.succeed(["manifest", "a.img"]), "{image}");
    }
    // It can also be sent with one member missing.
    send(&folder, &["b.img+c.img@COPY"], "from");
    received(&folder, "a.img@BACK", "from");
    alike(&folder, "a.img", "a.img@BACK");
}

/// Streams that are cut or spoilt anywhere change nothing, and the whole stream is received after them.
#[test]
fn cut_and_spoilt_streams_are_refused() {
    let folder = folder_with(&["a.img", "b.img"]);
    fs::create_dir(folder.path("src")).unwrap();
    fs::write(folder.path("src/small"), "small").unwrap();
    fs::write(folder.path("src/text"), "all work and no play\n".repeat(9_000)).unwrap();
    folder.succeed(["put", "src", "a.img:/"]);
    let tid = send(&folder, &["a.img"], "full");
    received(&folder, "b.img@COPY", "full");
    fs::remove_file(folder.path("src/small")).unwrap();
    fs::write(folder.path("src/other"), noise(3000, 1)).unwrap();
    folder.succeed(["rm", "a.img:/text"]);
    folder.succeed(["mkdir", "a.img:/dir"]);
    send(&folder, &["a.img", &tid], "inc");
    let before = folder.succeed(["manifest", "b.img@COPY"]);
    let stream = fs::read(folder.path("inc")).unwrap();
    let mut random = Random::new(5);
    let all = std::env::var_os("HAMMER2_FULL").is_some();
    let places: Vec<usize> = match all {
        true => (0..stream.len()).collect(),
        false => (0..24).map(|_| random.index(stream.len())).chain([0, stream.len() - 1]).collect(),
    };
    for place in places {
        fs::write(folder.path("cut"), &stream[..place]).unwrap();
        refused(&folder, "b.img@COPY", "cut", 1, "nothing was changed");
        let mut spoilt = stream.clone();
        spoilt[place] ^= 1 << random.index(8);
        fs::write(folder.path("spoilt"), &spoilt).unwrap();
        refused(&folder, "b.img@COPY", "spoilt", 1, "nothing was changed");
    }
    assert_eq!(folder.succeed(["manifest", "b.img@COPY"]), before);
    received(&folder, "b.img@COPY", "inc");
    alike(&folder, "a.img", "b.img@COPY");
    folder.check("b.img");
    fs::write(folder.path("else"), "something else altogether").unwrap();
    refused(&folder, "b.img@COPY", "else", 1, "no stream of `hammer2 send`");
}

/// A stream that is cut anywhere goes on from there, by the token.
#[test]
fn a_cut_stream_goes_on_where_it_was_cut() {
    let folder = folder_with(&["a.img", "b.img"]);
    fs::create_dir(folder.path("src")).unwrap();
    fs::write(folder.path("src/text"), "all work and no play\n".repeat(900)).unwrap();
    fs::write(folder.path("src/noise"), noise(9000, 1)).unwrap();
    folder.succeed(["put", "src", "a.img:/"]);
    folder.succeed(["snapshot", "a.img@DATA", "one"]);
    send(&folder, &["a.img@one"], "full");
    let stream = fs::read(folder.path("full")).unwrap();
    let token =
        |folder: &Folder| folder.succeed(["receive", "--keep", "kept", "--token", "b.img@COPY"]).trim().to_owned();
    assert_eq!(token(&folder), "0-0000000000000000");
    let mut random = Random::new(3);
    let all = std::env::var_os("HAMMER2_FULL").is_some();
    let places: Vec<usize> = match all {
        true => (0..stream.len()).collect(),
        false => (0..12).map(|_| random.index(stream.len())).chain([0, stream.len() - 1]).collect(),
    };
    for (number, place) in places.into_iter().enumerate() {
        let _ = fs::remove_file(folder.path("kept"));
        let label = format!("b.img@COPY{number}");
        fs::write(folder.path("cut"), &stream[..place]).unwrap();
        let input = File::open(folder.path("cut")).unwrap();
        let output = folder.command(["receive", "--keep", "kept", &label]).stdin(input).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let token = token(&folder);
        assert!(output.status.code() == Some(1) && told.contains(&format!("--resume {token}`")), "{told}");
        send(&folder, &["a.img@one", "--resume", &token], "rest");
        let rest = fs::read(folder.path("rest")).unwrap();
        let at: usize = token.split('-').next().unwrap().parse().unwrap();
        assert!(at <= place && rest == stream[at..], "{token}: what was received isn't sent again");
        let input = File::open(folder.path("rest")).unwrap();
        let output = folder.command(["receive", "--keep", "kept", &label]).stdin(input).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        alike(&folder, "a.img@one", &label);
        if number > 0 {
            folder.succeed(["pfs-delete", "b.img", &format!("COPY{number}")]);
            folder.succeed(["bulkfree", "b.img"]);
        }
    }
    // A kept part of another stream, or one that doesn't fit, can't be continued.
    fs::write(folder.path("cut"), &stream[..stream.len() / 2]).unwrap();
    let input = File::open(folder.path("cut")).unwrap();
    folder.command(["receive", "--keep", "kept", "b.img@NEW"]).stdin(input).output().unwrap();
    let token = token(&folder);
    folder.succeed(["rm", "a.img:/text"]);
    folder.refuse(["send", "a.img@DATA", "--resume", &token], 2, "isn't the beginning of this stream");
    let input = File::open(folder.path("rest")).unwrap();
    let output = folder.command(["receive", "--keep", "kept", "b.img@NEW"]).stdin(input).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    fs::write(folder.path("mine"), "something of mine").unwrap();
    folder.refuse(["receive", "--keep", "mine", "b.img@NEW"], 2, "holds no stream");
    assert_eq!(fs::read(folder.path("mine")).unwrap(), b"something of mine");
}
