//! Clients: their operations on a mounted filesystem, and the results that they expect.
//! Several clients run beside each other. The filesystem makes one change after the other, and reports each at the moment it is
//! made, so the model changes in the same order.

use hammer2_core::cluster::EntryBatch;
use hammer2_core::fs::{Cookie, Error, NewFile};
use hammer2_core::media::FileKind;
use hammer2_core::media::geometry::FILE_BLOCK_BYTES;
use hammer2_model::{Change, Entries, New, Number};

use crate::administering::administer;
use crate::chronicle::What;
use crate::inserting;
use crate::members;
use crate::nodes::HEAP;
use crate::plan::Errand;
use crate::reading::{entries_of, inum, number};
use crate::resuming;
use crate::session::Session;

/// The longest any operation may take while a quorum is healthy, in virtual time: a few deadlines of devices.
const LIMIT_NANOSECONDS: u64 = 60_000_000_000;
/// The same for users' operations while there is no administration and a quorum isn't slow: a few soft deadlines.
const SOFT_LIMIT_NANOSECONDS: u64 = 300_000_000;
const NAMES: u64 = 24;
const FILES: usize = 60;
const FILE_BYTES: u64 = 400_000;
const BLOCK: u64 = FILE_BLOCK_BYTES as u64;

/// Runs one client, until all have done enough.
pub(crate) async fn client(session: &Session<'_>, client: u64) {
    while !session.is_over.get() && session.steps_begun.get() < session.steps {
        let number = session.steps_begun.get();
        session.steps_begun.set(number + 1);
        let errand = session.world.before_step(number);
        session.world.tally.borrow_mut().operations += 1;
        let (started, mended) = (session.host.nanoseconds(), session.times_mended.get());
        log::info!("step {number}");
        let administered = session.administered.get();
        let administering = errand.is_some().then(|| session.administering());
        let Done { what, detail, has_failed } = match errand {
            Some(Errand::Sync) => {
                session.sync().await;
                "sync".into()
            }
            Some(Errand::Resync) => {
                session.resync_all().await;
                "resync".into()
            }
            Some(Errand::ChangeMembers) => {
                members::change(session).await;
                "a change of members".into()
            }
            Some(Errand::Insert) => {
                inserting::insert(session).await;
                "putting a disk in".into()
            }
            None => step(session).await,
        };
        drop(administering);
        let is_left_alone = administered.0 == 0 && session.administered.get() == administered;
        let took = session.host.nanoseconds() - started;
        log::info!("step {number}: {what} done");
        session.world.tell(|| What::Step { client, number, what, detail, has_failed, began: started });
        // An operation under way while disks were mended may still have met their faults.
        if let (Some(what), true) = (session.suspicion.take(), mended == session.times_mended.get()) {
            session.is_over.set(true);
            session.world.tell(|| What::Wrong { text: what.clone() });
            session.wrong.borrow_mut().get_or_insert(what);
        }
        if session.is_stopped.get() && !session.is_over.get() {
            resuming::resume(session).await;
            continue;
        }
        session.host.note(took);
        let is_swift = is_left_alone && session.world.must_be_swift(session.fs);
        let limit = if is_swift { SOFT_LIMIT_NANOSECONDS } else { LIMIT_NANOSECONDS };
        if took > limit && session.world.must_work(session.fs) {
            session.violation(format!("I14: {what} took {} ms though a quorum is healthy", took / 1_000_000));
        }
    }
}

/// A step that a client did.
struct Done {
    what: &'static str,
    /// The details, if events are kept.
    detail: String,
    has_failed: bool,
}

impl From<&'static str> for Done {
    fn from(what: &'static str) -> Self {
        Self { what, detail: String::new(), has_failed: false }
    }
}

async fn step(session: &Session<'_>) -> Done {
    let kind = session.random.borrow_mut().below(100);
    if session.random.borrow_mut().percent(1) {
        return administer(session).await.into();
    }
    match kind {
        0..7 => {
            session.sync().await;
            "sync".into()
        }
        7..20 => {
            read_file(session).await;
            "read".into()
        }
        20..24 => {
            list(session).await;
            "list".into()
        }
        24..28 => {
            look_up(session).await;
            "lookup".into()
        }
        _ => change(session).await,
    }
}

fn random_of(session: &Session<'_>, from: &[Number]) -> Option<Number> {
    (!from.is_empty()).then(|| session.random.borrow_mut().pick(from))
}

fn name(session: &Session<'_>) -> String {
    let number = session.random.borrow_mut().below(NAMES);
    if number < 2 { "l".repeat(80 + 60 * number as usize) } else { format!("n{number}") }
}

fn size(session: &Session<'_>) -> u64 {
    let mut random = session.random.borrow_mut();
    let limit = random.pick(&[400, 400, 600, 3_000, 3_000, 20_000, 70_000, 200_000]);
    random.below(limit)
}

fn data(session: &Session<'_>) -> Vec<u8> {
    let len = size(session) as usize;
    let mut random = session.random.borrow_mut();
    let mut data = vec![0; len];
    match random.below(4) {
        0 => {}
        1 => random.fill(&mut data),
        _ => {
            let text = random.next_u64().to_string();
            data.iter_mut().zip(text.bytes().cycle()).for_each(|(byte, letter)| *byte = letter);
        }
    }
    data
}

/// A change that may or may not be possible.
fn some_change(session: &Session<'_>) -> Option<Change> {
    let model = session.world.group().model.borrow();
    let (directories, files) = (model.directory_numbers(), model.file_numbers());
    let directory = random_of(session, &directories)?;
    let entry = |directory: Number| -> String {
        let entries: Vec<&String> = model.entries(directory).into_iter().flatten().map(|(name, _)| name).collect();
        let missing = entries.is_empty() || session.random.borrow_mut().percent(10);
        if missing { name(session) } else { entries[session.random.borrow_mut().index(entries.len())].clone() }
    };
    let kind = session.random.borrow_mut().below(if model.nodes().len() > FILES { 70 } else { 100 });
    Some(match kind {
        0..14 => Change::Unlink { directory, name: entry(directory) },
        14..18 => Change::RemoveDirectory { directory, name: entry(directory) },
        18..26 => {
            let to = random_of(session, &directories)?;
            Change::Rename { from: directory, name: entry(directory), to, new_name: name(session) }
        }
        26..30 => Change::Link { file: random_of(session, &files)?, directory, name: name(session) },
        30..36 => Change::Truncate { file: random_of(session, &files)?, size: size(session) },
        36..39 if session.random.borrow_mut().percent(50) => {
            let has_blocks =
                |file: &Number| model.content_of(*file).is_some_and(|content| content.len() as u64 >= BLOCK);
            let large: Vec<Number> = files.iter().copied().filter(has_blocks).collect();
            let (from, to) = (random_of(session, &large)?, random_of(session, &files)?);
            let blocks = model.content_of(from).map_or(0, |content| content.len() as u64 / BLOCK);
            let mut random = session.random.borrow_mut();
            let offset = random.below(blocks);
            let (count, to_block) = (1 + random.below(blocks - offset), random.below(4));
            let (offset, to_offset, bytes) = (offset * BLOCK, to_block * BLOCK, count * BLOCK);
            // Ranges of the same file must not overlap.
            let to_offset = if from == to { to_offset.max(offset + bytes) } else { to_offset };
            Change::Clone { from, offset, to, to_offset, bytes }
        }
        36..39 => Change::Punch { file: random_of(session, &files)?, offset: size(session), bytes: size(session) },
        39..70 => {
            let file = random_of(session, &files)?;
            let end = model.content_of(file).map_or(0, |content| content.len() as u64);
            let at = session.random.borrow_mut().below(3);
            let offset = [0, end, size(session)][at as usize].min(FILE_BYTES);
            Change::Write { file, offset, data: data(session) }
        }
        70..76 => Change::Create { directory, name: name(session), new: New::Directory },
        _ => Change::Create { directory, name: name(session), new: New::Regular },
    })
}

async fn change(session: &Session<'_>) -> Done {
    let Some(mut change) = some_change(session) else { return "nothing".into() };
    let (what, result) = carry_out(session, &mut change).await;
    let is_allowed = session.world.group().model.borrow().allows(&change);
    session.host.note(3 + u64::from(result.is_ok()));
    log::info!("{change:?}: {result:?}");
    let has_failed = result.is_err();
    let detail = if session.world.chronicle.is_kept() { told(&change, &result) } else { String::new() };
    match result {
        Ok(made) if is_allowed => {
            session.note_done(change, made);
        }
        Ok(_) => session.violation(format!("{what} was done though it is impossible")),
        Err(error) => {
            session.judge(what, &error, is_allowed);
            match (error, change) {
                (Error::NoQuorum { .. }, change) => session.note_stopped(change),
                (Error::Io(_), change) => {
                    let written = session.world.group().model.borrow().as_write(change);
                    session.note_in_part(&written);
                }
                _ => {}
            }
        }
    }
    Done { what, detail, has_failed }
}

/// A change in words, and what came of it.
fn told(change: &Change, result: &Result<Option<Number>, Error>) -> String {
    match result {
        Ok(Some(made)) => format!("{change:?}: inode {made}"),
        Ok(None) => format!("{change:?}: done"),
        Err(error) => format!("{change:?}: {error}"),
    }
}

async fn carry_out(session: &Session<'_>, change: &mut Change) -> (&'static str, Result<Option<Number>, Error>) {
    let fs = session.fs;
    let none = |result: Result<(), Error>| result.map(|()| None);
    match change {
        Change::Create { directory, name, new } => {
            let new = match new {
                New::Directory => NewFile::new(FileKind::Directory, 0o644),
                New::Regular => NewFile::new(FileKind::Regular, 0o644),
                New::Symlink(to) => NewFile { target: to.as_bytes(), ..NewFile::new(FileKind::Symlink, 0o644) },
            };
            let made = fs.create(inum(*directory), name.as_bytes(), &new).await;
            ("create", made.map(|made| Some(number(made))))
        }
        Change::Write { file, offset, data } => ("write", none(fs.write(inum(*file), *offset, data).await)),
        Change::Truncate { file, size } => ("truncate", none(fs.truncate(inum(*file), *size).await)),
        Change::Punch { file, offset, bytes } => ("punch", none(fs.punch(inum(*file), *offset, *bytes).await)),
        Change::Link { file, directory, name } => {
            ("link", none(fs.link(inum(*file), inum(*directory), name.as_bytes()).await))
        }
        Change::Unlink { directory, name } => ("unlink", none(fs.unlink(inum(*directory), name.as_bytes()).await)),
        Change::RemoveDirectory { directory, name } => {
            ("rmdir", none(fs.remove_directory(inum(*directory), name.as_bytes()).await))
        }
        Change::Rename { from, name, to, new_name } => {
            let renamed = fs.rename(inum(*from), name.as_bytes(), inum(*to), new_name.as_bytes()).await;
            ("rename", none(renamed))
        }
        Change::Exchange { first, name, second, other } => {
            let exchanged = fs.exchange(inum(*first), name.as_bytes(), inum(*second), other.as_bytes()).await;
            ("exchange", none(exchanged))
        }
        Change::Clone { from, offset, to, to_offset, bytes } => {
            let cloned = fs.clone_blocks(inum(*from), *offset, inum(*to), *to_offset, *bytes).await;
            // Fewer are cloned if the source was cut meanwhile.
            ("clone", cloned.map(|count| *bytes = count).map(|()| None))
        }
    }
}

async fn read_file(session: &Session<'_>) {
    let files = session.world.group().model.borrow().file_numbers();
    let Some(file) = random_of(session, &files) else { return };
    let expected = session.world.group().model.borrow().content_of(file).map_or(0, Vec::len);
    let mut bytes = vec![0; expected + 1];
    let read = session.fs.read(inum(file), 0, &mut bytes).await;
    let model = session.world.group().model.borrow();
    let content = model.content_of(file);
    match (read, content) {
        (Ok(count), Some(content)) if bytes[..count] == content[..content.len().min(bytes.len())] => {}
        (Ok(_), Some(_)) => session.violation(format!("I12: inode {file} reads otherwise than it was written")),
        (Ok(_), None) => session.violation(format!("inode {file} is removed and was read")),
        (Err(error), content) => session.judge("read", &error, content.is_some()),
    }
}

async fn list(session: &Session<'_>) {
    let directories = session.world.group().model.borrow().directory_numbers();
    let Some(directory) = random_of(session, &directories) else { return };
    let Ok(mut batch) = EntryBatch::new(HEAP, 16 << 10) else { return };
    let listed = session.fs.read_directory(inum(directory), Cookie::START, &mut batch).await;
    let model = session.world.group().model.borrow();
    let entries = model.entries(directory);
    match (listed, entries) {
        (Ok(listing), Some(entries)) if listing.next.is_none() && listing.damaged.is_none() => {
            let found: Entries = entries_of(&batch).collect();
            if found != *entries {
                let extra: Vec<_> = found.iter().filter(|(name, _)| !entries.contains_key(*name)).collect();
                let missing: Vec<_> = entries.iter().filter(|(name, _)| !found.contains_key(*name)).collect();
                session.violation(format!("I13: directory {directory} lacks {missing:?} and has {extra:?}"));
            }
        }
        (Ok(listing), _) => {
            if let Some(fault) = listing.damaged {
                session.judge("list", &Error::Io(fault), true);
            }
        }
        (Err(error), entries) => session.judge("list", &error, entries.is_some()),
    }
}

async fn look_up(session: &Session<'_>) {
    let directories = session.world.group().model.borrow().directory_numbers();
    let Some(directory) = random_of(session, &directories) else { return };
    let name = name(session);
    let found = session.fs.lookup(inum(directory), name.as_bytes()).await.map(number);
    let model = session.world.group().model.borrow();
    let there = model.entry(directory, &name);
    match (found, there) {
        (Ok(found), there) if Some(found) == there => {}
        (Ok(found), _) => session.violation(format!("lookup found inode {found}, should be {there:?}")),
        (Err(error), there) => session.judge("lookup", &error, there.is_some()),
    }
}
