//! Identities: sources, roles, sessions of callers, outages and the cache.
//!
//! STS and the origins verify each signature, with the keys that STS has issued.

#[path = "../support/mod.rs"]
mod support;

mod cache;
mod check;
mod mistakes;
mod networks;
mod outages;
mod roles;
mod sessions;
mod sources;
mod standins;
mod users;

use std::time::Duration;

use support::{Gateway, TestResponse, exchange};
use tokio::time::{self, Instant};

/// Region of STS and of the origins.
const REGION: &str = "eu-west-1";
const KEY_ID: &str = "AKIDBASE";
const SECRET: &str = "secret-of-the-base";

/// Variables that keep a gateway from using the machine's own credentials.
const VARIABLES: [(&str, &str); 3] = [
    ("AWS_EC2_METADATA_DISABLED", "true"),
    ("AWS_REGION", REGION),
    ("HOME", "/nonexistent"),
];

/// Starts a gateway without the machine's own credentials.
fn gateway(config: &str) -> Gateway {
    Gateway::with_config_and_env(config, &VARIABLES)
}

/// Returns an origin with a route of the same name, and the identity that signs.
fn route(name: &str, origin: &standins::Origin, identity: &str) -> String {
    let address = origin.address;
    format!(
        "[[origin]]\nname = \"{name}\"\nurl = \"http://{address}\"\nservice = \"execute-api\"\n\
         region = \"{REGION}\"\nidentity = \"{identity}\"\n\
         [[route]]\npath = \"/{name}\"\norigin = \"{name}\"\n"
    )
}

/// Returns the server section, and an admin port.
fn server() -> String {
    "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n".to_owned()
}

/// Returns an identity with the keys that STS and the origins know.
fn base() -> String {
    format!(
        "[[identity]]\nname = \"base\"\nsource = \"static\"\naccess_key_id = \"{KEY_ID}\"\n\
         secret_access_key = \"{SECRET}\"\n"
    )
}

/// Returns an identity whose role the base assumes.
fn role(name: &str, sts: &standins::Sts, more: &str) -> String {
    let address = sts.address;
    format!(
        "[[identity]]\nname = \"{name}\"\nchain = [\"base\"]\n\
         role_arn = \"arn:aws:iam::123456789012:role/{name}\"\nsts_endpoint = \"http://{address}\"\n{more}\n"
    )
}

async fn get(gateway: &Gateway, path: &str) -> TestResponse {
    let request = format!("GET {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
    exchange(gateway.address, &request).await
}

async fn readyz(gateway: &Gateway) -> TestResponse {
    admin(gateway, "/readyz").await
}

async fn admin(gateway: &Gateway, path: &str) -> TestResponse {
    let address = gateway.printed_after("admin http://");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    exchange(address.parse().expect("an address"), &request).await
}

/// Sends requests until `is_done` accepts a response, and returns it.
async fn get_until(
    gateway: &Gateway,
    path: &str,
    is_done: impl Fn(&TestResponse) -> bool,
) -> TestResponse {
    let started = Instant::now();
    loop {
        let response = get(gateway, path).await;
        if is_done(&response) {
            return response;
        }
        let body = &response.body;
        assert!(started.elapsed() < Duration::from_secs(30), "{body}");
        time::sleep(Duration::from_millis(20)).await;
    }
}
