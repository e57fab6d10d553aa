//! How throughput grows with cores or requests: the laws, their fits in closed form, and the words
//! for them.
//!
//! Fits interpolate, explain and report. They never reach beyond one doubling of what was measured:
//! from 1 and 2 threads, fits of 15 public models were up to 10 % optimistic at 4.

use serde::Serialize;

use crate::numeric::float;

/// The Universal Scalability Law (Gunther): `X(n) = λ₁·n / (1 + σ·(n - 1) + κ·n·(n - 1))`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Usl {
    /// λ₁, throughput of one, in the unit of the points.
    pub rate: f64,
    /// σ, contention: the share that is serial.
    pub sigma: f64,
    /// κ, coherency: what each pays for each other.
    pub kappa: f64,
    /// Largest relative difference between fit and point.
    pub max_residual: f64,
}

/// Amdahl's law on times: `S(t) = S₁·(f + (1 - f)/t)`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Amdahl {
    /// S₁, the time on one thread.
    pub time: f64,
    /// f, the serial share.
    pub serial: f64,
}

/// A value of a fit and whether it lies between measured points.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub value: f64,
    pub origin: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
pub enum Origin {
    /// Within the measured range, from the fit.
    Interpolated,
    /// Beyond it, at most one doubling.
    Extrapolated,
}

impl Usl {
    /// Fits points (n, throughput). n/X is linear in (1, n - 1, n·(n - 1)), so this is a
    /// least-squares problem with three coefficients that must not be negative, weighted by 1/(n/X)
    /// so that relative errors count alike. The optimum has some of the three at zero and solves
    /// the normal equations for the others: eight cases, each in closed form.
    ///
    /// None without a point above zero, or when no case has a finite answer.
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.is_empty()
            || points
                .iter()
                .any(|&(n, x)| !(n > 0.0 && x > 0.0 && n.is_finite() && x.is_finite()))
        {
            return None;
        }
        let rows: Vec<[f64; 3]> = points
            .iter()
            .map(|&(n, x)| {
                let time = n / x;
                [1.0 / time, (n - 1.0) / time, n * (n - 1.0) / time]
            })
            .collect();
        let [base, contention, coherency] = non_negative_least_squares(&rows)?;
        if base <= 0.0 {
            return None;
        }
        let mut fit = Self {
            rate: 1.0 / base,
            sigma: contention / base,
            kappa: coherency / base,
            max_residual: 0.0,
        };
        fit.max_residual = points
            .iter()
            .map(|&(n, x)| (fit.at(n) / x - 1.0).abs())
            .fold(0.0, f64::max);
        Some(fit)
    }

    /// X(n).
    pub fn at(&self, n: f64) -> f64 {
        self.rate * n / (1.0 + self.sigma * (n - 1.0) + self.kappa * n * (n - 1.0))
    }

    /// X(n), for a law fitted to points up to `largest`; None beyond twice that.
    pub fn estimate(&self, n: f64, largest: f64) -> Option<Estimate> {
        let origin = if n <= largest {
            Origin::Interpolated
        } else {
            Origin::Extrapolated
        };
        (n <= 2.0 * largest).then(|| Estimate {
            value: self.at(n),
            origin,
        })
    }

    /// `n* = sqrt((1 - σ)/κ)`: beyond it throughput falls. None when it never does.
    pub fn peak(&self) -> Option<f64> {
        (self.kappa > 0.0 && self.sigma < 1.0).then(|| ((1.0 - self.sigma) / self.kappa).sqrt())
    }
}

impl Amdahl {
    /// Fits points (threads, time) by the same weighted non-negative least squares, with the
    /// coefficients S₁·f and S₁·(1 - f).
    pub fn fit(points: &[(f64, f64)]) -> Option<Self> {
        if points.is_empty()
            || points
                .iter()
                .any(|&(t, s)| !(t > 0.0 && s > 0.0 && t.is_finite() && s.is_finite()))
        {
            return None;
        }
        let rows: Vec<[f64; 3]> = points
            .iter()
            .map(|&(t, s)| [1.0 / s, 1.0 / (t * s), 0.0])
            .collect();
        let [serial, parallel, _] = non_negative_least_squares(&rows)?;
        let time = serial + parallel;
        (time > 0.0).then(|| Self {
            time,
            serial: serial / time,
        })
    }

    /// S(t).
    pub fn at(&self, threads: f64) -> f64 {
        self.time * (self.serial + (1.0 - self.serial) / threads)
    }

    /// S(t), for a law fitted to points up to `largest`; None beyond twice that.
    pub fn estimate(&self, threads: f64, largest: f64) -> Option<Estimate> {
        let origin = if threads <= largest {
            Origin::Interpolated
        } else {
            Origin::Extrapolated
        };
        (threads <= 2.0 * largest).then(|| Estimate {
            value: self.at(threads),
            origin,
        })
    }
}

/// `E(n) = X(n) / (n·X(1))`.
pub fn efficiency(n: f64, at_n: f64, at_one: f64) -> f64 {
    at_n / (n * at_one)
}

/// The words of reports, by the efficiency at 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, strum::Display)]
pub enum Scalability {
    #[strum(serialize = "linear")]
    Linear,
    #[strum(serialize = "sub-linear")]
    SubLinear,
    #[strum(serialize = "poor")]
    Poor,
}

impl Scalability {
    pub fn of(efficiency: f64) -> Self {
        match efficiency {
            value if value >= 0.9 => Self::Linear,
            value if value >= 0.5 => Self::SubLinear,
            _ => Self::Poor,
        }
    }
}

/// The smallest measured count of cores from which each further core adds less than half of the
/// first one's throughput. Points (cores, throughput) ascending, the first of one core; None when
/// every step pays.
pub fn diminishing_returns(points: &[(f64, f64)]) -> Option<f64> {
    let &(_, one) = points.first()?;
    points.windows(2).find_map(|pair| match pair {
        &[(from, before), (to, after)] if (after - before) / one / (to - from) < 0.5 => Some(to),
        _ => None,
    })
}

/// Minimises `Σ (row·c - 1)²` over `c >= 0`: of the eight sets of coefficients that may be above
/// zero, the one with the smallest residual whose solution is not negative.
fn non_negative_least_squares(rows: &[[f64; 3]]) -> Option<[f64; 3]> {
    let mut best: Option<([f64; 3], f64)> = None;
    for set in 1_u8..8 {
        let active = [0, 1, 2].map(|column| set & (1 << column) != 0);
        let Some(solution) = solve(rows, active) else {
            continue;
        };
        if solution.iter().any(|&value| value < 0.0) {
            continue;
        }
        let residual: f64 = rows
            .iter()
            .map(|row| dot(row, &solution) - 1.0)
            .map(|error| error * error)
            .sum();
        if best.is_none_or(|(_, smallest)| residual < smallest) {
            best = Some((solution, residual));
        }
    }
    best.map(|(solution, _)| solution)
}

/// The normal equations of the active columns by Cramer's rule; an inactive column's equation is c
/// = 0. None when they are singular: fewer points than coefficients.
fn solve(rows: &[[f64; 3]], active: [bool; 3]) -> Option<[f64; 3]> {
    let mut matrix = [[0.0; 3]; 3];
    let mut right = [0.0; 3];
    for i in 0..3 {
        if !active[i] {
            matrix[i][i] = 1.0;
            continue;
        }
        right[i] = rows.iter().map(|row| row[i]).sum();
        for j in (0..3).filter(|&j| active[j]) {
            matrix[i][j] = rows.iter().map(|row| row[i] * row[j]).sum();
        }
    }
    let whole = determinant(&matrix);
    let scale: f64 = (0..3).map(|i| matrix[i][i]).product();
    // Against the diagonal: columns that differ by rounding only are the same column.
    if whole.is_nan() || whole.abs() <= 1e-12 * scale {
        return None;
    }
    let mut solution = [0.0; 3];
    for (column, value) in solution.iter_mut().enumerate() {
        let mut replaced = matrix;
        for (row, &right) in replaced.iter_mut().zip(&right) {
            row[column] = right;
        }
        *value = determinant(&replaced) / whole;
    }
    solution
        .iter()
        .all(|value| value.is_finite())
        .then_some(solution)
}

fn determinant(m: &[[f64; 3]; 3]) -> f64 {
    m[0][0] * (m[1][1] * m[2][2] - m[1][2] * m[2][1])
        - m[0][1] * (m[1][0] * m[2][2] - m[1][2] * m[2][0])
        + m[0][2] * (m[1][0] * m[2][1] - m[1][1] * m[2][0])
}

fn dot(row: &[f64; 3], solution: &[f64; 3]) -> f64 {
    row.iter().zip(solution).map(|(a, b)| a * b).sum()
}

/// Points of one thread count, (n, throughput), from any number of pod shapes: the mean where
/// several measured the same n.
pub(crate) fn merged(points: &mut [(u32, f64)]) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    points
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|same| {
            let (n, _) = same.first()?;
            Some((
                f64::from(*n),
                same.iter().map(|(_, x)| x).sum::<f64>() / float(same.len()),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64, digits: f64) {
        assert!(
            (found - expected).abs() <= digits,
            "{found}, expected {expected}"
        );
    }

    /// `ZipVoice` on an L20: audio-seconds per second at 1, 2, 4 and 8 requests (k2-fsa/ZipVoice,
    /// issue 148).
    const ZIPVOICE: [(f64, f64); 4] = [(1.0, 64.1), (2.0, 98.3), (4.0, 127.8), (8.0, 139.3)];
    /// Piper lessac-medium on a Raspberry Pi 4: RTF at 1 to 4 threads (k2-fsa/sherpa, rtf.rst).
    const PIPER: [(f64, f64); 4] = [(1.0, 0.774), (2.0, 0.482), (3.0, 0.390), (4.0, 0.357)];

    #[test]
    fn usl_of_a_gpu() {
        let fit = Usl::fit(&ZIPVOICE).unwrap();
        close(fit.rate, 64.188, 5e-4);
        close(fit.sigma, 0.2854, 5e-5);
        close(fit.kappa, 0.0123, 5e-5);
        assert!(fit.max_residual < 0.004);
        close(
            fit.peak().unwrap(),
            ((1.0 - fit.sigma) / fit.kappa).sqrt(),
            1e-12,
        );
    }

    #[test]
    fn three_points_predict_the_fourth_within_three_percent() {
        let fit = Usl::fit(&ZIPVOICE[..3]).unwrap();
        let estimate = fit.estimate(8.0, 4.0).unwrap();
        assert_eq!(estimate.origin, Origin::Extrapolated);
        close(estimate.value / 139.3 - 1.0, -0.028, 0.002);
        assert_eq!(fit.estimate(8.5, 4.0), None, "more than one doubling");
        assert_eq!(fit.estimate(3.0, 4.0).unwrap().origin, Origin::Interpolated);
    }

    #[test]
    fn amdahl_of_a_small_board() {
        let fit = Amdahl::fit(&PIPER).unwrap();
        close(fit.time, 0.7657, 5e-5);
        close(fit.serial, 0.2762, 5e-5);
    }

    #[test]
    fn exact_laws_are_found_again() {
        let law = Usl {
            rate: 3.0,
            sigma: 0.1,
            kappa: 0.01,
            max_residual: 0.0,
        };
        let fit = Usl::fit(&[1.0, 2.0, 4.0, 8.0].map(|n| (n, law.at(n)))).unwrap();
        close(fit.rate, 3.0, 1e-9);
        close(fit.sigma, 0.1, 1e-9);
        close(fit.kappa, 0.01, 1e-9);
    }

    #[test]
    fn better_than_linear_is_fitted_as_linear() {
        let fit = Usl::fit(&[(1.0, 1.0), (2.0, 2.2), (4.0, 4.6)]).unwrap();
        close(fit.sigma, 0.0, 1e-12);
        close(fit.kappa, 0.0, 1e-12);
        assert_eq!(fit.peak(), None);
    }

    #[test]
    fn one_point_is_a_straight_line_and_none_is_nothing() {
        let fit = Usl::fit(&[(1.0, 5.0)]).unwrap();
        close(fit.at(2.0), 10.0, 1e-9);
        assert_eq!(Usl::fit(&[]), None);
        assert_eq!(Usl::fit(&[(1.0, f64::NAN)]), None);
        assert_eq!(Amdahl::fit(&[(0.0, 1.0)]), None);
    }

    #[test]
    fn words_and_the_point_of_diminishing_returns() {
        let speeds = PIPER.map(|(threads, rtf)| (threads, 1.0 / rtf));
        close(efficiency(4.0, speeds[3].1, speeds[0].1), 0.542, 5e-4);
        assert_eq!(Scalability::of(0.9), Scalability::Linear);
        assert_eq!(Scalability::of(0.542), Scalability::SubLinear);
        assert_eq!(Scalability::of(0.499).to_string(), "poor");
        assert_eq!(
            diminishing_returns(&speeds),
            Some(3.0),
            "1 → 2 adds 0.61, 2 → 3 adds 0.38"
        );
        assert_eq!(
            diminishing_returns(&[(1.0, 1.0), (2.0, 1.9), (4.0, 3.5)]),
            None
        );
        assert_eq!(diminishing_returns(&[]), None);
    }

    #[test]
    fn the_same_level_of_several_shapes_counts_once() {
        assert_eq!(
            merged(&mut [(2, 4.0), (1, 2.0), (2, 5.0)]),
            [(1.0, 2.0), (2.0, 4.5)]
        );
    }
}
