//! One worker as the server's scheduler uses it: requests take turns, one chunk of text each.
//!
//! The planner and its simulator serve each request whole, in order of arrival. Where texts have one chunk, that is the same.

use std::collections::VecDeque;

/// A request; times in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Request {
    pub arrival: f64,
    /// Of the whole request and to its first audio, alone.
    pub service: f64,
    pub first_audio: f64,
    /// At least one. The first chunk's audio comes when it is done, the others take equally long.
    pub chunks: u32,
}

impl Request {
    fn turn(&self, number: u32) -> f64 {
        if self.chunks <= 1 {
            self.service
        } else if number == 0 {
            self.first_audio
        } else {
            (self.service - self.first_audio).max(0.0) / f64::from(self.chunks - 1)
        }
    }
}

/// The time from arrival to first audio of each request; they are sorted by arrival.
pub fn first_audio(requests: &[Request]) -> Vec<f64> {
    let mut times = vec![0.0; requests.len()];
    let mut queue: VecDeque<(usize, u32)> = VecDeque::new();
    let (mut now, mut arrived) = (0.0_f64, 0);
    while arrived < requests.len() || !queue.is_empty() {
        let (index, turn) = queue.pop_front().unwrap_or_else(|| {
            arrived += 1;
            (arrived - 1, 0)
        });
        let request = &requests[index];
        now = now.max(request.arrival);
        if turn == 0 {
            times[index] = now - request.arrival + request.first_audio.min(request.service);
        }
        now += request.turn(turn);
        while requests
            .get(arrived)
            .is_some_and(|next| next.arrival <= now)
        {
            queue.push_back((arrived, 0));
            arrived += 1;
        }
        if turn + 1 < request.chunks {
            queue.push_back((index, turn + 1));
        }
    }
    times
}

#[cfg(test)]
mod tests {
    use tts_planner_simulator::{Balancing, Pods, Work};

    use super::*;

    fn request(arrival: f64, service: f64, first_audio: f64, chunks: u32) -> Request {
        Request {
            arrival,
            service,
            first_audio,
            chunks,
        }
    }

    fn close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() < 1e-9,
                "{found}, expected {expected}"
            );
        }
    }

    #[test]
    fn a_short_text_waits_for_one_chunk_of_a_long_one() {
        let requests = [
            request(0.0, 5.0, 1.0, 3),
            request(0.5, 1.0, 1.0, 1),
            // When it comes, the second chunk of the first one is spoken: from 2 to 4.
            request(2.5, 1.0, 0.5, 1),
            request(20.0, 1.0, 1.0, 1),
        ];
        close(&first_audio(&requests), &[1.0, 1.5, 2.0, 1.0]);
        let whole: Vec<_> = requests
            .map(|request| Request {
                chunks: 1,
                ..request
            })
            .into();
        close(&first_audio(&whole), &[1.0, 5.5, 4.0, 1.0]);
        assert_eq!(first_audio(&[]), Vec::<f64>::new());
    }

    #[test]
    fn texts_of_one_chunk_are_served_as_the_planners_simulator_does() {
        let work = Work {
            mean_audio: 6.0,
            audio_cv: 0.6,
            length: tts_planner_simulator::Length::LogNormal,
            s0: 0.02,
            s1: 0.07,
            f0: 0.02,
            f1: 0.07,
            chunk: Some((2.5, 0.3)),
            noise: 0.1,
        };
        let requests = work.arrivals(1.5, 2000, 7);
        let pod = Pods {
            count: 1,
            slowdown: vec![1.0],
            queue: None,
            balancing: Balancing::Random,
        };
        let of = |one: &tts_planner_simulator::Request| {
            request(one.arrival, one.service, one.first_audio, 1)
        };
        let times = first_audio(&requests.iter().map(of).collect::<Vec<_>>());
        let simulated = pod.run(&requests, 0).first_audio;
        for (found, expected) in times[200..].iter().zip(simulated) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
    }
}
