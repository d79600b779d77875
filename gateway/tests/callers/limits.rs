//! Rate and concurrency of each caller.

use std::sync::Arc;

use axum::{Router, http::StatusCode};
use tokio::{net::TcpListener, sync::Semaphore};

use crate::{
    client::{Client, Draft, metrics, verify_section},
    origin::ObjectOrigin,
    support::Gateway,
};

const KEYS: [&str; 2] = ["AKIDONE", "AKIDTWO"];

fn config(address: std::net::SocketAddr, limits: &str) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n\
         [[origin]]\nname = \"a\"\nurl = \"http://{address}\"\nservice = \"s3\"\nregion = \"r\"\n\
         [[route]]\nname = \"one\"\npath = \"/one\"\norigin = \"a\"\n\
         [[route]]\nname = \"two\"\npath = \"/two\"\norigin = \"a\"\n\
         [[caller]]\nname = \"team\"\nmatch = {{ any = true }}\nallow = [\"one\", \"two\"]\n{limits}\n{}",
        verify_section("s3", &KEYS)
    )
}

#[tokio::test]
async fn each_caller_has_its_own_rate_on_all_routes() {
    let origin = ObjectOrigin::start().await;
    let gateway = Gateway::with_config(&config(origin.address, "rate = \"2/h\""));
    let mut client = Client::new(gateway.address);
    for key in KEYS {
        for (target, expected) in [("/one/k", 200), ("/two/k", 200), ("/one/k", 429)] {
            let response = client.send(key, &Draft::new("GET", target)).await;
            assert_eq!(
                response.status, expected,
                "{key} {target}: {}",
                response.body
            );
            if expected == 429 {
                let wait: u64 = response
                    .header("retry-after")
                    .expect("a header")
                    .parse()
                    .expect("seconds");
                assert!((1..=3600).contains(&wait), "{wait}");
                assert!(
                    response.body.contains("too many requests of this caller"),
                    "{}",
                    response.body
                );
            }
        }
    }
    // A request without a valid signature has no caller.
    let forged = Draft::new("GET", "/one/k")
        .signed("AKIDOTHER", "s3")
        .expect("a request");
    assert_eq!(
        client
            .exchange(&forged, false)
            .await
            .expect("a response")
            .status,
        403
    );
    assert_eq!(origin.take().len(), 4);
    let metrics = metrics(&gateway).await;
    for line in [
        "sigv4_gateway_caller_limited_total{caller=\"team\",limit=\"rate\"} 2\n",
        "sigv4_gateway_caller_requests_total{caller=\"team\"} 4\n",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
}

#[tokio::test]
async fn each_caller_has_its_own_concurrency() {
    let (arrived, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (seen, released) = (arrived.clone(), release.clone());
    let router = Router::new().fallback(move || {
        let (seen, released) = (seen.clone(), released.clone());
        async move {
            seen.add_permits(1);
            released.acquire().await.expect("open").forget();
            StatusCode::OK
        }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let gateway = Gateway::with_config(&config(address, "max_concurrency = 1"));
    let gateway_address = gateway.address;
    let spawn = |key: &'static str| {
        tokio::spawn(async move {
            Client::new(gateway_address)
                .send(key, &Draft::new("GET", "/one/k"))
                .await
                .status
        })
    };
    let first = spawn(KEYS[0]);
    arrived.acquire().await.expect("open").forget();
    let response = Client::new(gateway.address)
        .send(KEYS[0], &Draft::new("GET", "/two/k"))
        .await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert_eq!(response.header("retry-after"), Some("1"));
    let other = spawn(KEYS[1]);
    arrived.acquire().await.expect("open").forget();
    release.add_permits(2);
    assert_eq!(first.await.expect("a status"), 200);
    assert_eq!(other.await.expect("a status"), 200);
    let again = spawn(KEYS[0]);
    arrived.acquire().await.expect("open").forget();
    release.add_permits(1);
    assert_eq!(again.await.expect("a status"), 200);
}
