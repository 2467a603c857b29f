//! The kernel command line: `mode=suite` or `mode=walk nodes=0,0,1`.

/// Disks that can be assigned to nodes.
const MAX_DISKS: usize = 32;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Run the self-tests. The disks are scratch: their content is lost.
    Suite,
    /// Read everything on the disks, write nothing.
    Walk,
}

/// The options, as given.
pub(crate) struct Options {
    pub(crate) mode: Mode,
    /// The number of the node each disk belongs to, in the order of the disks. Disks of the same number are the volumes
    /// of one node, in any order.
    pub(crate) nodes: heapless::Vec<u8, MAX_DISKS>,
}

impl Options {
    /// Reads a command line. `Err` is the word that isn't understood.
    pub(crate) fn parse(command_line: &str) -> Result<Self, &str> {
        let mut options = Self { mode: Mode::Suite, nodes: heapless::Vec::new() };
        for word in command_line.split_ascii_whitespace() {
            match word.split_once('=') {
                Some(("mode", "suite")) => options.mode = Mode::Suite,
                Some(("mode", "walk")) => options.mode = Mode::Walk,
                Some(("nodes", list)) => {
                    for number in list.split(',') {
                        let node = number.parse().map_err(|_| word)?;
                        options.nodes.push(node).map_err(|_| word)?;
                    }
                }
                _ => return Err(word),
            }
        }
        Ok(options)
    }
}
