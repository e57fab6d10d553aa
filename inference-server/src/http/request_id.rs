//! `x-request-id`: the client's if it is valid, else a new one.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use http::{HeaderName, HeaderValue};

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const LONGEST: usize = 128;

/// The request's id; a new one if the request has none or an invalid one.
pub fn request_id(sent: Option<&HeaderValue>) -> String {
    sent.and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=LONGEST).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
        })
        .map_or_else(new_id, ToOwned::to_owned)
}

/// Unique within the process by its counter, across processes by the hasher's random keys.
fn new_id() -> String {
    static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!(
        "req_{:016x}{:016x}",
        KEYS.0.hash_one(count),
        KEYS.1.hash_one(count)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sane_ids_are_kept_and_others_replaced() {
        assert_eq!(
            request_id(Some(&HeaderValue::from_static("abc-1"))),
            "abc-1"
        );
        for bad in ["", "two words", &"x".repeat(129)] {
            let id = request_id(Some(&HeaderValue::from_str(bad).unwrap()));
            assert!(id.starts_with("req_") && id.len() == 36, "{id}");
        }
        assert_ne!(request_id(None), request_id(None));
    }
}
