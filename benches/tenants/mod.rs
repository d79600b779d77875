//! Requests of tenants, each with an identity of its own, to an API in two regions.

use std::{
    cell::Cell,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::{Method, StatusCode, request::Parts};
use tower::Layer;
use tower_sigv4::{
    Clock, Origin, Signing, SigningLayer, SigningSettings,
    credentials::{Credentials, Identities},
    origin::{OriginRule, OriginRules},
    sigv4::{Identity, PayloadHash, Signer, SigningParams},
};
use tower_sigv4_benches::request::{GET, ORIGIN, SERVICE, TIME};

use crate::layered::{Incoming, Sink, incoming, send};

const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// Number of different requests, so that every contender touches the same amount of memory for them.
const REQUESTS: usize = 20_000;

pub(crate) struct Tenants {
    requests: Vec<Incoming>,
    signer: Signer,
    settings: [SigningSettings; 2],
    identities: Vec<Identity>,
    set: Identities<usize>,
    signing: Signing<Sink>,
    next: Cell<usize>,
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(TIME)
}

fn credentials(tenant: usize) -> Credentials {
    let (id, secret) = (format!("AKIDEXAMPLE{tenant:08}"), format!("{tenant:040}"));
    Credentials::new(id, secret, None, None, "bench")
}

impl Tenants {
    pub(crate) fn new(count: usize) -> Self {
        let set = Identities::new(|tenant: &usize| credentials(*tenant)).with_capacity(count);
        let settings =
            REGIONS.map(|region| SigningSettings::new(SERVICE, region).expect("legal names"));
        let rules = settings.iter().zip(REGIONS);
        let rules = rules.fold(OriginRules::new(), |rules, (settings, region)| {
            let set = set.clone();
            let origin = Origin::new(ORIGIN, settings.clone()).expect("an origin");
            let origin = origin
                .with_identity(move |head: &Parts| Some(set.get(head.extensions.get::<usize>()?)));
            let rule = OriginRule::any().with_host(&format!("{region}.example.com"));
            rules.add_rule(rule.expect("a host"), origin)
        });
        let default = credentials(0);
        let layer = SigningLayer::new(default, rules).with_clock(Clock::manual(now()));
        let requests = (0..REQUESTS).map(|number| {
            let host = format!("{}.example.com", REGIONS[number % 2]);
            let mut request = incoming(&Method::GET, GET, 0, &host);
            request.extensions_mut().insert((number / 2) % count);
            request
        });
        Self {
            requests: requests.collect(),
            signer: Signer::new(),
            settings,
            identities: Vec::new(),
            set,
            signing: layer.layer(Sink),
            next: Cell::new(0),
        }
    }

    /// Loads the credentials of all tenants.
    pub(crate) async fn load(&mut self, count: usize) {
        for tenant in 0..count {
            let identity = self.set.get(&tenant).identity().await;
            self.identities.push(identity.expect("credentials"));
        }
    }

    /// Returns a copy of the next request, whose tenant and region no cache predicts, and its number.
    pub(crate) fn next(&self) -> (usize, Incoming) {
        let number = (self.next.get() + 7_919) % REQUESTS; // a prime, so that every request is sent
        self.next.set(number);
        (number, self.requests[number].clone())
    }

    pub(crate) fn sign_next(&self) -> Parts {
        let (number, request) = self.next();
        let identity = &self.identities[(number / 2) % self.identities.len()];
        let mut head = request.into_parts().0;
        let settings = &self.settings[number % 2];
        let params = SigningParams::new(settings, identity, PayloadHash::EMPTY, now());
        self.signer.sign(&mut head, &params).expect("signed");
        head
    }

    /// Signs each request once.
    pub(crate) fn derive_keys(&self) {
        for _ in 0..REQUESTS {
            self.sign_next();
        }
    }

    pub(crate) fn send_next(&self) -> StatusCode {
        send(&mut self.signing.clone(), self.next().1)
    }

    pub(crate) fn send_unsigned(&self) -> StatusCode {
        send(&mut Sink, self.next().1)
    }
}
