//! CloudWatch's judgement of an alarm over whole periods, as its guide describes it ("Evaluating an alarm", "How CloudWatch
//! alarms handle missing data", "FILL"): what template.yaml's alarms need and no more; anything else is a panic.

use std::collections::BTreeMap;

use serde_json::Value;

/// Minutes since 1970 and what was published in them, by the metric's name.
#[derive(Default)]
pub(super) struct Metrics(BTreeMap<String, BTreeMap<i64, f64>>);

impl Metrics {
    /// Adds to what was published in this minute.
    pub(super) fn publish(&mut self, metric: &str, minute: i64, value: f64) {
        *self.0.entry(metric.to_owned()).or_default().entry(minute).or_default() += value;
    }

    /// The statistic of the minutes from `start` to before `end`; nothing where nothing was published.
    fn statistic(&self, metric: &str, statistic: &str, start: i64, end: i64) -> Option<f64> {
        let values: Vec<f64> = self.0.get(metric)?.range(start..end).map(|(_, value)| *value).collect();
        if values.is_empty() {
            return None;
        }
        match statistic {
            "Sum" => Some(values.iter().sum()),
            "Maximum" => values.iter().copied().reduce(f64::max),
            other => panic!("{other} is not known here"),
        }
    }
}

/// Whether the alarm with these properties is in ALARM at the end of the period that ends with this minute.
pub(super) fn alarms(alarm: &Value, metrics: &Metrics, minute: i64) -> bool {
    let number = |name: &str| alarm[name].as_i64().unwrap_or_else(|| panic!("no {name}: {alarm}"));
    let periods = number("EvaluationPeriods");
    let needed = alarm["DatapointsToAlarm"].as_i64().unwrap_or(periods);
    #[allow(clippy::cast_precision_loss, reason = "thresholds are small")]
    let threshold = number("Threshold") as f64;
    let breaches = |value: f64| match alarm["ComparisonOperator"].as_str().unwrap() {
        "GreaterThanOrEqualToThreshold" => value >= threshold,
        "GreaterThanThreshold" => value > threshold,
        "LessThanThreshold" => value < threshold,
        other => panic!("{other} is not known here"),
    };
    let missing = match alarm["TreatMissingData"].as_str() {
        Some("breaching") => true,
        Some("notBreaching") => false,
        other => panic!("{other:?} is not known here"),
    };
    let points = (0..periods).map(|back| datapoint(alarm, metrics, minute, back));
    let breaching = points.filter(|point| point.map_or(missing, breaches)).count();
    i64::try_from(breaching).unwrap() >= needed
}

/// The value of the period that ended `back` periods before this minute.
fn datapoint(alarm: &Value, metrics: &Metrics, minute: i64, back: i64) -> Option<f64> {
    let one = |stat: &Value, metric: &Value, period: &Value| {
        let length = period.as_i64().unwrap() / 60;
        let end = minute - minute.rem_euclid(length) - back * length;
        metrics.statistic(metric.as_str().unwrap(), stat.as_str().unwrap(), end - length, end)
    };
    let Some(queries) = alarm["Metrics"].as_array() else {
        return one(&alarm["Statistic"], &alarm["MetricName"], &alarm["Period"]);
    };
    let value = |id: &str| {
        let query = queries.iter().find(|query| query["Id"] == id).unwrap_or_else(|| panic!("no metric {id}: {alarm}"));
        assert_eq!(query["ReturnData"], false, "{query}");
        let stat = &query["MetricStat"];
        one(&stat["Stat"], &stat["Metric"]["MetricName"], &stat["Period"])
    };
    let mut returned = queries.iter().filter_map(|query| query["Expression"].as_str());
    let expression = returned.next().expect("an alarm returns one expression");
    assert_eq!(returned.next(), None, "an alarm returns one expression");
    sum(expression, &value)
}

/// Sums and differences of `FILL(id, number)`.
fn sum(expression: &str, value: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut total = 0.0;
    let mut sign = 1.0;
    for part in expression.split_inclusive(')') {
        let part = part.trim();
        let part = match part.split_at_checked(2) {
            Some(("+ ", rest)) => rest,
            Some(("- ", rest)) => {
                sign = -1.0;
                rest
            }
            _ => part,
        };
        let inside = part.strip_prefix("FILL(").and_then(|rest| rest.strip_suffix(')'));
        let (id, filling) = inside.and_then(|inside| inside.split_once(", ")).unwrap_or_else(|| panic!("{expression}"));
        total += sign * value(id).unwrap_or_else(|| filling.parse().unwrap());
        sign = 1.0;
    }
    Some(total)
}
