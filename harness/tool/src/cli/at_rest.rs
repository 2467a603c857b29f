//! Looking at the disks of a mount while nothing on them changes: the process that serves it makes changes wait as long as this
//! one says that it needs that.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};

use serde_json::json;

use super::mounted::{Conversation, misunderstood};
use super::output::Output;
use super::{Failure, Outcome};
use crate::admin::wire::{Answer, HEARTBEAT, NodeAtRest, Question, Rest};

/// A mount at rest.
struct AtRest {
    /// The nodes in step.
    nodes: Vec<Node>,
    /// Ends the rest when it is dropped.
    over: Sender<()>,
    /// The result of the thread that says so.
    saying: JoinHandle<Result<(), Failure>>,
}

/// A node whose disks can be looked at.
struct Node {
    called: String,
    images: Vec<PathBuf>,
}

/// Looks at the images of each node of a mount, all as of the same moment. With several nodes, the name of each is printed first.
pub(super) fn each_node(
    directory: &Path,
    json: bool,
    output: &mut Output,
    mut look: impl FnMut(&[PathBuf], &mut Output) -> Result<Outcome, Failure>,
) -> Result<Outcome, Failure> {
    let at_rest = AtRest::begin(directory)?;
    let several = at_rest.nodes.len() > 1;
    let mut outcome = Outcome::Good;
    for Node { called, images } in &at_rest.nodes {
        match (several, json) {
            (true, true) => output.line(json!({ "node": called }))?,
            (true, false) => output.line(format_args!("{called}:"))?,
            _ => {}
        }
        outcome = outcome.and(look(images, output)?);
    }
    at_rest.end()?;
    Ok(outcome)
}

impl AtRest {
    /// Makes everything durable that is mounted on a directory, and changes wait.
    fn begin(directory: &Path) -> Result<Self, Failure> {
        let nodes = |nodes: Vec<NodeAtRest>| {
            let of =
                |NodeAtRest { called, images }| Node { called, images: images.into_iter().map(Into::into).collect() };
            nodes.into_iter().map(of).collect()
        };
        let mut conversation = Conversation::begin(directory, &Question::AtRest)?;
        let nodes = loop {
            // While the rest hasn't begun, it is still wanted.
            conversation.say(&Rest::On)?;
            match conversation.hear()? {
                Answer::Working => {}
                Answer::AtRest(at_rest) => break nodes(at_rest),
                Answer::Ended(Err(refused)) => return Err(refused.into()),
                _ => return Err(misunderstood(directory)),
            }
        };
        let (directory, (over, wait)) = (directory.to_owned(), channel());
        let saying = thread::Builder::new().name("at rest".into()).spawn(move || {
            while wait.recv_timeout(HEARTBEAT) == Err(RecvTimeoutError::Timeout) {
                conversation.say(&Rest::On)?;
            }
            conversation.say(&Rest::Over)?;
            loop {
                match conversation.hear()? {
                    Answer::Working => {}
                    Answer::Ended(ended) => return Ok(ended.map(drop)?),
                    _ => return Err(misunderstood(&directory)),
                }
            }
        });
        Ok(Self { nodes, over, saying: saying.map_err(Failure::failed)? })
    }

    /// Lets changes go on. Fails if they went on before: then the disks may not have been seen as of a single moment.
    fn end(self) -> Result<(), Failure> {
        let Self { over, saying, .. } = self;
        drop(over);
        let said = saying.join().unwrap_or_else(|_| Err(Failure::failed("the thread that asked for rest is gone")));
        said.map_err(|failure| match failure {
            Failure::Failed(why) | Failure::Unusable(why) => Failure::Failed(format!(
                "{why}; changes went on before the end, so what was found may be none: run it again"
            )),
            other => other,
        })
    }
}
