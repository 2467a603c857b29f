//! Finds HAMMER2 on the devices of a machine, and which parts belong together: volumes make nodes, nodes are members of clusters.
//! Looking locks nothing, so mounted filesystems, here or elsewhere, are seen as well, as of their last commit.

mod candidates;
mod cluster;
mod node;
mod volume;

use std::path::PathBuf;

use hammer2_core::io::DiskOptions;
use hammer2_host::clock::HostClock;
use hammer2_host::executor::Executor;

pub use candidates::{SEARCHED, candidates};
pub use cluster::{Cluster, Member, Missing, Standing};
pub use node::{Incomplete, Node};

/// The result of a search.
#[derive(Default)]
pub struct Found {
    /// Nodes, each with all its volumes.
    pub nodes: Vec<Node>,
    /// Volumes of nodes that lack others.
    pub incomplete: Vec<Incomplete>,
    /// Places that couldn't be looked at, and why.
    pub unseen: Vec<String>,
}

impl Found {
    /// Looks at devices.
    pub fn on(paths: &[PathBuf]) -> Self {
        let clock = HostClock::leaked();
        Executor::new(clock).block_on(async {
            let mut found = Self::default();
            let mut volumes = Vec::new();
            for path in paths {
                match volume::look(path, clock, DiskOptions::default()).await {
                    Ok(volume) => volumes.extend(volume),
                    Err(why) => found.unseen.push(why),
                }
            }
            for set in volume::sets(volumes) {
                match node::Node::of(set).await {
                    Ok(node) => found.add(node),
                    Err(incomplete) => found.incomplete.push(incomplete),
                }
            }
            found
        })
    }

    fn add(&mut self, mut node: Node) {
        let same = self.nodes.iter().find(|other| other.fsid == node.fsid);
        node.copy_of = same.map(|other| other.images.clone());
        self.nodes.push(node);
    }

    /// The clusters that the nodes form.
    pub fn clusters(&self) -> Vec<Cluster> {
        cluster::of_nodes(&self.nodes)
    }

    /// The nodes that belong to no cluster.
    pub fn single_nodes(&self) -> impl Iterator<Item = &Node> {
        let clusters = self.clusters();
        let is_member = move |node: &Node| {
            clusters.iter().flat_map(|cluster| &cluster.members).any(|member| member.images == node.images)
        };
        self.nodes.iter().filter(move |node| !is_member(node))
    }
}
