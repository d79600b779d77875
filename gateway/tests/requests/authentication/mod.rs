//! Callers by token, and keys from a file and from an endpoint.

mod endpoint;
#[path = "../../identities/standins/issuer.rs"]
#[allow(dead_code, unreachable_pub)] // the tests of identities use the rest
mod issuer;
mod keys_endpoint;
mod keys_file;
mod outages;
mod tokens;

use crate::support::{
    self, Gateway, REGION, SERVICE, TestOrigin, TestResponse, config, exchange, logging::OK,
    signed_request,
};

const SECRET: &str = support::SECRET_ACCESS_KEY;

/// The beginning of `[verify]` for callers that sign.
fn signatures() -> String {
    format!("[verify]\nservice = \"{SERVICE}\"\nregion = \"{REGION}\"\n")
}

fn key(id: &str) -> String {
    format!("access_key_id = \"{id}\"\nsecret_access_key = \"{SECRET}\"\n")
}

/// Returns a configuration with an admin port, whose callers are verified.
fn verified_config(origin: &TestOrigin, verify: &str) -> String {
    let url = format!("http://{}", origin.address);
    config(&url, "") + verify + "[admin]\nlisten = \"127.0.0.1:0\"\n"
}

async fn start(verify: &str) -> (TestOrigin, Gateway) {
    let origin = TestOrigin::start(OK).await;
    let gateway = Gateway::with_config(&verified_config(&origin, verify));
    (origin, gateway)
}

async fn get(gateway: &Gateway, target: &str, headers: &str) -> TestResponse {
    let request = support::logging::request("GET", target, headers);
    exchange(gateway.address, &request).await
}

/// Sends a signed request, and returns the status.
async fn signed_status(gateway: &Gateway, id: &str) -> u16 {
    let request = signed_request("GET", "/orders", "api.example.com", "", id, SECRET);
    exchange(gateway.address, &request).await.status
}

async fn admin(gateway: &Gateway, method: &str, target: &str, more: &str) -> TestResponse {
    let address = gateway.printed_after("admin http://");
    let request =
        format!("{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{more}");
    exchange(address.parse().expect("an address"), &request).await
}

async fn metrics(gateway: &Gateway) -> String {
    admin(gateway, "GET", "/metrics", "\r\n").await.body
}
