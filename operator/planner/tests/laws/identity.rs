//! When two requests are the same, and when not.

use serde_json::Value;
use tts_planner::{Current, Decision, Measurement, Peak, Request, Validity};
use tts_planner_dev::laws::for_each;
use tts_planner_dev::samples::{changed, decide};

use crate::numbers;

fn without_hash(decision: &Decision) -> Value {
    let mut value = serde_json::to_value(decision).unwrap();
    forget(&mut value);
    value
}

fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("inputHash");
            fields.values_mut().for_each(forget);
        }
        Value::Array(values) => values.iter_mut().for_each(forget),
        _ => {}
    }
}

/// Leaves of the JSON by their paths.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), found)),
        Value::Array(values) => values
            .iter()
            .enumerate()
            .for_each(|(index, value)| leaves(value, &format!("{path}/{index}"), found)),
        Value::Null => {}
        _ => found.push(path.to_owned()),
    }
}

#[test]
fn equal_hashes_mean_equal_decisions() {
    for_each(40, |request, decision| {
        let value = serde_json::to_value(request).unwrap();
        let mut paths = Vec::new();
        leaves(&value, "", &mut paths);
        let (hash, decision) = (request.input_hash(), without_hash(decision));
        let mut draw = numbers(request);
        for _ in 0..12 {
            let path = &paths[draw.below(paths.len())];
            let mut other = value.clone();
            let leaf = other.pointer_mut(path).unwrap();
            *leaf = match &*leaf {
                Value::Bool(value) => (!value).into(),
                Value::Number(number) if number.is_f64() => {
                    (number.as_f64().unwrap() * draw.pick(&[0.5, 0.9, 1.1, 2.0])).into()
                }
                Value::Number(number) => (number.as_u64().unwrap() * 2).into(),
                Value::String(text) => format!("{text}-other").into(),
                _ => continue,
            };
            let Ok(other) = serde_json::from_value::<Request>(other) else {
                continue;
            };
            if other.check().is_err()
                || other
                    .measurements
                    .iter()
                    .any(|m| m.profile.check().is_err())
            {
                continue;
            }
            if other.input_hash() == hash && without_hash(&decide(&other)) != decision {
                return Err(path.clone());
            }
        }
        Ok(true)
    });
}

#[test]
fn what_is_for_reports_changes_neither_hash_nor_plan() {
    for_each(40, |request, decision| {
        let reported = changed(request, |r| {
            for measurement in &mut r.measurements {
                let profile = &mut measurement.profile;
                profile.report.insert("note".to_owned(), "any".into());
                profile.run.duration += 1.0;
                profile.run.passes += 1;
                profile.node.fingerprint.kernel.push_str(".1");
                profile.server.image.push('0');
                for config in &mut profile.configs {
                    config.f0 *= 2.0;
                    for level in &mut config.levels {
                        level.seconds *= 2.0;
                        level.s_p50 *= 2.0;
                        level.s_p95 *= 2.0;
                        level.ttfa_p95 *= 2.0;
                    }
                }
            }
        });
        let running = changed(request, |r| {
            r.current = Some(Current {
                class: "class-0".to_owned(),
                ..Current::default()
            });
        });
        if request.input_hash() != reported.input_hash()
            || request.input_hash() != running.input_hash()
        {
            return Err("another hash".to_owned());
        }
        if without_hash(decision) != without_hash(&decide(&reported)) {
            return Err("another plan".to_owned());
        }
        Ok(true)
    });
}

#[test]
fn the_hash_changes_with_what_matters() {
    type Changes = [(&'static str, fn(&mut Request)); 22];
    const CHANGES: Changes = [
        ("peak", |r| {
            r.load.peak = Peak::RequestsPerSecond(1.01 * r.load.peak_rps());
        }),
        ("meanAudio", |r| r.load.mean_audio *= 1.001),
        ("audioCv", |r| r.load.audio_cv += 0.001),
        ("burstiness", |r| r.load.burstiness += 0.001),
        ("maxChunkAudio", |r| r.load.max_chunk_audio += 0.001),
        ("ttfaP95", |r| r.objectives.ttfa_p95 *= 1.001),
        ("rtfP95", |r| r.objectives.rtf_p95 *= 1.001),
        ("maxNodes", |r| r.classes[0].max_nodes += 1),
        ("allocatableCpu", |r| r.classes[0].allocatable_cpu += 0.001),
        ("allocatableMemory", |r| {
            r.classes[0].allocatable_memory += 1.0;
        }),
        ("price", |r| {
            r.classes[0].price_per_hour = r.classes[0]
                .price_per_hour
                .map_or(Some(0.0), |price| Some(price + 0.001));
        }),
        ("promised", |r| r.classes[0].promised.cpu += 0.001),
        ("switchGain", |r| r.policy.switch_gain += 0.001),
        ("maxUtilisation", |r| r.policy.max_utilisation -= 0.001),
        ("quota", |r| {
            r.quota.pods = Some(r.quota.pods.unwrap_or(1000) + 1);
        }),
        ("oomKilledAt", |r| {
            r.measurements
                .iter_mut()
                .take(1)
                .for_each(|m| m.oom_killed_at = Some(m.oom_killed_at.unwrap_or(10.0) + 1.0));
        }),
        ("validity", |r| {
            r.measurements
                .iter_mut()
                .for_each(|m| m.profile.run.validity = Validity::Invalid);
        }),
        ("throughput", |r| {
            r.measurements
                .iter_mut()
                .for_each(|m| m.profile.configs[0].levels[0].audio_per_sec *= 1.001);
        }),
        ("first audio", |r| {
            r.measurements
                .iter_mut()
                .for_each(|m| m.profile.configs[0].levels[0].ttfa_q[22] *= 1.001);
        }),
        ("memory", |r| {
            r.measurements
                .iter_mut()
                .for_each(|m| m.profile.configs[0].mem.base += 0.1);
        }),
        ("streaming", |r| {
            r.measurements
                .iter_mut()
                .for_each(|m| m.profile.streaming ^= true);
        }),
        ("fullNode", |r| {
            r.measurements.iter_mut().for_each(|m| {
                m.profile.full_node.push(tts_planner::profile::FullNode {
                    threads: 1,
                    workers: 1,
                    requests: 100,
                    audio_per_sec: 1.0,
                });
            });
        }),
    ];
    for_each(50, |request, _| {
        let usable = |m: &Measurement| {
            m.profile.run.validity != Validity::Invalid
                && m.profile
                    .configs
                    .iter()
                    .all(|config| config.levels[0].requests >= 20)
        };
        if !request.measurements.iter().any(usable) {
            return Ok(false);
        }
        let hash = request.input_hash();
        match CHANGES
            .iter()
            .find(|(_, change)| changed(request, change).input_hash() == hash)
        {
            Some((name, _)) => Err((*name).to_owned()),
            None => Ok(true),
        }
    });
}

#[test]
fn the_order_of_the_inputs_changes_no_bit() {
    for_each(40, |request, decision| {
        let mut draw = numbers(request);
        let mixed = changed(request, |r| {
            draw.shuffle(&mut r.classes);
            draw.shuffle(&mut r.measurements);
            draw.shuffle(&mut r.voices);
            for measurement in &mut r.measurements {
                draw.shuffle(&mut measurement.profile.configs);
                draw.shuffle(&mut measurement.profile.full_node);
                draw.shuffle(&mut measurement.profile.encoding);
            }
        });
        // Floats are written exactly, so equal text is equal bits.
        let text = |decision: &Decision| serde_json::to_string(decision).unwrap();
        if request.input_hash() != mixed.input_hash() {
            return Err("another hash".to_owned());
        }
        let (a, b) = (text(decision), text(&decide(&mixed)));
        if a != b {
            let at = a
                .bytes()
                .zip(b.bytes())
                .take_while(|(a, b)| a == b)
                .count()
                .saturating_sub(40);
            return Err(format!(
                "{:?} becomes {:?}",
                a.get(at..at + 120),
                b.get(at..at + 120)
            ));
        }
        Ok(true)
    });
}
