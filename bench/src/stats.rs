//! Medians and the like.

use serde::Serialize;

/// What is said of many measurements of one thing, in their own unit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Summary {
    pub p10: f64,
    pub p50: f64,
    pub p90: f64,
    pub p99: f64,
    pub count: usize,
}

impl Summary {
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let position = share * (sorted.len().saturating_sub(1)) as f64;
            sorted.get(position.round() as usize).copied().unwrap_or(f64::NAN)
        };
        Self {
            p10: quantile(0.1),
            p50: quantile(0.5),
            p90: quantile(0.9),
            p99: quantile(0.99),
            count: sorted.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let values: Vec<f64> = (0..=100).rev().map(f64::from).collect();
        let summary = Summary::of(&values);
        assert_eq!((summary.p10, summary.p50, summary.p90, summary.p99), (10.0, 50.0, 90.0, 99.0));
        assert!(Summary::of(&[]).p50.is_nan());
    }
}
