//! Servers in place of AWS's.

#![allow(unreachable_pub)] // a module of one test

mod identity_pool;
mod issuer;
mod metadata;
mod origin;
mod sts;

pub use self::{
    identity_pool::{IdentityPool, POOL_ID, PoolState},
    issuer::{CLIENT_ID, Issuer},
    metadata::{Container, Instance, SsoPortal},
    origin::Origin,
    sts::Sts,
};

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use aws_credential_types::Credentials;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Keys that servers accept.
#[derive(Clone, Default)]
pub struct Keys(Arc<Mutex<HashMap<String, Credentials>>>);

impl Keys {
    pub fn add(&self, credentials: Credentials) {
        let id = credentials.access_key_id().to_owned();
        self.0.lock().expect("not poisoned").insert(id, credentials);
    }

    pub fn find(&self, id: &str) -> Option<Credentials> {
        self.0.lock().expect("not poisoned").get(id).cloned()
    }
}

/// Returns a new temporary key.
pub fn temporary(id: &str, lifetime: Duration) -> Credentials {
    let expiry = SystemTime::now() + lifetime;
    let token = format!("token-of-{id}");
    Credentials::new(
        id,
        format!("secret-of-{id}"),
        Some(token),
        Some(expiry),
        "test",
    )
}

/// Returns the time of expiry as AWS's services print it.
pub fn expiration(credentials: &Credentials) -> String {
    let expiry = credentials.expiry().expect("temporary credentials");
    OffsetDateTime::from(expiry)
        .format(&Rfc3339)
        .expect("a valid time")
}
