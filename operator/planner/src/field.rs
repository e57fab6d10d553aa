//! All shapes on all classes: those that serve the load, best first, and why the others do not.

use std::cmp::Ordering;
use std::rc::Rc;

use crate::candidates::Candidate;
use crate::contenders::Contender;
use crate::mix::{mixes, shares};
use crate::numeric::round_significant;
use crate::rejection::{Because, Rejection};
use crate::request::{Request, Terms};
use crate::shapes::pod_shapes;

/// Costs that agree to this many significant digits are equal.
const COST_DIGITS: usize = 9;

/// What there is to choose from, whatever the objectives and the peak.
pub(crate) struct Contenders<'a> {
    pub list: Vec<Contender<'a>>,
    /// Classes and profiles that are out before any shape is looked at.
    out: Vec<Rejection>,
}

impl<'a> Contenders<'a> {
    pub fn of(request: &'a Request) -> Self {
        let mut out: Vec<Rejection> = request
            .unreadable
            .iter()
            .map(|profile| Rejection {
                class: String::new(),
                profiles: vec![profile.id.clone()],
                shape: None,
                because: Because::Unreadable {
                    message: profile.message.clone(),
                },
            })
            .collect();
        let mut list = Vec::new();
        let shares = shares(request);
        for class in &request.classes {
            if let Some(exclusion) = class.excluded {
                out.push(Rejection::of_class(class, Because::Excluded { exclusion }));
                continue;
            }
            let (mixes, rejections) = mixes(request, class, &shares);
            out.extend(rejections);
            for mix in mixes {
                let pods = pod_shapes(&mix, class, &request.policy);
                if pods.is_empty() {
                    out.push(Rejection {
                        profiles: mix.profiles(),
                        ..Rejection::of_class(class, Because::NoCommonShape)
                    });
                }
                let mix = Rc::new(mix);
                for shape in pods {
                    let contender = Contender::new(request, class, Rc::clone(&mix), shape);
                    if contender.slots() > 0 {
                        list.push(contender);
                    } else {
                        out.push(contender.rejection(Because::SharingUnmeasured {
                            pods: class.pods_per_gpu,
                        }));
                    }
                }
            }
        }
        Self { list, out }
    }
}

/// Every contender, judged.
pub(crate) struct Field<'c> {
    /// Keep the objectives and fit the inventory, best first.
    pub feasible: Vec<Candidate<'c>>,
    /// Keep the objectives but need more pods than there is room for.
    pub too_many: Vec<Candidate<'c>>,
    /// Everything else.
    pub out: Vec<Rejection>,
}

impl<'c> Field<'c> {
    pub fn with(contenders: &'c Contenders<'_>, terms: &Terms<'_>) -> Self {
        let mut field = Self {
            feasible: Vec::new(),
            too_many: Vec::new(),
            out: contenders.out.clone(),
        };
        for contender in &contenders.list {
            match Candidate::best(contender, terms) {
                Ok(candidate) if candidate.fits_inventory() => field.feasible.push(candidate),
                Ok(candidate) => field.too_many.push(candidate),
                Err(because) => field.out.push(contender.rejection(because)),
            }
        }
        let minimise = terms.policy.minimise;
        let mut keyed: Vec<_> = field
            .feasible
            .into_iter()
            .map(|candidate| {
                let (first, second) = candidate.score(minimise);
                let score = [first, second].map(|value| round_significant(value, COST_DIGITS));
                (score, candidate)
            })
            .collect();
        keyed.sort_by(|(score, a), (other, b)| {
            score[0]
                .total_cmp(&other[0])
                .then(score[1].total_cmp(&other[1]))
                .then_with(|| tie(a, b))
        });
        field.feasible = keyed.into_iter().map(|(_, candidate)| candidate).collect();
        field.too_many.sort_by(place);
        field.out.sort_by(|a, b| {
            let key = |r: &Rejection| {
                (
                    r.class.clone(),
                    r.profiles.clone(),
                    r.shape.map(|(cpu, t)| (cpu.to_bits(), t)),
                )
            };
            key(a)
                .cmp(&key(b))
                .then_with(|| a.because.code().cmp(b.because.code()))
        });
        field
    }

    /// Whether anything serves the load: [`with`](Self::with), as far as that takes.
    pub fn is_feasible(contenders: &Contenders<'_>, terms: &Terms<'_>) -> bool {
        contenders.list.iter().any(|contender| {
            Candidate::best(contender, terms).is_ok_and(|candidate| candidate.fits_inventory())
        })
    }

    /// Whether anything keeps the objectives, with however many pods.
    pub fn is_possible(contenders: &Contenders<'_>, terms: &Terms<'_>) -> bool {
        let mut list = contenders.list.iter();
        list.any(|contender| Candidate::best(contender, terms).is_ok())
    }

    /// Everything that did not make it.
    pub fn rejected(&self) -> Vec<Rejection> {
        let too_many = self.too_many.iter().map(|candidate| {
            candidate.of.rejection(Because::Capacity {
                needed: candidate.replicas,
                limit: candidate.limit,
                nodes: candidate.of.class.max_nodes,
                pods_per_node: candidate.pods_per_node,
            })
        });
        too_many.chain(self.out.iter().cloned()).collect()
    }
}

/// At equal cost: less of nodes that cost nothing (a price however small would decide so), CPU
/// before GPU, fewer replicas, more threads, the class's name, the profiles', the smaller pod. No
/// two candidates agree in all, so the order is total.
fn tie(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    let free = |candidate: &Candidate<'_>| round_significant(candidate.nodes(), COST_DIGITS);
    let nodes = if a.cost == 0.0 && b.cost == 0.0 {
        free(a).total_cmp(&free(b))
    } else {
        Ordering::Equal
    };
    nodes
        .then(a.accelerator().cmp(&b.accelerator()))
        .then(a.replicas.cmp(&b.replicas))
        .then(b.of.shape.threads.cmp(&a.of.shape.threads))
        .then_with(|| place(a, b))
}

/// By where it is and what it is.
pub(crate) fn place(a: &Candidate<'_>, b: &Candidate<'_>) -> Ordering {
    a.of.class
        .name
        .cmp(&b.of.class.name)
        .then_with(|| a.of.mix.order(&b.of.mix))
        .then(a.of.shape.cpu.total_cmp(&b.of.shape.cpu))
        .then(a.of.shape.threads.cmp(&b.of.shape.threads))
}
