use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::Mac;

use super::*;
use crate::sigv4::scope::Timestamp;

fn key_at(cache: &KeyCache, secret: &str, time: SystemTime, region: &str) -> *const SigningKey {
    let credentials = Credentials::new("AKID", secret, None, None, "test");
    let time = Timestamp::new(time).expect("in range");
    let scope = Scope {
        time: &time,
        region,
        service: "s3",
    };
    cache.with(&credentials, scope, |key| {
        let mut expected = Hmac::<Sha256>::new_from_slice(
            generate_signing_key(secret, time.system_time(), region, "s3").as_ref(),
        )
        .expect("any length");
        let mut mac = key.mac();
        mac.update(b"text");
        expected.update(b"text");
        assert_eq!(mac.finalize(), expected.finalize());
        ptr::from_ref(key)
    })
}

#[test]
fn keys_are_derived_once_per_day_and_scope() {
    let cache = <KeyCache>::for_verifying();
    let noon = UNIX_EPOCH + Duration::from_secs(12 * 3600);
    let key = key_at(&cache, "secret", noon, "us-east-1");
    assert_eq!(key_at(&cache, "secret", noon, "us-east-1"), key);
    assert_eq!(
        key_at(
            &cache,
            "secret",
            noon + Duration::from_secs(3600),
            "us-east-1"
        ),
        key
    );
    assert_ne!(key_at(&cache, "secret", noon, "us-west-2"), key);
    assert_eq!(cache.len(), 2);
}

#[test]
fn cached_keys_are_found_without_allocating() {
    let cache = <KeyCache>::for_verifying();
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    let time = Timestamp::new(UNIX_EPOCH).expect("in range");
    let scope = Scope {
        time: &time,
        region: "us-east-1",
        service: "s3",
    };
    cache.with(&credentials, scope, |_| ());
    let counted = allocation_counter::measure(|| {
        cache.with(&credentials, scope, |key| drop(key.mac()));
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn keys_of_both_days_are_cached_at_midnight() {
    let cache = <KeyCache>::for_verifying();
    let midnight = UNIX_EPOCH + Duration::from_secs(365 * 24 * 3600);
    let second = Duration::from_secs(1);
    let before = key_at(&cache, "secret", midnight - second, "us-east-1");
    let after = key_at(&cache, "secret", midnight, "us-east-1");
    assert_ne!(before, after);
    assert_eq!(
        key_at(&cache, "secret", midnight - second, "us-east-1"),
        before
    );
    assert_eq!(key_at(&cache, "secret", midnight, "us-east-1"), after);
    // Two days later only the new key remains.
    key_at(
        &cache,
        "secret",
        midnight + Duration::from_secs(48 * 3600),
        "us-east-1",
    );
    assert_eq!(cache.len(), 1);
}

#[test]
fn new_secret_with_same_id_has_another_key() {
    let cache = <KeyCache>::for_verifying();
    for secret in ["secret", "secreu", "secre", "secrets", "secret"] {
        key_at(&cache, secret, UNIX_EPOCH, "us-east-1"); // compares the HMAC
    }
}

#[test]
fn cache_is_bounded() {
    let cache = <KeyCache>::for_verifying();
    for region in 0..KeyCache::<Hmac<Sha256>>::CAPACITY * 2 {
        key_at(&cache, "secret", UNIX_EPOCH, &region.to_string());
    }
    assert_eq!(cache.len(), KeyCache::<Hmac<Sha256>>::CAPACITY);
}

#[test]
fn keys_are_cached_only_for_accepted_results() {
    let cache = <KeyCache>::for_verifying();
    let credentials = Credentials::new("AKID", "secret", None, None, "test");
    let time = Timestamp::new(UNIX_EPOCH).expect("in range");
    let scope = Scope {
        time: &time,
        region: "us-east-1",
        service: "s3",
    };
    for (accepted, cached) in [(false, 0), (true, 1), (false, 1)] {
        cache.with_if(&credentials, scope, |_| accepted, |accepted| *accepted);
        assert_eq!(cache.len(), cached);
    }
}

#[test]
fn callers_are_distributed_over_lists() {
    let cache = <KeyCache>::for_verifying();
    let time = Timestamp::new(UNIX_EPOCH).expect("in range");
    let scope = Scope {
        time: &time,
        region: "us-east-1",
        service: "s3",
    };
    let number = if cfg!(miri) { 50 } else { 2000 }; // each derives a key
    let callers: Vec<_> = (0..number)
        .map(|n| Credentials::new(format!("AKID{n}"), "secret", None, None, "test"))
        .collect();
    let keys = || -> Vec<_> {
        callers
            .iter()
            .map(|c| cache.with(c, scope, ptr::from_ref))
            .collect()
    };
    assert_eq!(keys(), keys());
    assert_eq!(cache.len(), number);
    assert!(cache.lists.iter().all(|list| list.len() < 32));
}

#[test]
fn keys_are_redacted_in_debug_output() {
    let cache = <KeyCache>::for_verifying();
    key_at(&cache, "secret", UNIX_EPOCH, "us-east-1");
    let lists = cache.lists.iter().map(|list| list.0.load_full());
    let keys: Vec<_> = lists
        .flat_map(|list| {
            list.iter()
                .map(|entry| entry.key.clone())
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(format!("{keys:?}"), "[[redacted]]");
}
