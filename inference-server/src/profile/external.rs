//! A profile of an endpoint: what clients see, with nothing known of what is behind.

use tts_planner::{
    Profile, Validity,
    profile::{
        Corpus, ExecutionProvider, External, Fingerprint, Node, Run, SCHEMA, Server, Variant,
        Voice, details::Details,
    },
};

use super::{now, summary};
use crate::{
    client::{Client, ClientError, Endpoint, Plan, Progress, Texts, measure},
    statistics::{float, mean_and_sd, variation},
};

/// The node class of endpoints: nothing is planned on it.
pub const CLASS: &str = "external";
/// What is not known.
const UNKNOWN: &str = "unknown";

/// Measures an endpoint; each level is told on standard error.
///
/// # Errors
/// When it does not speak at all.
pub async fn profile(
    endpoint: Endpoint,
    voice: &str,
    corpus: &super::corpus::Corpus,
    plan: &Plan,
    timeout: std::time::Duration,
    ca_pem: Option<&str>,
) -> Result<Profile, ClientError> {
    let started = now();
    let begun = std::time::Instant::now();
    let client = Client::new(endpoint, timeout, ca_pem)?;
    let texts = Texts::new(corpus.load.clone())?;
    let mut audio = Vec::new();
    let mut characters = 0;
    let external = measure(&client, &texts, plan, &mut |progress| {
        if let Progress::Level { samples, .. } | Progress::OpenLoop { samples, .. } = &progress {
            for sample in samples.iter().filter(|sample| sample.failure.is_none()) {
                audio.push(sample.audio_seconds);
                characters += corpus
                    .load
                    .get(sample.text_index)
                    .map_or(0, |text| text.chars().count());
            }
        }
        tell(&progress);
    })
    .await?;
    let errors = external.levels.iter().map(|level| level.errors);
    let errors: u32 = errors
        .chain(external.open_loop.iter().map(|run| run.errors))
        .sum();
    let (mean, _) = mean_and_sd(&audio);
    let mut profile = bare(voice, started, external);
    profile.run.duration = begun.elapsed().as_secs_f64();
    profile.corpus = Corpus {
        id: corpus.id.clone(),
        mean_audio: mean,
        cv_audio: variation(&audio),
        chunk_audio: mean,
        audio_per_char: audio.iter().sum::<f64>() / float(characters.max(1)),
        phonemes_per_audio: None,
        chunks_per_text: None,
    };
    if errors > 0 {
        profile.report = Details {
            notes: vec![format!("{errors} request(s) failed")],
            ..Details::default()
        }
        .to_block();
    }
    profile.id = summary::id(&profile);
    Ok(profile)
}

/// The profile without what was measured.
fn bare(voice: &str, started: String, external: External) -> Profile {
    Profile {
        schema: SCHEMA.to_owned(),
        id: String::new(),
        voice: Voice {
            name: voice.to_owned(),
            model_digest: UNKNOWN.to_owned(),
            config_digest: UNKNOWN.to_owned(),
            variant: Variant {
                precision: UNKNOWN.to_owned(),
                nfe: None,
            },
        },
        server: Server {
            version: UNKNOWN.to_owned(),
            image: String::new(),
            ort: UNKNOWN.to_owned(),
            ep: ExecutionProvider::Cpu,
            allow_spinning: false,
            arena: false,
        },
        node: Node {
            class: CLASS.to_owned(),
            fingerprint: Fingerprint {
                arch: UNKNOWN.to_owned(),
                cpu_model: UNKNOWN.to_owned(),
                flags: Vec::new(),
                smt: 1,
                mhz_busy: None,
                governor: None,
                kernel: UNKNOWN.to_owned(),
                gpu: None,
                gemm_gflops1t: None,
                mem_bw_gbs1t: None,
            },
        },
        run: Run {
            started,
            duration: 0.0,
            passes: 1,
            anchor_drift: 0.0,
            psi_cpu_some: 0.0,
            steal: 0.0,
            validity: Validity::Valid,
            throughput_rel_ci: 0.0,
            noise_cv: 0.0,
            dropped: Vec::new(),
            unstable: Vec::new(),
            co_tenants: 0,
            others_cpu: 0.0,
            faults: Vec::new(),
        },
        corpus: Corpus {
            id: String::new(),
            mean_audio: 0.0,
            cv_audio: 0.0,
            chunk_audio: 0.0,
            audio_per_char: 0.0,
            chunks_per_text: None,
            phonemes_per_audio: None,
        },
        streaming: true,
        cold_start: 0.0,
        configs: Vec::new(),
        full_node: Vec::new(),
        encoding: Vec::new(),
        batch: None,
        scaling: None,
        verification: None,
        external: Some(external),
        report: serde_json::Map::new(),
    }
}

fn tell(progress: &Progress) {
    // Of 23 quantiles, the one at 0.95.
    let p95 = |quantiles: &[f64]| 1000.0 * quantiles.get(19).copied().unwrap_or(0.0);
    match progress {
        Progress::FirstAnswer(answer) => eprintln!(
            "the endpoint speaks: {:.1} s of audio in {:.2} s",
            answer.audio_seconds, answer.total
        ),
        Progress::LevelStarted { .. } | Progress::RateStarted { .. } => {}
        Progress::Level { level, .. } => eprintln!(
            "{} client(s): {:.1} audio-s/s, p95 first audio {:.0} ms, {} requests, {} errors",
            level.clients,
            level.audio_per_sec,
            p95(&level.ttfa_q),
            level.requests,
            level.errors
        ),
        Progress::OpenLoop { run, .. } => eprintln!(
            "{:.2} requests/s: p95 first audio {:.0} ms, {} requests, {} errors ({} told to come later)",
            run.rate,
            p95(&run.ttfa_q),
            run.requests,
            run.errors,
            run.rejected
        ),
    }
}
