//! What was measured, and the table that shows it.

use std::fmt;
use std::time::Duration;

/// Times of the same thing, measured again and again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    /// Adds one.
    pub(crate) fn add(&mut self, sample: Duration) {
        self.0.push(sample);
    }

    /// Adds those of somebody else who measured the same.
    pub(crate) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest sample that `percent` of all samples do not exceed: the nearest rank, never a mean of two.
    ///
    /// # Panics
    /// Without samples.
    pub(crate) fn percentile(&self, percent: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted[rank.clamp(1, sorted.len()) - 1]
    }
}

/// What a figure is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Aim {
    /// The median of the samples is at most this.
    Median(Duration),
    /// The 99th percentile of the samples is at most this.
    P99(Duration),
    /// The value is at least this.
    AtLeast(f64),
    /// Told for a better understanding of the others.
    None,
}

/// One line of the table.
#[derive(Clone, Debug)]
struct Figure {
    what: String,
    count: usize,
    values: Values,
    aim: Aim,
}

#[derive(Clone, Debug)]
enum Values {
    Times { p50: Duration, p99: Duration, worst: Duration },
    One(f64),
}

/// All figures of a run. Each is shown as soon as it is known, and all of them at the end.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<Figure>);

impl Table {
    /// Adds times.
    ///
    /// # Panics
    /// Without samples.
    pub(crate) fn times(&mut self, what: impl Into<String>, samples: &Samples, aim: Aim) {
        let values = Values::Times {
            p50: samples.percentile(50.0),
            p99: samples.percentile(99.0),
            worst: samples.percentile(100.0),
        };
        self.add(Figure { what: what.into(), count: samples.len(), values, aim });
    }

    /// Adds a value that `count` operations led to.
    pub(crate) fn value(&mut self, what: impl Into<String>, count: usize, value: f64, aim: Aim) {
        self.add(Figure { what: what.into(), count, values: Values::One(value), aim });
    }

    fn add(&mut self, figure: Figure) {
        eprintln!("  {figure}");
        self.0.push(figure);
    }
}

impl Figure {
    /// Whether the aim was reached; `None` if there is none.
    fn is_reached(&self) -> Option<bool> {
        match (&self.values, self.aim) {
            (_, Aim::None) => None,
            (Values::Times { p50, .. }, Aim::Median(most)) => Some(*p50 <= most),
            (Values::Times { p99, .. }, Aim::P99(most)) => Some(*p99 <= most),
            (Values::One(value), Aim::AtLeast(least)) => Some(*value >= least),
            (values, aim) => unreachable!("{aim:?} is no aim for {values:?}"),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<66} {:>7}", self.what, self.count)?;
        match &self.values {
            Values::Times { p50, p99, worst } => {
                write!(f, " {:>10} {:>10} {:>10}", time(*p50), time(*p99), time(*worst))?;
            }
            Values::One(value) => write!(f, " {:>10} {:>10} {:>10}", number(*value), "", "")?,
        }
        match self.aim {
            Aim::Median(most) => write!(f, "  p50 <= {:<12}", time(most))?,
            Aim::P99(most) => write!(f, "  p99 <= {:<12}", time(most))?,
            Aim::AtLeast(least) => write!(f, "  >= {:<16}", number(least))?,
            Aim::None => {}
        }
        f.write_str(match self.is_reached() {
            Some(true) => "reached",
            Some(false) => "MISSED",
            None => "",
        })
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<66} {:>7} {:>10} {:>10} {:>10}  aim", "figure", "N", "p50/value", "p99", "worst")?;
        self.0.iter().try_for_each(|figure| writeln!(f, "{figure}"))
    }
}

/// A time in the unit in which it reads best.
fn time(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 1.0 => format!("{seconds:.2} s"),
        seconds if seconds >= 0.001 => format!("{:.2} ms", seconds * 1e3),
        seconds => format!("{:.1} us", seconds * 1e6),
    }
}

fn number(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{value:.2}") }
}
