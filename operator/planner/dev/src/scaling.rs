//! The horizontal pod autoscaler of a plan in the simulator.

#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "what tests share may fail as a test may"
)]

use tts_planner::{ScalingKind, ScalingRules, SelectPolicy};
use tts_planner_simulator::{
    Autoscaled, AutoscaledOutcome, Autoscaler, Behavior, Rate, Select, mixed_arrivals,
};

use crate::simulation::Case;

/// The metric is the mean over half a minute that ended a scrape ago: together the policy's
/// `metric_lag`.
const METRIC_WINDOW: f64 = 30.0;
const METRIC_DELAY: f64 = 15.0;
/// Seconds in which the pods settle before the load changes.
const BEFORE: f64 = 900.0;
/// Seconds after a change that count.
const AFTER: f64 = 300.0;

/// What the load does, from a share of the peak on.
#[derive(Clone, Copy, Debug)]
pub enum Change {
    /// A straight line to the peak within so many seconds.
    Ramp(f64),
    /// The same, each minute by the same factor.
    Exponential(f64),
}

/// What came of several runs of a change, in percent of the requests.
#[derive(Clone, Copy, Debug)]
pub struct Reaction {
    /// Late or rejected, from the start of the change to five minutes after its end.
    pub late: f64,
    /// The same in the worst minute, over all runs.
    pub worst_minute: f64,
    /// Runs in which all pods that there may be were wanted.
    pub at_max: usize,
}

/// Where the autoscaler settles at a steady peak.
#[derive(Clone, Copy, Debug)]
pub struct Settled {
    /// Time average of the desired pods.
    pub mean: f64,
    pub lowest: u32,
    pub highest: u32,
    pub direction_changes: usize,
    /// Percent of the requests that are late or rejected.
    pub late: f64,
}

fn behavior(rules: &ScalingRules) -> Behavior {
    let policy = |kind| {
        let mut policies = rules.policies.iter();
        let policy = policies.find(|policy| policy.kind == kind)?;
        Some(usize::try_from(policy.value).unwrap())
    };
    Behavior {
        stabilization: f64::from(rules.stabilization_window_seconds),
        percent: policy(ScalingKind::Percent),
        pods: policy(ScalingKind::Pods),
        period: f64::from(rules.policies.first().unwrap().period_seconds),
        select: match rules.select_policy {
            SelectPolicy::Max => Select::Max,
            SelectPolicy::Min | SelectPolicy::Disabled => Select::Min,
        },
    }
}

fn whole_minutes(seconds: f64) -> usize {
    (0..1440_u32)
        .take_while(|minute| 60.0 * f64::from(*minute) < seconds)
        .count()
}

fn whole(count: usize) -> u32 {
    u32::try_from(count).unwrap()
}

/// As many runs as give so many requests in the five minutes after a change; 2 to 20.
pub fn runs(case: &Case, requests: u32) -> u64 {
    let wanted = f64::from(requests) / (AFTER * case.request.load.peak_rps());
    (2_u32..20)
        .find(|runs| f64::from(*runs) >= wanted)
        .map_or(20, u64::from)
}

impl Case {
    /// The plan's autoscaler, from `initial` pods on; cold starts as measured.
    pub fn autoscaled(&self, initial: u32) -> Autoscaled {
        let (plan, policy) = (&self.plan, &self.request.policy);
        let cold_start = |id: &str| {
            let mut measurements = self.request.measurements.iter();
            let of = measurements.find(|measurement| measurement.profile.id == *id);
            of.unwrap().profile.cold_start
        };
        let replicas = plan.replicas;
        Autoscaled {
            fleet: self.fleet(initial, Some(plan.pod.queue)),
            autoscaler: Autoscaler {
                min: usize::try_from(replicas.min).unwrap(),
                max: usize::try_from(replicas.max).unwrap(),
                target_in_flight: f64::from(plan.autoscaling.in_flight_milli) / 1000.0,
                tolerance: policy.hpa_tolerance,
                sync: 15.0,
                metric_window: METRIC_WINDOW,
                metric_delay: METRIC_DELAY,
                scale_up: behavior(&plan.autoscaling.behavior.scale_up),
                scale_down: behavior(&plan.autoscaling.behavior.scale_down),
            },
            cold_start: plan
                .voices
                .iter()
                .map(|voice| cold_start(&voice.profile))
                .sum(),
        }
    }

    /// Pods at the target at a share of the peak.
    pub fn at_share(&self, share: f64) -> u32 {
        let rate = share * self.request.load.peak_rps();
        let replicas = self.plan.replicas;
        let pods =
            (1..replicas.max).find(|&pods| rate <= f64::from(pods) * self.plan.autoscaling.rate);
        pods.unwrap_or(replicas.max).max(replicas.min)
    }

    fn scaled(&self, initial: u32, rate: &Rate, until: f64, seed: u64) -> AutoscaledOutcome {
        let requests = rate.arrivals(&self.texts(), seed);
        self.autoscaled(initial).run(&requests, until, seed)
    }

    /// The load changes from `from` of the peak to `to` of it, in so many runs.
    pub fn reaction(&self, from: f64, to: f64, change: Change, runs: u64) -> Reaction {
        let peak = self.request.load.peak_rps();
        let (seconds, rate) = match change {
            Change::Ramp(seconds) => (
                seconds,
                Rate::ramp(from * peak, to * peak, BEFORE, seconds, AFTER),
            ),
            Change::Exponential(seconds) => {
                let mut points = vec![(0.0, from * peak)];
                for step in 0..=50 {
                    let share = f64::from(step) / 50.0;
                    let growth = libm::pow(to / from, share);
                    points.push((BEFORE + share * seconds, from * peak * growth));
                }
                points.push((BEFORE + seconds + AFTER, to * peak));
                (seconds, Rate::through(points))
            }
        };
        let promise = self.request.objectives.ttfa_p95;
        let minutes = whole_minutes(seconds + AFTER);
        // (Late or rejected, all) of each minute.
        let mut counts = vec![(0.0, 0.0); minutes];
        let mut at_max = 0;
        for seed in 1..=runs {
            let outcome = self.scaled(self.at_share(from), &rate, rate.end(), seed);
            for (minute, count) in counts.iter_mut().enumerate() {
                let start = BEFORE + 60.0 * f64::from(whole(minute));
                let requests = outcome.requests.between(start, start + 60.0);
                let all = f64::from(whole(requests.served.len()));
                count.0 += requests.late_or_rejected(promise) * all;
                count.1 += all;
            }
            let max = usize::try_from(self.plan.replicas.max).unwrap();
            let since = outcome.replicas.iter().filter(|at| at.time >= BEFORE);
            at_max += usize::from(since.map(|at| at.desired).max() >= Some(max));
        }
        let (late, all) = counts
            .iter()
            .fold((0.0, 0.0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
        let worst = counts.iter().map(|(late, all)| late / f64::max(*all, 1.0));
        Reaction {
            late: 100.0 * late / f64::max(all, 1.0),
            worst_minute: 100.0 * worst.fold(0.0, f64::max),
            at_max,
        }
    }

    /// Percent that are late or rejected at a steady peak with S pods.
    pub fn late_at_steady(&self, arrivals: usize) -> f64 {
        let fleet = self.fleet(self.plan.replicas.steady, Some(self.plan.pod.queue));
        let peak = self.request.load.peak_rps();
        100.0 * self.late_or_rejected(&fleet, peak, arrivals, 1)
    }

    /// The fewest and the most pods at which the metric is within the tolerance at a steady peak;
    /// where there are none, the fewest at which it is below the target.
    pub fn tolerated(&self, arrivals: usize) -> (u32, u32) {
        let target = f64::from(self.plan.autoscaling.in_flight_milli) / 1000.0;
        let tolerance = self.request.policy.hpa_tolerance;
        let requests = mixed_arrivals(
            &self.texts(),
            self.request.load.peak_rps(),
            1.0,
            arrivals,
            1,
        );
        let ratio = |pods: u32| self.fleet(pods, None).run(&requests, 1).mean_in_system / target;
        let replicas = self.plan.replicas;
        let fewest = (replicas.min..replicas.max)
            .find(|pods| ratio(*pods) <= 1.0 + tolerance)
            .unwrap_or(replicas.max);
        let most = (fewest..replicas.max).take_while(|pods| ratio(*pods) >= 1.0 - tolerance);
        (fewest, most.last().unwrap_or(fewest))
    }

    /// An hour of steady load, after `BEFORE`.
    pub fn settled(&self, share: f64, initial: u32, seed: u64) -> Settled {
        let end = BEFORE + 3600.0;
        let peak = share * self.request.load.peak_rps();
        let rate = Rate::step(peak, peak, BEFORE, 3600.0);
        let mut outcome = self.scaled(initial, &rate, end, seed);
        let late = outcome
            .requests
            .between(BEFORE, end)
            .late_or_rejected(self.request.objectives.ttfa_p95);
        let mean = outcome.mean_replicas_since(BEFORE);
        outcome.replicas.retain(|at| at.time >= BEFORE);
        let desired = || outcome.replicas.iter().map(|at| whole(at.desired));
        Settled {
            mean,
            lowest: desired().min().unwrap_or_default(),
            highest: desired().max().unwrap_or_default(),
            direction_changes: outcome.direction_changes(),
            late: 100.0 * late,
        }
    }
}
