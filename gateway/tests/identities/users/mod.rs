//! Identities whose credentials belong to the user that calls.

mod bounds;
mod check;
mod identity_pool;
mod outages;
mod role;
mod sign_out;

use std::net::SocketAddr;

use crate::{
    TestResponse, exchange, gateway, route, server,
    standins::{IdentityPool, Issuer, Keys, Origin, POOL_ID},
    support::Gateway,
};

/// The way of a user's request: issuer, identity pool and origin.
struct Servers {
    issuer: Issuer,
    pool: IdentityPool,
    origin: Origin,
}

impl Servers {
    async fn start() -> Self {
        Self::cacheable("no-store").await
    }

    async fn cacheable(cache_control: &'static str) -> Self {
        let issuer = Issuer::start().await;
        let keys = Keys::default();
        let pool = IdentityPool::start(&issuer, &keys).await;
        let origin = Origin::cacheable(keys, cache_control).await;
        Self {
            issuer,
            pool,
            origin,
        }
    }

    /// Returns a configuration with the route `/orders`, whose requests are signed for each user.
    fn config(&self, more: &str) -> String {
        let identity = identity(self.pool.address, more);
        let route = route("orders", &self.origin, "users");
        server() + &identity + &self.issuer.verify() + &route
    }

    fn gateway(&self, more: &str) -> Gateway {
        gateway(&self.config(more))
    }
}

/// Returns the identity `users`.
fn identity(pool: SocketAddr, more: &str) -> String {
    format!(
        "[[identity]]\nname = \"users\"\nsource = \"cognito-identity-pool\"\nidentity_pool_id = \"{POOL_ID}\"\n\
         cognito_endpoint = \"http://{pool}\"\n{more}\n"
    )
}

async fn get_as(gateway: &Gateway, token: &str, path: &str) -> TestResponse {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    exchange(gateway.address, &request).await
}
