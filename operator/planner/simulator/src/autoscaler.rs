//! The rule of Kubernetes' `HorizontalPodAutoscaler` (autoscaling/v2) for one metric of type Pods
//! with a target of type `AverageValue`.
//!
//! Names in comments are the functions of `pkg/controller/podautoscaler` in Kubernetes, in
//! `replica_calculator.go` and `horizontal.go`.

use std::cmp::Ordering;

use crate::number::{float, whole};

/// What the horizontal pod autoscaler is told, and how good its metric is.
#[derive(Clone, Debug, PartialEq)]
pub struct Autoscaler {
    pub min: usize,
    pub max: usize,
    /// Requests in flight per pod, waiting included: the target.
    pub target_in_flight: f64,
    /// No change where usage over target is within this of one; Kubernetes' default is 0.1.
    pub tolerance: f64,
    /// Seconds between decisions, above zero; Kubernetes' default is 15.
    pub sync: f64,
    /// The metric is the mean of the requests in flight over these seconds, above zero …
    pub metric_window: f64,
    /// … which ended so long ago (s).
    pub metric_delay: f64,
    pub scale_up: Behavior,
    pub scale_down: Behavior,
}

/// `behavior.scaleUp` or `behavior.scaleDown`: how fast the number of replicas may change.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// The stabilization window (s).
    pub stabilization: f64,
    /// Policies: at most so many percent and so many pods per period. Both None: no limit.
    pub percent: Option<usize>,
    pub pods: Option<usize>,
    /// Of both policies (s).
    pub period: f64,
    pub select: Select,
}

/// The policy that counts: the one with the largest or with the smallest change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    Max,
    Min,
}

impl Behavior {
    /// Kubernetes' default for scaling up: twice as many or four more each 15 s.
    pub fn up() -> Self {
        Self {
            stabilization: 0.0,
            percent: Some(100),
            pods: Some(4),
            period: 15.0,
            select: Select::Max,
        }
    }

    /// Kubernetes' default for scaling down: to the highest recommendation of five minutes.
    pub fn down() -> Self {
        Self {
            stabilization: 300.0,
            percent: Some(100),
            pods: None,
            period: 15.0,
            select: Select::Max,
        }
    }

    /// The limits of the policies, each from the replicas at the start of the period; `select`
    /// among them.
    fn limit(&self, limits: [Option<usize>; 2], most_is_largest: bool) -> Option<usize> {
        let limits = limits.into_iter().flatten();
        if (self.select == Select::Max) == most_is_largest {
            limits.max()
        } else {
            limits.min()
        }
    }
}

/// A pod as the autoscaler sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum PodMetric {
    /// Not ready yet: Kubernetes' Pending. A pod that runs and is not ready is to `groupPods` one
    /// without a sample, which differs only for scaling down.
    NotReady,
    /// Ready, but after the newest sample.
    Missing,
    InFlight(f64),
}

/// A decision or a change, and when.
type At = (f64, usize);

/// The autoscaler at work: what it remembers.
pub(crate) struct Decisions<'a> {
    rule: &'a Autoscaler,
    recommendations: Vec<At>,
    added: Vec<At>,
    removed: Vec<At>,
}

impl<'a> Decisions<'a> {
    pub(crate) fn new(rule: &'a Autoscaler) -> Self {
        Self {
            rule,
            recommendations: Vec::new(),
            added: Vec::new(),
            removed: Vec::new(),
        }
    }

    /// The replicas desired from now on (`reconcileAutoscaler`). `pods` are the `current` replicas;
    /// pods that end are not among them (`groupPods` ignores those with a deletion timestamp).
    pub(crate) fn desired(&mut self, now: f64, current: usize, pods: &[PodMetric]) -> usize {
        // recordInitialRecommendation: the first window to scale down starts with the first look.
        if self.recommendations.is_empty() {
            self.recommendations.push((now, current));
        }
        let (min, max) = (self.rule.min.max(1), self.rule.max.max(1));
        // Replicas out of bounds are corrected at once, without a look at the metric.
        let desired = if current > max {
            max
        } else if current < min {
            min
        } else if let Some(recommended) = self.recommend(current, pods) {
            let stable = self.stabilize(now, current, recommended);
            self.limit_rate(now, current, stable, min, max)
        } else {
            current
        };
        // storeScaleEvent.
        if desired > current {
            self.added.push((now, desired - current));
        } else if desired < current {
            self.removed.push((now, current - desired));
        }
        desired
    }

    /// `GetMetricReplicas`, `calcPlainMetricReplicas`. None: no metric, hence no decision.
    fn recommend(&self, current: usize, pods: &[PodMetric]) -> Option<usize> {
        // Metrics and targets are in thousandths.
        let milli = |value: f64| whole((value * 1000.0).round());
        let target = milli(self.rule.target_in_flight).max(1);
        let mut metrics: Vec<usize> = pods
            .iter()
            .filter_map(|pod| match pod {
                PodMetric::InFlight(value) => Some(milli(*value)),
                PodMetric::NotReady | PodMetric::Missing => None,
            })
            .collect();
        // GetMetricUsageRatio: the mean is rounded down.
        let ratio = |metrics: &[usize]| {
            let mean = metrics.iter().sum::<usize>().checked_div(metrics.len())?;
            Some(float(mean) / float(target))
        };
        let within = |ratio: f64| (1.0 - ratio).abs() <= self.rule.tolerance;
        let usage = ratio(&metrics)?;
        let count = |kind| pods.iter().filter(|&&pod| pod == kind).count();
        let missing = count(PodMetric::Missing);
        // Pods that are not ready count only for scaling up, and then as idle: what they will take
        // over is not asked for again.
        let not_ready = if usage > 1.0 {
            count(PodMetric::NotReady)
        } else {
            0
        };
        if missing == 0 && not_ready == 0 {
            if within(usage) {
                return Some(current);
            }
            return Some(whole((usage * float(metrics.len())).ceil()));
        }
        // Pods without a sample are at the target for scaling down, and idle for scaling up.
        let assumed = if usage < 1.0 { target } else { 0 };
        metrics.extend(std::iter::repeat_n(assumed, missing));
        metrics.extend(std::iter::repeat_n(0, not_ready));
        let corrected = ratio(&metrics)?;
        // What turns the direction changes nothing. Kubernetes also ignores a count on the wrong
        // side of `current`, which cannot be where all replicas are among the pods.
        let turns = (usage < 1.0 && corrected > 1.0) || (usage > 1.0 && corrected < 1.0);
        if within(corrected) || turns {
            return Some(current);
        }
        Some(whole((corrected * float(metrics.len())).ceil()))
    }

    /// `stabilizeRecommendationWithBehaviors`: up to the lowest recommendation of the window for
    /// up, down to the highest of the window for down, the newest included.
    fn stabilize(&mut self, now: f64, current: usize, recommended: usize) -> usize {
        let (up, down) = (
            self.rule.scale_up.stabilization,
            self.rule.scale_down.stabilization,
        );
        let since = |window: f64| {
            let after = now - window;
            let recent = self.recommendations.iter().filter(move |at| at.0 > after);
            recent.map(|at| at.1).chain([recommended])
        };
        let lowest = since(up).min().unwrap_or(recommended);
        let highest = since(down).max().unwrap_or(recommended);
        let stable = current.max(lowest).min(highest);
        // Remembered as recommended, not as stabilized. The older than both windows are forgotten.
        let forgotten = now - up.max(down);
        self.recommendations.retain(|at| at.0 >= forgotten);
        self.recommendations.push((now, recommended));
        stable
    }

    /// `convertDesiredReplicasWithBehaviorRate`.
    fn limit_rate(
        &self,
        now: f64,
        current: usize,
        desired: usize,
        min: usize,
        max: usize,
    ) -> usize {
        match desired.cmp(&current) {
            Ordering::Greater => {
                let limit = self.up_limit(now, current).max(current);
                desired.min(limit.min(max))
            }
            Ordering::Less => {
                let limit = self.down_limit(now, current).min(current);
                desired.max(limit.max(min))
            }
            Ordering::Equal => desired,
        }
    }

    /// `calculateScaleUpLimitWithScalingRules`: `start + pods`, `ceil(start·(1 + percent/100))`.
    fn up_limit(&self, now: f64, current: usize) -> usize {
        let up = &self.rule.scale_up;
        let start = self.at_start_of(up.period, now, current);
        let percent = |percent| whole((float(start) * (1.0 + float(percent) / 100.0)).ceil());
        let limits = [up.percent.map(percent), up.pods.map(|pods| start + pods)];
        up.limit(limits, true).unwrap_or(usize::MAX)
    }

    /// `calculateScaleDownLimitWithBehaviors`: `start - pods`, `floor(start·(1 - percent/100))`.
    fn down_limit(&self, now: f64, current: usize) -> usize {
        let down = &self.rule.scale_down;
        let start = self.at_start_of(down.period, now, current);
        let percent = |percent| whole(float(start) * (1.0 - float(percent) / 100.0));
        let pods = |pods| start.saturating_sub(pods);
        let limits = [down.percent.map(percent), down.pods.map(pods)];
        down.limit(limits, false).unwrap_or(0)
    }

    /// Replicas when a period began that ends now (`getReplicasChangePerPeriod`): without those
    /// added since, with those removed.
    fn at_start_of(&self, period: f64, now: f64, current: usize) -> usize {
        let within = |changes: &[At]| {
            let recent = changes.iter().filter(|at| at.0 > now - period);
            recent.map(|at| at.1).sum::<usize>()
        };
        (current + within(&self.removed)).saturating_sub(within(&self.added))
    }
}
