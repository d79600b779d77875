//! Keys of a file that is replaced while requests arrive, and caches that survive a reload.
#![cfg(unix)]

use std::{
    fs,
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    SECRET,
    endpoint::{AUTHORIZATION, Endpoint},
    get,
    issuer::Issuer,
    key, metrics, signatures, signed_status, verified_config,
};
use crate::support::{
    Gateway, TempFile, TestOrigin,
    logging::{LoggingGateway, OK},
};

/// Replaces a file in one step.
fn replace(path: &str, text: &str) {
    let next = TempFile::new(text);
    fs::rename(&next.path, path).expect("renamed");
}

/// Waits until the gateway accepts a key.
async fn wait_for_key(gateway: &Gateway, id: &str) {
    let started = Instant::now();
    while signed_status(gateway, id).await != 200 {
        assert!(started.elapsed() < Duration::from_secs(20), "not followed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_keys_file_is_followed_and_a_broken_one_is_not() {
    let origin = TestOrigin::start(OK).await;
    let file = |id: &str| format!("[[key]]\n{}", key(id));
    let keys = TempFile::new(&file("AKIDOLD"));
    let verify = format!("{}keys_file = \"{}\"\n", signatures(), keys.path);
    let logged = LoggingGateway::start(&verified_config(&origin, &verify));
    let gateway = &logged.gateway;
    assert_eq!(signed_status(gateway, "AKIDOLD").await, 200);
    assert_eq!(signed_status(gateway, "AKIDNEW").await, 403);

    replace(&keys.path, &file("AKIDNEW"));
    wait_for_key(gateway, "AKIDNEW").await;
    assert_eq!(signed_status(gateway, "AKIDOLD").await, 403);

    replace(
        &keys.path,
        "[[key]]\naccess_key_id = \"AKIDOLD\"\nsecret_access_key = hunter2\n",
    );
    logged.wait_for("keeping the previous configuration").await;
    assert_eq!(signed_status(gateway, "AKIDNEW").await, 200);
    let log = logged.lines().join("\n");
    assert!(!log.contains("hunter2"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_secrets_in_the_keys_file_are_followed() {
    let origin = TestOrigin::start(OK).await;
    let secret = TempFile::new("outdated");
    let keys = TempFile::new(&format!(
        "[[key]]\naccess_key_id = \"AKIDALICE\"\nsecret_access_key = \"file:{}\"\n",
        secret.path
    ));
    let verify = format!("{}keys_file = \"{}\"\n", signatures(), keys.path);
    let gateway = Gateway::with_config(&verified_config(&origin, &verify));
    assert_eq!(signed_status(&gateway, "AKIDALICE").await, 403);
    replace(&secret.path, SECRET);
    wait_for_key(&gateway, "AKIDALICE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_keeps_the_keys_of_issuers_and_of_the_endpoint() {
    let issuer = Issuer::start().await;
    let endpoint = Endpoint::start().await;
    endpoint.add("AKIDALICE", json!({ "secret_access_key": SECRET }));
    let origin = TestOrigin::start(OK).await;
    let secret = TempFile::new(AUTHORIZATION);
    let table = endpoint
        .table("ttl = \"1h\"\n")
        .replace("env:KEYS_AUTHORIZATION", &format!("file:{}", secret.path));
    let verify = signatures() + &table + &issuer.verify();
    let config = verified_config(&origin, &verify);
    let logged = LoggingGateway::start(&config);
    let gateway = &logged.gateway;
    let bearer = format!("authorization: Bearer {}\r\n", issuer.token("alice"));
    let reload = async |text: &str, count: usize| {
        fs::write(&logged.config.path, text).expect("written");
        gateway.signal("HUP");
        let started = Instant::now();
        while logged
            .lines()
            .iter()
            .filter(|line| line.contains("reloaded "))
            .count()
            < count
        {
            assert!(started.elapsed() < Duration::from_secs(20), "not reloaded");
        }
    };
    assert_eq!(signed_status(gateway, "AKIDALICE").await, 200);
    assert_eq!(get(gateway, "/orders", &bearer).await.status, 200);
    reload(&format!("{config}[log]\nlevel = \"info\"\n"), 1).await;
    let text = metrics(gateway).await;
    assert!(
        text.contains("jwks_age_seconds{"),
        "no longer known: {text}"
    );
    assert_eq!(signed_status(gateway, "AKIDALICE").await, 200);
    assert_eq!(endpoint.queries().len(), 1, "kept");

    // Other settings of the endpoint begin with an empty cache.
    reload(&config.replace("ttl = \"1h\"", "ttl = \"2h\""), 2).await;
    assert_eq!(signed_status(gateway, "AKIDALICE").await, 200);
    assert_eq!(endpoint.queries().len(), 2);
}
