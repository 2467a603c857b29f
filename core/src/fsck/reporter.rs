//! Counts findings and passes them on.

use super::report::{Finding, Observer, Place, Progress, Severity, Summary};
use super::{Cost, Quirk, Trouble};

/// Stands between the check and its observer.
pub(super) struct Reporter<'o> {
    observer: &'o mut dyn Observer,
    strict: bool,
    pub(super) summary: Summary,
    quirks: [u64; Quirk::COUNT],
    /// The number of findings so far while an older state is checked; these are counted, not reported one by one.
    older: Option<u64>,
}

impl<'o> Reporter<'o> {
    pub(super) fn new(observer: &'o mut dyn Observer, strict: bool) -> Self {
        Self { observer, strict, summary: Summary::default(), quirks: [0; Quirk::COUNT], older: None }
    }

    /// Reports damage.
    pub(super) fn problem(&mut self, place: Place<'_>, trouble: Trouble, cost: Cost) {
        self.report(Severity::Problem, place, trouble, cost);
    }

    /// Reports something worth knowing.
    pub(super) fn remark(&mut self, place: Place<'_>, trouble: Trouble, cost: Cost) {
        self.report(Severity::Remark, place, trouble, cost);
    }

    /// Reports something that other systems leave behind: it is damage only on a volume that we alone wrote.
    pub(super) fn deviation(&mut self, place: Place<'_>, trouble: Trouble, cost: Cost) {
        let severity = if self.strict { Severity::Problem } else { Severity::Remark };
        self.report(severity, place, trouble, cost);
    }

    /// Counts a harmless deviation, to be reported at the end.
    pub(super) fn quirk(&mut self, quirk: Quirk) {
        if self.older.is_none() {
            self.quirks[quirk as usize] += 1;
        }
    }

    /// Reports the counted deviations.
    pub(super) fn conclude(&mut self) {
        for quirk in Quirk::ALL {
            let count = core::mem::take(&mut self.quirks[quirk as usize]);
            if count > 0 {
                self.remark(Place::default(), Trouble::Quirk { quirk, count }, quirk.cost());
            }
        }
    }

    /// Begins the check of an older state: findings from here on are about that.
    pub(super) fn begin_older(&mut self) {
        self.older = Some(0);
    }

    /// Ends the check of an older state; returns the number of its findings.
    pub(super) fn end_older(&mut self) -> u64 {
        self.older.take().unwrap_or(0)
    }

    /// True while an older state is checked.
    pub(super) fn is_older(&self) -> bool {
        self.older.is_some()
    }

    pub(super) fn progress(&mut self, progress: Progress) {
        self.observer.progress(progress);
    }

    fn report(&mut self, severity: Severity, place: Place<'_>, trouble: Trouble, cost: Cost) {
        if let Some(count) = &mut self.older {
            *count += 1;
            return;
        }
        match severity {
            Severity::Problem => self.summary.problems += 1,
            Severity::Remark => self.summary.remarks += 1,
        }
        self.observer.finding(&Finding { severity, place, trouble, cost });
    }
}
