//! What `scripts/boot` takes.

use std::fs::OpenOptions;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::qemu::machine::Accelerator;
use crate::trouble::{Done, Trouble};

/// What is to be done.
#[derive(Debug, PartialEq)]
pub(crate) enum Order {
    /// To say how it is used.
    Help,
    /// To boot.
    Boot(Options),
}

/// What the kernel is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Mode {
    /// The self-tests, on scratch disks: how many, and of which size.
    Suite {
        /// How many.
        disks: u64,
        /// The size of each, as truncate(1) takes it.
        size: String,
    },
    /// A walk through these filesystems.
    Walk(Vec<String>),
    /// A workload whose log is cut so often; QEMU is killed after some seconds, or not.
    PowerCut {
        /// How many cuts.
        cuts: u64,
        /// After so many seconds.
        kill: Option<u64>,
    },
    /// A cluster whose disks are broken in these ways, or in all.
    Faults {
        /// The ways.
        names: Vec<String>,
        /// Bytes a second that the console takes.
        console_rate: Option<u64>,
    },
}

/// What a run is like.
#[derive(Debug, PartialEq)]
pub(crate) struct Options {
    /// What the kernel is to do.
    pub(crate) mode: Mode,
    /// What is random begins with this.
    pub(crate) seed: u64,
    /// Memory of the machine.
    pub(crate) memory_mib: u64,
    /// CPUs of the machine.
    pub(crate) cpus: u64,
    /// How QEMU runs them.
    pub(crate) accelerator: Accelerator,
    /// How long a run of QEMU may take, in seconds.
    pub(crate) timeout: u64,
    /// Where the console is kept, if not where it usually is.
    pub(crate) console: Option<PathBuf>,
}

/// Everything as it is given, before it is looked at as a whole.
struct Given {
    nodes: Vec<String>,
    faults: bool,
    cuts: Option<u64>,
    kill: Option<u64>,
    console_rate: Option<u64>,
    disks: u64,
    size: String,
    /// The last option that is about scratch disks.
    scratch: Option<&'static str>,
    options: Options,
}

impl Default for Given {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            faults: false,
            cuts: None,
            kill: None,
            console_rate: None,
            disks: 5,
            size: "2G".to_owned(),
            scratch: None,
            options: Options {
                mode: Mode::Walk(Vec::new()),
                seed: 1,
                memory_mib: 256,
                cpus: 1,
                accelerator: Accelerator::Tcg,
                timeout: 300,
                console: None,
            },
        }
    }
}

/// Understands the words after `scripts/boot`.
///
/// # Errors
///
/// An option that isn't there, a value that makes no sense, or options that don't go together.
pub(crate) fn parse(words: lexopt::Parser) -> Done<Order> {
    let mut given = Given::default();
    let mut accelerator = None;
    let mut words = words;
    while let Some(word) = words.next().map_err(Trouble::unusable)? {
        match word {
            Short('h') | Long("help") => return Ok(Order::Help),
            Long("faults") => given.faults = true,
            Long("power-cut") => given.cuts = Some(positive("--power-cut", &mut words)?),
            Long("kill") => given.kill = Some(positive("--kill", &mut words)?),
            Long("console-rate") => given.console_rate = Some(positive("--console-rate", &mut words)?),
            Long("seed") => given.options.seed = positive("--seed", &mut words)?,
            Long("memory") => given.options.memory_mib = positive("--memory", &mut words)?,
            Long("cpus") => given.options.cpus = positive("--cpus", &mut words)?,
            Long("timeout") => given.options.timeout = positive("--timeout", &mut words)?,
            Long("console") => given.options.console = Some(text("--console", &mut words)?.into()),
            Long("accel") => accelerator = Some(text("--accel", &mut words)?),
            Long("disks") => (given.disks, given.scratch) = (positive("--disks", &mut words)?, Some("--disks")),
            Long("size") => (given.size, given.scratch) = (text("--size", &mut words)?, Some("--size")),
            Value(node) => given.nodes.push(node.string().map_err(Trouble::unusable)?),
            Short(name) => return Err(Trouble::unusable(format!("unknown option -{name}; see --help"))),
            Long(name) => return Err(Trouble::unusable(format!("unknown option --{name}; see --help"))),
        }
    }
    given.together(accelerator.as_deref()).map(Order::Boot)
}

impl Given {
    /// Looks whether all of it goes together.
    fn together(self, accelerator: Option<&str>) -> Done<Options> {
        let Self { nodes, faults, cuts, kill, console_rate, disks, size, scratch, mut options } = self;
        let refuse = |why: String| Err(Trouble::unusable(why));
        if disks < 5 {
            return refuse("--disks takes 5 or more: the self-tests make clusters of as many".to_owned());
        }
        if cuts.is_some() && (!nodes.is_empty() || scratch.is_some()) {
            return refuse("--power-cut makes the disk it needs: no NODE, --disks or --size".to_owned());
        }
        if cuts.is_none() && kill.is_some() {
            return refuse("--kill is for --power-cut".to_owned());
        }
        if faults && (cuts.is_some() || scratch.is_some()) {
            return refuse("--faults makes the disks it needs: no --disks, --size or --power-cut".to_owned());
        }
        if !is_size(&size) {
            return refuse(format!("--size takes a size such as 512M or 2G, not `{size}`"));
        }
        if let (false, Some(option)) = (faults || nodes.is_empty(), scratch) {
            return refuse(format!("{option} is for scratch disks; given volumes are attached as they are"));
        }
        options.accelerator = match accelerator {
            None | Some("tcg") => Accelerator::Tcg,
            Some("kvm") if OpenOptions::new().read(true).write(true).open("/dev/kvm").is_err() => {
                return refuse("--accel kvm: /dev/kvm can't be used here; leave the option out".to_owned());
            }
            Some("kvm") => Accelerator::Kvm,
            Some(other) => return refuse(format!("--accel takes tcg or kvm, not `{other}`")),
        };
        options.mode = match cuts {
            Some(cuts) => Mode::PowerCut { cuts, kill },
            None if faults => Mode::Faults { names: nodes, console_rate },
            None if nodes.is_empty() => Mode::Suite { disks, size },
            None => Mode::Walk(nodes),
        };
        Ok(options)
    }
}

/// A size as truncate(1) takes it.
fn is_size(text: &str) -> bool {
    let digits = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    digits.starts_with(|first: char| ('1'..='9').contains(&first)) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn text(option: &str, words: &mut lexopt::Parser) -> Done<String> {
    let value = words.value().map_err(|_| Trouble::unusable(format!("{option} needs a value")))?;
    value.string().map_err(Trouble::unusable)
}

/// The value of an option: a number above 0.
fn positive(option: &str, words: &mut lexopt::Parser) -> Done<u64> {
    let value = text(option, words)?;
    let is_number = value.starts_with(|first: char| first != '0') && value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| is_number && value.len() <= 9);
    number.ok_or_else(|| Trouble::unusable(format!("{option} takes a number above 0, not `{value}`")))
}

#[cfg(test)]
mod tests {
    use super::{Mode, Options, Order, is_size, parse};
    use crate::trouble::{Done, Trouble};

    fn parsed(line: &str) -> Done<Options> {
        match parse(lexopt::Parser::from_args(line.split_whitespace()))? {
            Order::Boot(options) => Ok(options),
            Order::Help => Err(Trouble::unusable("help")),
        }
    }

    #[test]
    fn without_words_the_suite_runs_on_five_disks() {
        let options = parsed("").expect("options");
        assert_eq!(options.mode, Mode::Suite { disks: 5, size: "2G".to_owned() });
        assert_eq!((options.seed, options.memory_mib, options.cpus, options.timeout), (1, 256, 1, 300));
    }

    #[test]
    fn words_make_a_mode() {
        let mode = |line: &str| parsed(line).expect(line).mode;
        assert_eq!(mode("--disks 7 --size 3G"), Mode::Suite { disks: 7, size: "3G".to_owned() });
        assert_eq!(mode("a:b --memory 64 c"), Mode::Walk(vec!["a:b".to_owned(), "c".to_owned()]));
        assert_eq!(mode("-- --a"), Mode::Walk(vec!["--a".to_owned()]));
        assert_eq!(mode("--power-cut 9 --kill 2"), Mode::PowerCut { cuts: 9, kill: Some(2) });
        let faults = Mode::Faults { names: vec!["hang".to_owned()], console_rate: Some(960) };
        assert_eq!(mode("--faults hang --console-rate 960"), faults);
        assert_eq!(parse(lexopt::Parser::from_args(["--seed", "5", "-h", "--what"])), Ok(Order::Help));
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_these_words() {
        let refused = [
            ("--wat", "unknown option --wat; see --help"),
            ("-w", "unknown option -w; see --help"),
            ("--seed", "--seed needs a value"),
            ("--memory 0", "--memory takes a number above 0, not `0`"),
            ("--memory 64M", "--memory takes a number above 0, not `64M`"),
            ("--cpus -1", "--cpus takes a number above 0, not `-1`"),
            ("--timeout 1234567890", "--timeout takes a number above 0, not `1234567890`"),
            ("--disks 4", "--disks takes 5 or more: the self-tests make clusters of as many"),
            ("--kill 1", "--kill is for --power-cut"),
            ("--power-cut 5 a.img", "--power-cut makes the disk it needs: no NODE, --disks or --size"),
            ("--power-cut 5 --size 1G", "--power-cut makes the disk it needs: no NODE, --disks or --size"),
            ("--faults --size 1G", "--faults makes the disks it needs: no --disks, --size or --power-cut"),
            ("--faults --power-cut 1", "--faults makes the disks it needs: no --disks, --size or --power-cut"),
            ("--size 2X", "--size takes a size such as 512M or 2G, not `2X`"),
            ("--size 1G a.img", "--size is for scratch disks; given volumes are attached as they are"),
            ("--size 1G --disks 5 a.img", "--disks is for scratch disks; given volumes are attached as they are"),
            ("--accel fast", "--accel takes tcg or kvm, not `fast`"),
        ];
        for (line, words) in refused {
            assert_eq!(parsed(line), Err(Trouble::unusable(words)), "{line}");
        }
    }

    #[test]
    fn sizes_are_those_of_truncate() {
        for good in ["1", "512M", "2G", "10T", "3K"] {
            assert!(is_size(good), "{good}");
        }
        for bad in ["", "M", "0", "01G", "2GG", "2g", "-1G", "1.5G"] {
            assert!(!is_size(bad), "{bad}");
        }
    }
}
