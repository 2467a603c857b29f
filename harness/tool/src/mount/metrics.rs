//! The numbers of a mount, for monitoring.

use hammer2_core::cluster::{Health, MemberState, MemberStatus};

use super::server::Server;
use crate::admin::{Errors, LastScrub, Metric, MetricType};

/// Labels with their values, and a number.
type Sample = (Vec<(String, String)>, f64);

impl Server {
    /// All of them.
    pub(super) fn metrics(&self) -> Vec<Metric> {
        use MetricType::Gauge;
        let one = |value: f64| vec![(Vec::new(), value)];
        let statistics = self.fs.statistics();
        let mut metrics = vec![
            metric("size_bytes", "Size of the filesystem", Gauge, one(statistics.total_bytes as f64)),
            metric("free_bytes", "Free space of the filesystem", Gauge, one(statistics.free_bytes as f64)),
            metric("inodes", "Inodes in use when it was mounted", Gauge, one(statistics.inodes as f64)),
        ];
        metrics.extend(self.request_metrics());
        metrics.extend(self.disk_metrics());
        if let Some(status) = self.fs.cluster_status() {
            let is = |health: Health| f64::from(u8::from(status.health == health));
            let states = Health::ALL.map(|health| (labels([("state", health.name().to_owned())]), is(health)));
            let missing = self.fs.missing_members().len();
            metrics.extend([
                metric("cluster_health", "1 for the state the cluster is in", Gauge, states.into()),
                metric("cluster_masters", "Masters of the cluster", Gauge, one(status.voters as f64)),
                metric("cluster_masters_in_sync", "Masters in step", Gauge, one(status.in_sync as f64)),
                metric("cluster_members_missing", "Members that aren't there", Gauge, one(missing as f64)),
            ]);
        }
        if let Some(scrub) = LastScrub::read(self.fs.pfs().clid) {
            let counts = scrub.counts;
            metrics.extend([
                metric("scrub_last_timestamp_seconds", "End of the last scrub", Gauge, one(scrub.at_us as f64 / 1e6)),
                metric("scrub_last_bad_blocks", "Bad blocks it found", Gauge, one(counts.bad_blocks as f64)),
                metric("scrub_last_repaired_blocks", "Blocks it repaired", Gauge, one(counts.repaired as f64)),
                metric(
                    "scrub_last_good",
                    "1 when it read all and left nothing bad",
                    Gauge,
                    one(f64::from(u8::from(scrub.was_good()))),
                ),
            ]);
        }
        // One file may hold the numbers of several mounts.
        let own = labels([("label", self.journal.label().to_owned())]);
        for (known, _) in metrics.iter_mut().flat_map(|metric| &mut metric.samples) {
            known.splice(0..0, own.iter().cloned());
        }
        metrics
    }

    fn request_metrics(&self) -> [Metric; 5] {
        use MetricType::{Counter, Gauge};
        let one = |value: u64| vec![(Vec::new(), value as f64)];
        let counters = &self.counters;
        let requests = counters.by_operation();
        let requests =
            requests.into_iter().map(|(operation, count)| (labels([("operation", operation)]), count as f64));
        [
            metric("requests_total", "Requests of the kernel", Counter, requests.collect()),
            metric(
                "snapshots_opened_total",
                "Snapshots that were opened to be read",
                Counter,
                one(counters.snapshots_opened.get()),
            ),
            metric("read_bytes_total", "Bytes of files that were read", Counter, one(counters.read_bytes.get())),
            metric(
                "written_bytes_total",
                "Bytes of files that were written",
                Counter,
                one(counters.written_bytes.get()),
            ),
            metric("memory_bytes", "Memory in use of the budget", Gauge, one(self.used_memory_bytes())),
        ]
    }

    fn disk_metrics(&self) -> [Metric; 6] {
        use MetricType::{Counter, Gauge};
        let of_each = |value: &dyn Fn(&MemberStatus) -> f64| -> Vec<Sample> {
            self.fs.member_statuses().map(|member| (self.labels_of(&member), value(&member))).collect()
        };
        let errors = { self.fs.member_statuses() }
            .flat_map(|member| {
                let Errors { read, write, check, .. } = Errors::of(&member);
                let own = self.labels_of(&member);
                [("read", read), ("write", write), ("check", check)].map(|(kind, count)| {
                    (own.iter().cloned().chain(labels([("kind", kind.to_owned())])).collect(), count as f64)
                })
            })
            .collect();
        let is_in_sync = |member: &MemberStatus| f64::from(u8::from(member.state == MemberState::InSync));
        [
            metric("disk_in_sync", "1 when the disk is in step", Gauge, of_each(&is_in_sync)),
            metric(
                "disk_size_bytes",
                "Size of the disk's filesystem",
                Gauge,
                of_each(&|member| member.total_bytes as f64),
            ),
            metric("disk_free_bytes", "Free space on the disk", Gauge, of_each(&|member| member.free_bytes as f64)),
            metric(
                "disk_backlog",
                "Orders that others have carried out",
                Gauge,
                of_each(&|member| member.backlog as f64),
            ),
            metric("disk_errors_total", "What went wrong on the disk", Counter, errors),
            metric(
                "disk_repaired_blocks_total",
                "Blocks written anew from other disks",
                Counter,
                of_each(&|member| member.repaired_blocks as f64),
            ),
        ]
    }

    fn labels_of(&self, member: &MemberStatus) -> Vec<(String, String)> {
        let disk = self.administration.images.of(member.node).join(":");
        labels([("disk", disk), ("role", member.role.to_string())])
    }
}

fn labels<const N: usize>(labels: [(&str, String); N]) -> Vec<(String, String)> {
    labels.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn metric(name: &str, help: &str, kind: MetricType, samples: Vec<Sample>) -> Metric {
    Metric { name: format!("hammer2_{name}"), help: help.to_owned(), kind, samples }
}
