//! What the planner makes of the profiles of one voice: the plan, its cost against the objective, the
//! pods against the peak, and each measured shape by itself.

use serde::Serialize;
use tts_planner::profile::details::Details;
use tts_planner::{
    Accelerator, Decision, Load, Measurement, NodeClass, Objectives, Peak, Policy, Profile, Quota,
    Request, RequestError, plan,
};

use crate::options::Options;

/// Promises for which the cost is computed (s).
const OBJECTIVES: [f64; 11] = [0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 4.0, 8.0];
/// Peaks for which pods are computed, over the one that was asked for.
const PEAKS: [f64; 7] = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0];
/// Nodes and memory are not in a profile: as many and as much as needed.
const NODES: u32 = 10_000;
const MEMORY: f64 = 1_048_576.0;

/// One voice on all its classes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    pub voice: String,
    /// Whether cost is in the prices' currency; else it is cores, a GPU counting as eight.
    pub priced: bool,
    pub decision: Decision,
    /// One entry per class.
    pub classes: Vec<ClassPlan>,
    /// Objectives at which another class becomes the cheapest, ascending.
    pub crossings: Vec<Crossing>,
    /// Each measured shape by itself.
    pub shapes: Vec<ShapePlan>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClassPlan {
    pub class: String,
    pub accelerator: Accelerator,
    /// The cheapest plan at the objective and the peak; None where there is none.
    pub cost: Option<f64>,
    pub by_objective: Vec<CostPoint>,
    pub by_peak: Vec<PeakPoint>,
    /// Why nothing on this class keeps the objective.
    pub message: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CostPoint {
    /// Seconds.
    pub objective: f64,
    /// None: no plan keeps it.
    pub cost: Option<f64>,
    pub replicas: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PeakPoint {
    /// Requests per second.
    pub peak: f64,
    pub replicas: Option<u32>,
    pub cost: Option<f64>,
}

/// From this objective on, `to` is the cheapest class; below it was `from`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Crossing {
    pub objective: f64,
    /// None: nothing kept shorter objectives.
    pub from: Option<String>,
    pub to: String,
}

/// What it takes to carry the peak with pods of one shape.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ShapePlan {
    pub class: String,
    pub profile: String,
    pub cpu: f64,
    pub threads: u32,
    pub outcome: ShapeOutcome,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum ShapeOutcome {
    Kept {
        /// Requests per second that one pod carries.
        rate: f64,
        utilisation: f64,
        replicas: u32,
        ttfa_p95: Option<f64>,
        cost: f64,
    },
    Not {
        message: String,
    },
}

/// The classes of these profiles: what a profile knows of its nodes.
pub fn classes(profiles: &[&Profile], options: &Options) -> Vec<NodeClass> {
    let mut classes: Vec<NodeClass> = Vec::new();
    for profile in profiles {
        let measured = Details::of(profile).cores.allocatable;
        let largest = profile.configs.iter().map(|config| config.cpu);
        let cpu = largest.fold(measured, f64::max);
        let gpu = u32::from(profile.accelerator() == Accelerator::Gpu);
        let name = &profile.node.class;
        match classes.iter_mut().find(|class| class.name == *name) {
            Some(class) => {
                class.allocatable_cpu = class.allocatable_cpu.max(cpu);
                class.gpu_slots = class.gpu_slots.max(gpu);
            }
            None => classes.push(NodeClass {
                gpu_slots: gpu,
                price_per_hour: options.prices.get(name).copied(),
                ..NodeClass::new(name, cpu, MEMORY, NODES)
            }),
        }
    }
    classes
}

impl Planned {
    /// # Errors
    /// When the options are no valid request.
    pub fn of(voice: &str, profiles: &[&Profile], options: &Options) -> Result<Self, RequestError> {
        let request = request(voice, profiles, options);
        let priced = request
            .classes
            .iter()
            .all(|class| class.price_per_hour.is_some());
        let decision = plan(&request)?;
        let mut by_class = Vec::new();
        for class in &request.classes {
            by_class.push(ClassPlan::of(class, profiles, &request)?);
        }
        let mut shapes = Vec::new();
        for profile in profiles {
            for config in &profile.configs {
                shapes.push(ShapePlan::of(profile, config, &request)?);
            }
        }
        Ok(Self {
            voice: voice.to_owned(),
            priced,
            decision,
            crossings: crossings(&by_class),
            classes: by_class,
            shapes,
        })
    }

    /// What costs are in.
    pub fn unit(&self) -> &'static str {
        if self.priced { "per hour" } else { "cores" }
    }
}

fn request(voice: &str, profiles: &[&Profile], options: &Options) -> Request {
    Request {
        voices: vec![tts_planner::VoiceShare {
            name: voice.to_owned(),
            weight: 1.0,
        }],
        measurements: profiles
            .iter()
            .map(|&profile| Measurement::as_recorded(profile.clone()))
            .collect(),
        unreadable: Vec::new(),
        objectives: Objectives {
            ttfa_p95: options.objective,
            rtf_p95: Options::REAL_TIME_FACTOR,
        },
        load: Load::new(Peak::RequestsPerSecond(options.peak)),
        classes: classes(profiles, options),
        policy: Policy::default(),
        quota: Quota::default(),
        current: None,
    }
}

impl ClassPlan {
    fn of(class: &NodeClass, profiles: &[&Profile], whole: &Request) -> Result<Self, RequestError> {
        let mut request = whole.clone();
        request.classes = vec![class.clone()];
        request
            .measurements
            .retain(|measurement| measurement.profile.node.class == class.name);
        let at = plan(&request)?;
        let mut objectives = OBJECTIVES.to_vec();
        let asked = whole.objectives.ttfa_p95;
        objectives.push(asked);
        objectives.sort_by(f64::total_cmp);
        objectives.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
        let mut by_objective = Vec::new();
        for objective in objectives {
            request.objectives.ttfa_p95 = objective;
            let decision = plan(&request)?;
            by_objective.push(CostPoint {
                objective,
                cost: cost(&decision),
                replicas: decision.plan().map(|plan| plan.replicas.at_peak),
            });
        }
        request.objectives.ttfa_p95 = asked;
        let mut by_peak = Vec::new();
        for factor in PEAKS {
            let peak = factor * whole.load.peak_rps();
            request.load.peak = Peak::RequestsPerSecond(peak);
            let decision = plan(&request)?;
            by_peak.push(PeakPoint {
                peak,
                replicas: decision.plan().map(|plan| plan.replicas.at_peak),
                cost: cost(&decision),
            });
        }
        let of_class = profiles.iter().find(|p| p.node.class == class.name);
        Ok(Self {
            class: class.name.clone(),
            accelerator: of_class.map_or(Accelerator::Cpu, |profile| profile.accelerator()),
            cost: cost(&at),
            by_objective,
            by_peak,
            message: at.infeasible().map(|infeasible| infeasible.message.clone()),
        })
    }
}

fn cost(decision: &Decision) -> Option<f64> {
    let predicted = decision.plan()?.predicted?;
    Some(predicted.cost_per_hour)
}

impl ShapePlan {
    /// Pods of this shape alone, on nodes that have its cores.
    fn of(
        profile: &Profile,
        config: &tts_planner::profile::Config,
        whole: &Request,
    ) -> Result<Self, RequestError> {
        let mut request = whole.clone();
        request
            .classes
            .retain(|class| class.name == profile.node.class);
        let mut alone = profile.clone();
        alone.configs = vec![config.clone()];
        request.measurements = vec![Measurement::as_recorded(alone)];
        request.policy.interpolate_sizes = false;
        let decision = plan(&request)?;
        let outcome = match decision
            .plan()
            .and_then(|plan| Some((plan, plan.predicted?)))
        {
            Some((plan, predicted)) => ShapeOutcome::Kept {
                rate: predicted.rate,
                utilisation: predicted.utilisation,
                replicas: plan.replicas.at_peak,
                ttfa_p95: predicted.ttfa_p95,
                cost: predicted.cost_per_hour,
            },
            None => ShapeOutcome::Not {
                message: decision.alternatives.rejected.first().map_or_else(
                    || {
                        decision
                            .infeasible()
                            .map_or_else(String::new, |found| found.message.clone())
                    },
                    |rejection| rejection.because.to_string(),
                ),
            },
        };
        Ok(Self {
            class: profile.node.class.clone(),
            profile: profile.id.clone(),
            cpu: config.cpu,
            threads: config.threads,
            outcome,
        })
    }
}

/// Where the cheapest class changes.
fn crossings(classes: &[ClassPlan]) -> Vec<Crossing> {
    let objectives = classes.first().map_or(0, |class| class.by_objective.len());
    let mut crossings = Vec::new();
    let mut before: Option<String> = None;
    for index in 0..objectives {
        let cheapest = classes
            .iter()
            .filter_map(|class| {
                let point = class.by_objective.get(index)?;
                Some((point.cost?, point.objective, &class.class))
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        if let Some((_, objective, class)) = cheapest
            && before.as_ref() != Some(class)
        {
            crossings.push(Crossing {
                objective,
                from: before.replace(class.clone()),
                to: class.clone(),
            });
        }
    }
    crossings
}

#[cfg(test)]
mod tests {
    use tts_planner_dev::samples;

    use super::*;

    fn planned(prices: &[(&str, f64)]) -> Planned {
        let request = samples::request();
        let profiles: Vec<&Profile> = request.measurements.iter().map(|m| &m.profile).collect();
        let options = Options {
            objective: 1.0,
            peak: 10.0,
            prices: prices.iter().map(|&(k, v)| (k.to_owned(), v)).collect(),
            ..Options::default()
        };
        Planned::of("voice", &profiles, &options).unwrap()
    }

    #[test]
    fn cost_falls_with_the_objective_and_grows_with_the_peak() {
        let planned = planned(&[("cpu", 0.34), ("gpu", 0.71)]);
        assert!(planned.priced);
        assert_eq!(planned.classes.len(), 2);
        for class in &planned.classes {
            let costs: Vec<f64> = class.by_objective.iter().filter_map(|p| p.cost).collect();
            assert!(costs.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9));
            let pods: Vec<u32> = class.by_peak.iter().filter_map(|p| p.replicas).collect();
            assert!(pods.is_sorted());
        }
        assert!(!planned.crossings.is_empty());
        assert_eq!(planned.crossings[0].from, None);
    }

    #[test]
    fn without_prices_cores_count() {
        assert_eq!(planned(&[("cpu", 0.34)]).unit(), "cores");
    }
}
