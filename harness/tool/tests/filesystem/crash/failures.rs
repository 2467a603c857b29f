//! Allocations and requests that fail, each in turn: an operation is done or not, and acknowledged changes stay.

use std::rc::Rc;

use allocator_api2::alloc::Global;
use hammer2_core::fs::{Error, FileSystem};
use hammer2_core::io::wrap::{Effect, Fault, FaultPlan, Faulty, Operations};
use hammer2_core::io::{DeviceError, MemoryDisk};
use hammer2_kmod_shim::budget::Budget;
use hammer2_model::{Model, Step};

use super::pfss::Pfss;
use super::volume::{HEAP, Headers, Host, copy, device};
use crate::difference::difference;
use crate::perform::perform;

/// More memory than a mount takes.
const BUDGET_BYTES: usize = 64 << 20;

/// Fails every allocation of a workload in turn, `in_a_row` at a time; returns how many there are.
pub(crate) fn fail_allocations(
    host: &Host,
    base: &Rc<MemoryDisk>,
    model: &Model,
    steps: &[Step],
    in_a_row: u64,
) -> u64 {
    let budget: &'static Budget<Global> = Box::leak(Box::new(Budget::new(Global, BUDGET_BYTES)));
    let mut index = 0;
    loop {
        let disk = copy(base);
        let mut model = model.clone();
        let context = format!("allocation {index} fails");
        let was_reached = host.run(async {
            let fs = host.mount_writable(budget, device(&disk)).await.unwrap();
            let chosen = budget.allocations() + index;
            budget.fail_from(chosen, in_a_row);
            let mut was_reached = false;
            for step in steps {
                let outcome = perform(step, &fs, &model).await;
                if outcome == Err(Error::NoMemory) {
                    if changes_content(step) {
                        // It takes memory to see which part was done.
                        budget.fail_at(u64::MAX);
                    }
                    adopt_part(&fs, &mut model, step, &context).await;
                } else {
                    follow(&mut model, step, outcome, &context);
                }
                if !was_reached && budget.allocations() >= chosen + in_a_row {
                    was_reached = true;
                    agree(&fs, &model, &format!("{context} in {step:?}: {outcome:?}")).await;
                }
            }
            budget.fail_at(u64::MAX);
            fs.sync().await.unwrap_or_else(|error| panic!("{context}: the last sync: {error}"));
            was_reached
        });
        host.run(check_volume(host, &disk, &[&model], &context));
        if !was_reached {
            return index;
        }
        index += 1;
    }
}

/// Fails every request of a kind in turn; returns how many there are.
pub(crate) fn fail_requests(
    host: &Host,
    base: &Rc<MemoryDisk>,
    model: &Model,
    steps: &[Step],
    kind: Operations,
) -> u64 {
    let mut index = 0;
    loop {
        let disk = copy(base);
        let context = format!("request {index} of {kind:?} fails");
        let plan = Rc::new(FaultPlan::new(HEAP));
        let faulty = Faulty::new(HEAP, device(&disk), Rc::clone(&plan)).unwrap();
        // A read is tried again by itself before the operation fails.
        let times = if kind == Operations::READ { 2 } else { 1 };
        let fault = Fault { skip: index, times, ..Fault::always(kind, Effect::Fail(DeviceError::Io(5))) };
        let states = host.run(async {
            let fs = host.mount_writable(HEAP, faulty).await.unwrap();
            plan.add(fault).unwrap();
            match kind {
                Operations::READ => vec![steps_over_bad_reads(&fs, model.clone(), steps, &plan, &context).await],
                _ => steps_until_broken(&fs, model.clone(), steps, &plan, &context).await,
            }
        });
        let states: Vec<&Model> = states.iter().collect();
        host.run(check_volume(host, &disk, &states, &context));
        if plan.struck() == 0 {
            return index;
        }
        index += 1;
    }
}

/// An operation whose reads fail must fail; the others work, and all that were done are durable at the end.
async fn steps_over_bad_reads(
    fs: &FileSystem,
    mut model: Model,
    steps: &[Step],
    plan: &FaultPlan,
    context: &str,
) -> Model {
    for step in steps {
        let outcome = perform(step, fs, &model).await;
        if matches!(outcome, Err(Error::Io(_))) {
            adopt_part(fs, &mut model, step, context).await;
        } else {
            follow(&mut model, step, outcome, context);
        }
    }
    plan.clear();
    agree(fs, &model, context).await;
    fs.sync().await.unwrap_or_else(|error| panic!("{context}: the last sync: {error}"));
    model
}

/// Once a write or a flush has failed, no sync succeeds, and from the first error on nothing can be changed; returns the states
/// that may be on media then.
async fn steps_until_broken(
    fs: &FileSystem,
    mut model: Model,
    steps: &[Step],
    plan: &FaultPlan,
    context: &str,
) -> Vec<Model> {
    let mut synced = model.clone();
    for (index, step) in steps.iter().enumerate() {
        let outcome = perform(step, fs, &model).await;
        let is_sync = step.commits();
        if is_sync && outcome.is_ok() {
            assert_eq!(plan.struck(), 0, "{context}: a sync succeeds");
        }
        match outcome {
            Err(Error::Io(_)) => {
                let rest = &steps[index..];
                assert!(plan.struck() > 0, "{context}: {step:?}: {outcome:?}");
                for step in rest.iter().chain([&Step::Create("late".into()), &Step::Sync]) {
                    let outcome = perform(step, fs, &model).await;
                    assert!(outcome.is_err(), "{context}: {step:?} succeeds afterwards");
                }
                return if step.commits() { outcomes_of(synced, model, step) } else { vec![synced] };
            }
            outcome => follow(&mut model, step, outcome, context),
        }
        if step.commits() {
            synced = model.clone();
        }
    }
    let last = fs.sync().await;
    assert_eq!(last.is_ok(), plan.struck() == 0, "{context}: the last sync: {last:?}");
    if last.is_ok() { vec![model] } else { vec![synced, model] }
}

/// The states that a failed commit may have left, as it isn't known whether its header is on media.
fn outcomes_of(synced: Model, model: Model, step: &Step) -> Vec<Model> {
    let mut done = model.clone();
    step.apply(&mut done);
    vec![synced, model, done]
}

/// Does a step in the model if it was done, which it must be if it is possible.
fn follow(model: &mut Model, step: &Step, outcome: Result<(), Error>, context: &str) {
    match outcome {
        Ok(()) => assert!(step.apply(model), "{context}: {step:?} succeeds"),
        Err(error) => assert!(!step.apply(&mut model.clone()), "{context}: {step:?}: {error}"),
    }
}

/// True when a part of a failed step may have been done.
fn changes_content(step: &Step) -> bool {
    matches!(step, Step::Write(..) | Step::Append(..) | Step::Truncate(..) | Step::Punch(..))
}

/// Checks that nothing of a failed step was done, unless it changes content: then each byte must be the old or the new one.
pub(crate) async fn adopt_part(fs: &FileSystem, model: &mut Model, step: &Step, context: &str) {
    let (Step::Write(path, ..) | Step::Append(path, _) | Step::Truncate(path, _) | Step::Punch(path, ..)) = step else {
        return;
    };
    let mut wanted = model.clone();
    step.apply(&mut wanted);
    let (Some(old), Some(new)) = (model.content(path), wanted.content(path)) else { return };
    let mut found = vec![0; old.len().max(new.len()) + 1];
    let file = fs.resolve(path.as_bytes()).await.unwrap();
    let length = fs.read(file, 0, &mut found).await.unwrap();
    found.truncate(length);
    let byte = |content: &[u8], at: usize| content.get(at).copied().unwrap_or(0);
    let foreign = (0..length).find(|at| found[*at] != byte(old, *at) && found[*at] != byte(new, *at));
    assert_eq!(foreign, None, "{context}: {step:?} leaves something else");
    let lengths = old.len().min(new.len())..=old.len().max(new.len());
    assert!(lengths.contains(&length), "{context}: {step:?} leaves a length of {length}");
    if let Some(content) = model.content_mut(path) {
        *content = found;
    }
}

async fn agree(fs: &FileSystem, model: &Model, context: &str) {
    if let Some(what) = difference(fs, model).await {
        panic!("{context}: {what}");
    }
}

/// Checks that a volume is in one of these states, and sound.
async fn check_volume(host: &Host, disk: &Rc<MemoryDisk>, states: &[&Model], context: &str) {
    let mounted = Pfss::mount(host, disk).await.unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut differences = Vec::new();
    for model in states {
        differences.extend(mounted.difference(model).await);
    }
    assert!(differences.len() < states.len(), "{context}: {differences:#?}");
    let problems = host.problems(disk, Headers::MayBeTorn).await;
    assert!(problems.is_empty(), "{context}: {problems:#?}");
}
