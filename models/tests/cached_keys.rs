//! The cache of key lookups: a request that arrives after a revocation never gets a key from before it, and concurrent
//! requests share a lookup, while requests are dropped and lookups fail.

mod schedules;

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use shuttle::{
    future::{block_on, yield_now},
    rand::{Rng, thread_rng},
    thread,
};
use tower_sigv4::{
    credentials::Credentials,
    verify::{CachedKeys, KeyRequest, KeyStore},
};

const ID: &str = "AKIDEXAMPLE";

/// A database whose key has the number of its generation as the secret.
#[derive(Default)]
struct Database {
    generation: AtomicUsize,
    revocations: AtomicUsize,
    running: AtomicUsize,
    lookups: AtomicUsize,
}

/// A lookup in progress.
struct Running<'a>(&'a Database);

impl<'a> Running<'a> {
    fn new(database: &'a Database) -> Self {
        database.lookups.fetch_add(1, SeqCst);
        let others = database.running.fetch_add(1, SeqCst);
        // One that started before each revocation may still run, and one since the last.
        assert!(others <= database.revocations.load(SeqCst), "{others} others");
        Self(database)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, SeqCst);
    }
}

#[derive(Clone)]
struct Model {
    database: Arc<Database>,
    keys: CachedKeys,
}

impl Model {
    fn new() -> Self {
        let database = Arc::<Database>::default();
        let shared = database.clone();
        let store = move |request: KeyRequest<'static>| {
            let database = shared.clone();
            async move {
                let running = Running::new(&database);
                let generation = database.generation.load(SeqCst).to_string();
                yield_now().await; // the result is on its way
                drop(running);
                let id = request.access_key_id();
                Ok::<_, Infallible>(Some(Credentials::new(id, generation, None, None, "model")))
            }
        };
        Self {
            database,
            keys: CachedKeys::new(store).with_capacity(1),
        }
    }

    /// Looks up the key, and returns its generation.
    fn request(&self) -> usize {
        let earliest = self.database.revocations.load(SeqCst);
        let lookup = self.keys.lookup(&KeyRequest::new(ID, "s3", "us-east-1"));
        thread::yield_now();
        let key = block_on(lookup).expect("no error").expect("a key");
        let secret = key.credentials().secret_access_key();
        let generation = secret.parse().expect("a number");
        assert!(generation >= earliest, "{generation} was revoked, {earliest} is valid");
        generation
    }

    /// Polls a lookup a few times, and drops it.
    fn dropped_request(&self) {
        let polls = thread_rng().gen_range(0..3);
        let request = KeyRequest::new(ID, "s3", "us-east-1");
        let mut lookup = pin!(self.keys.lookup(&request));
        block_on(async {
            for _ in 0..polls {
                let is_ready = poll_fn(|cx| Poll::Ready(lookup.as_mut().poll(cx).is_ready())).await;
                if is_ready {
                    return;
                }
                yield_now().await;
            }
        });
    }

    /// Replaces the key, and revokes the old one.
    fn revoke(&self) {
        self.database.generation.fetch_add(1, SeqCst);
        thread::yield_now();
        if thread_rng().gen_range(0..2) == 0 {
            self.keys.revoke(ID);
        } else {
            self.keys.clear();
        }
        self.database.revocations.fetch_add(1, SeqCst);
    }
}

#[test]
fn revoked_keys_are_never_used_again() {
    schedules::check(|| {
        let model = Model::new();
        let requests = [(); 3].map(|()| {
            let model = model.clone();
            thread::spawn(move || [(); 2].map(|()| model.request()))
        });
        let revoker = model.clone();
        let revocations = thread::spawn(move || [(); 2].map(|()| revoker.revoke()));
        for request in requests {
            let generations = request.join().expect("ended");
            assert!(generations.is_sorted(), "{generations:?}");
        }
        revocations.join().expect("ended");
        assert_eq!(model.request(), 2);
    });
}

#[test]
fn concurrent_requests_share_a_lookup() {
    schedules::check(|| {
        let model = Model::new();
        let requests = [(); 3].map(|()| {
            let model = model.clone();
            thread::spawn(move || model.request())
        });
        for request in requests {
            assert_eq!(request.join().expect("ended"), 0);
        }
        assert_eq!(model.database.lookups.load(SeqCst), 1);
    });
}

#[test]
fn dropped_requests_do_not_stop_others() {
    schedules::check(|| {
        let model = Model::new();
        let others = [(); 2].map(|()| {
            let model = model.clone();
            thread::spawn(move || model.dropped_request())
        });
        let (first, second) = (model.clone(), model.clone());
        let requests = [
            thread::spawn(move || first.request()),
            thread::spawn(move || second.request()),
        ];
        for request in requests {
            assert_eq!(request.join().expect("ended"), 0);
        }
        for other in others {
            other.join().expect("ended");
        }
        assert_eq!(model.database.running.load(SeqCst), 0);
    });
}
