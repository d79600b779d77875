//! Replacement of credentials that expire, are rejected, or are invalidated.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use shuttle::{
    rand::{Rng, thread_rng},
    thread,
};

use super::{Client, LIFETIME, check, noon};

/// A request that waited for the provider would block forever.
#[test]
fn requests_with_valid_credentials_do_not_wait_for_a_refresh() {
    check(|| {
        let client = Client::with_key();
        client.close_gate();
        client.clock.set(noon() + LIFETIME - Duration::from_secs(1));
        let threads = [(); 3].map(|()| client.start("a"));
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        client.open_gate();
        client.ended(1);
        assert_eq!(client.calls(), 2);
        client.clock.set(noon() + LIFETIME);
        assert_eq!(client.sign("a").expect("signed"), 1);
        assert_eq!(client.calls(), 2);
    });
}

#[test]
fn expired_credentials_are_not_used() {
    check(|| {
        let client = Client::with_key();
        client.clock.set(noon() + LIFETIME);
        let threads = [(); 3].map(|()| client.start("a"));
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 1);
        }
        assert_eq!(client.calls(), 2);
    });
}

#[test]
fn failed_refresh_is_postponed() {
    check(|| {
        let client = Client::with_key();
        client.provider.0.failures.store(1, SeqCst);
        client.clock.set(noon() + LIFETIME - Duration::from_secs(1));
        let threads = [(); 3].map(|()| client.start("a"));
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        client.ended(1);
        assert_eq!(client.sign("a").expect("signed"), 0);
        assert_eq!(client.calls(), 2);
    });
}

#[test]
fn rejected_credentials_are_replaced_while_other_origins_use_them() {
    check(|| {
        let client = Client::with_key();
        client.provider.0.first_valid.store(1, SeqCst);
        client.clock.set(noon() + Duration::from_secs(10));
        client.close_gate();
        let rejected = [(); 2].map(|()| client.start("a"));
        let others = [(); 2].map(|()| client.start("b"));
        for thread in others {
            assert_eq!(thread.join().expect("ended").expect("signed"), 0);
        }
        client.open_gate();
        for thread in rejected {
            assert_eq!(thread.join().expect("ended").expect("signed"), 1);
        }
        assert_eq!(client.sign("b").expect("signed"), 1);
        assert_eq!(client.calls(), 2);
    });
}

/// The failing call may be a refresh that is due.
#[test]
fn response_is_forwarded_if_the_provider_fails() {
    check(|| {
        let client = Client::with_key();
        client.provider.0.first_valid.store(1, SeqCst);
        client.provider.0.failures.store(1, SeqCst);
        let before_expiry = thread_rng().gen_range(1..=90);
        client
            .clock
            .set(noon() + LIFETIME - Duration::from_secs(before_expiry));
        let threads = ["a", "a", "b"].map(|origin| client.start(origin));
        for thread in threads {
            assert_eq!(thread.join().expect("ended").expect("a response"), 0);
        }
        client.ended(1);
        assert_eq!(client.calls(), 2);
        client.clock.advance(Duration::from_secs(11));
        assert_eq!(client.sign("a").expect("signed"), 1);
        assert_eq!(client.calls(), 3);
    });
}

/// The provider asserts that calls do not overlap.
#[test]
fn invalidated_credentials_are_not_used_by_later_requests() {
    check(|| {
        let client = Client::new();
        let is_invalid = Arc::new(AtomicBool::new(false));
        let other = (client.clone(), is_invalid.clone());
        let invalidates = thread::spawn(move || {
            let (client, is_invalid) = other;
            client.provider.0.generation.store(1, SeqCst);
            client.cache.invalidate();
            is_invalid.store(true, SeqCst);
        });
        let threads = [(); 3].map(|()| {
            let (client, is_invalid) = (client.clone(), is_invalid.clone());
            thread::spawn(move || {
                thread::yield_now();
                let is_later = is_invalid.load(SeqCst);
                let key = client.sign("a").expect("signed");
                assert!(key == 1 || !is_later, "signed with an invalidated key");
            })
        });
        threads
            .into_iter()
            .for_each(|thread| thread.join().expect("ended"));
        invalidates.join().expect("ended");
        assert_eq!(client.sign("a").expect("signed"), 1);
        assert!(client.calls() <= 2);
    });
}

#[test]
fn pending_result_is_not_cached_after_invalidation() {
    check(|| {
        let client = Client::new();
        client.close_gate();
        let early = client.start("a");
        client.began();
        client.provider.0.generation.store(1, SeqCst);
        client.cache.invalidate();
        let later = [(); 2].map(|()| client.start("a"));
        client.open_gate();
        for thread in later {
            assert_eq!(thread.join().expect("ended").expect("signed"), 1);
        }
        assert_eq!(early.join().expect("ended").expect("signed"), 0);
        assert_eq!(client.sign("a").expect("signed"), 1);
        assert_eq!(client.calls(), 2);
    });
}
