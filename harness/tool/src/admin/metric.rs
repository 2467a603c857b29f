//! Numbers of a mount, as Prometheus reads them: the text format, version 0.0.4.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

/// A number, or one for each of several things.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What it means, in words.
    pub help: String,
    /// How it changes.
    pub kind: MetricType,
    /// Labels with their values, and the number.
    pub samples: Vec<(Vec<(String, String)>, f64)>,
}

/// How a number changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// It only grows, until the mount ends.
    Counter,
    /// It is the current value.
    Gauge,
}

impl Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, help, kind, samples } = self;
        let kind = match kind {
            MetricType::Counter => "counter",
            MetricType::Gauge => "gauge",
        };
        write!(f, "# HELP {name} {}\n# TYPE {name} {kind}", help.replace('\\', "\\\\").replace('\n', "\\n"))?;
        for (labels, value) in samples {
            write!(f, "\n{name}")?;
            for (place, (label, text)) in labels.iter().enumerate() {
                let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
                write!(f, "{}{label}=\"{text}\"", if place == 0 { '{' } else { ',' })?;
            }
            write!(f, "{} {value}", if labels.is_empty() { "" } else { "}" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_the_format_has_it() {
        let labels = vec![("disk".to_owned(), "/a\\b\"c\n".to_owned()), ("kind".to_owned(), "read".to_owned())];
        let samples = vec![(labels, 3.0), (Vec::new(), 1e12)];
        let metric = Metric { name: "x_total".into(), help: "Of x".into(), kind: MetricType::Counter, samples };
        let expected = "# HELP x_total Of x\n# TYPE x_total counter\nx_total{disk=\"/a\\\\b\\\"c\\n\",kind=\"read\"} 3\n\
                        x_total 1000000000000";
        assert_eq!(metric.to_string(), expected);
    }
}
