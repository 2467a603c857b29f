//! What the exit code of QEMU says of the test kernel.

/// How the kernel has ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// Everything passed.
    Passed,
    /// Something didn't.
    NotEverything,
    /// The kernel has panicked, or met an exception.
    Crashed,
    /// QEMU was ended, as it took too long.
    Late,
    /// QEMU has ended without a verdict, with this code.
    None(i32),
}

impl Verdict {
    /// The kernel writes a number to a port, and QEMU ends with twice the number and one more. 0 is no verdict: QEMU ends with it
    /// when the machine resets.
    pub(crate) fn of(code: i32) -> Self {
        match code {
            33 => Self::Passed,
            35 => Self::NotEverything,
            37 => Self::Crashed,
            code => Self::None(code),
        }
    }

    /// What is wrong, of a run that had so many seconds; `said` is what QEMU itself has said.
    pub(crate) fn complaint(self, seconds: u64, said: &str) -> Option<String> {
        match self {
            Self::Passed => None,
            Self::NotEverything => Some("not everything passed".to_owned()),
            Self::Crashed => Some("the kernel has crashed".to_owned()),
            Self::Late => Some(format!("no end after {seconds} seconds")),
            Self::None(code) => {
                let first = said.lines().next().map(|line| format!(": {line}")).unwrap_or_default();
                Some(format!("QEMU has ended with code {code} without a verdict{first}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn only_one_code_is_good() {
        assert_eq!(Verdict::of(33).complaint(300, ""), None);
        for code in (0..256).filter(|code| *code != 33) {
            assert!(Verdict::of(code).complaint(300, "").is_some(), "{code}");
        }
        assert!(Verdict::Late.complaint(300, "").is_some_and(|words| words == "no end after 300 seconds"));
    }

    #[test]
    fn qemu_is_quoted() {
        let complaint = Verdict::of(1).complaint(300, "qemu: no such file\nand more");
        let words = "QEMU has ended with code 1 without a verdict: qemu: no such file";
        assert_eq!(complaint.as_deref(), Some(words));
        assert_eq!(Verdict::of(0).complaint(1, "").as_deref(), Some("QEMU has ended with code 0 without a verdict"));
    }
}
