//! STS behind TLS with a private authority, and behind a proxy.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use crate::{
    VARIABLES, base, get, role, route, server,
    standins::{Origin, Sts},
    support::{Gateway, read_until, tls::TlsOrigin},
};

/// Proxy that opens tunnels to this machine, whatever the host.
struct Proxy {
    url: String,
    tunnels: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let tunnels = Arc::<AtomicUsize>::default();
        let count = tunnels.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, count.clone()));
            }
        });
        Self {
            url: format!("http://{address}"),
            tunnels,
        }
    }
}

async fn tunnel(mut client: TcpStream, count: Arc<AtomicUsize>) {
    let head = read_until(&mut client, "\r\n\r\n").await;
    let authority = head.strip_prefix("CONNECT ").expect("a tunnel");
    let (_, port) = authority
        .split_once(' ')
        .expect("a line")
        .0
        .split_once(':')
        .expect("a port");
    let mut server = TcpStream::connect(("127.0.0.1", port.parse().expect("a port")))
        .await
        .expect("connected");
    count.fetch_add(1, Ordering::SeqCst);
    let response = b"HTTP/1.1 200 OK\r\n\r\n";
    client.write_all(response).await.expect("sent");
    drop(copy_bidirectional(&mut client, &mut server).await);
}

#[tokio::test]
async fn sts_is_called_over_tls_with_a_private_authority_and_a_proxy() {
    let (sts, router) = Sts::new();
    let tls = TlsOrigin::start(|_| router, &["http/1.1"], None).await;
    let proxy = Proxy::start().await;
    let origin = Origin::start(sts.keys.clone()).await;
    let plain = format!("http://{}", sts.address);
    let orders = role("orders", &sts, "").replace(&plain, &format!("https://{}", tls.authority));
    let config = server() + &base() + &orders + &route("orders", &origin, "orders");
    let start = |variables: &[(&str, &str)]| {
        Gateway::with_config_and_env(&config, &[&VARIABLES[..], variables].concat())
    };

    let untrusting = start(&[]);
    let response = get(&untrusting, "/orders").await;
    assert_eq!(response.status, 503, "{}", response.body);
    assert!(
        response.body.contains("STS cannot be reached"),
        "{}",
        response.body
    );
    assert_eq!(sts.calls().len(), 0);

    let trusted = ("SSL_CERT_FILE", &*tls.ca_file);
    assert_eq!(get(&start(&[trusted]), "/orders").await.status, 200);
    assert_eq!(proxy.tunnels.load(Ordering::SeqCst), 0);

    let proxied = start(&[trusted, ("HTTPS_PROXY", &proxy.url)]);
    let response = get(&proxied, "/orders").await;
    assert_eq!(response.status, 200, "{}", response.body);
    assert_eq!(proxy.tunnels.load(Ordering::SeqCst), 1);

    let excluded = start(&[
        trusted,
        ("HTTPS_PROXY", &proxy.url),
        ("NO_PROXY", "localhost"),
    ]);
    assert_eq!(get(&excluded, "/orders").await.status, 200);
    assert_eq!(proxy.tunnels.load(Ordering::SeqCst), 1);
}
