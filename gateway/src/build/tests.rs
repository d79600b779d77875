//! Random changes of valid configurations: each is accepted or rejected, and no message contains a secret.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use fastrand::Rng;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::ActiveConfig;
use crate::config::ConfigText;

const ROUNDS: usize = 1_000;
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

/// Values at the limits of what settings accept.
const VALUES: [&str; 32] = [
    "-1",
    "0",
    "1",
    "65536",
    "9223372036854775807",
    "-9223372036854775808",
    "1e308",
    "nan",
    "true",
    "[]",
    "[[]]",
    "{}",
    "{ a = 1 }",
    "1979-05-27",
    "\"\"",
    "\" \"",
    "\"é\"",
    "\"\\u0000\"",
    "\"\\n\"",
    "\"*\"",
    "\"*.\"",
    "\"/..\"",
    "\"/%\"",
    "\"0s\"",
    "\"18446744073709551615s\"",
    "\"-1s\"",
    "\"0B\"",
    "\"18446744073709551616B\"",
    "\"0/s\"",
    "\"4294967296/h\"",
    "\"https://[::1]:0\"",
    "[\"a\", \"\\t\"]",
];

/// Returns the first configuration of the gateway's reference, and those of `--init`.
fn valid_files() -> [String; 3] {
    let reference = include_str!("../../../docs/gateway.md");
    let (_, from) = reference.split_once("```toml\n").expect("a TOML block");
    let (block, _) = from.split_once("```").expect("the end of the block");
    let shown = block.replace(
        "secret_access_key = \"...\"",
        &format!("secret_access_key = {SECRET:?}"),
    );
    [
        shown,
        include_str!("../gateway.toml").to_owned(),
        include_str!("../gateway_s3.toml").to_owned(),
    ]
}

/// Changes a random line, unless it contains the secret, which messages about another setting would show.
fn change(lines: &mut Vec<String>, rng: &mut Rng) {
    let at = rng.usize(..lines.len());
    if lines[at].contains(SECRET) {
        return;
    }
    let key = lines[at].split_once('=').map(|(key, _)| key.to_owned());
    match (rng.u8(..8), key) {
        (0, _) => drop(lines.remove(at)),
        (1, _) => lines.insert(at, lines[at].clone()),
        (2, _) => {
            let other = rng.usize(..lines.len());
            lines.swap(at, other);
        }
        (3, _) => lines[at] = lines[at].trim_start_matches(['#', ' ']).to_owned(),
        (4, _) => {
            let mut line: Vec<char> = lines[at].chars().collect();
            if !line.is_empty() {
                let changed = rng.usize(..line.len());
                line[changed] = ['"', '[', ']', '=', '.', '\\', '\0', 'é'][rng.usize(..8)];
            }
            lines[at] = line.into_iter().collect();
        }
        (_, Some(key)) => lines[at] = format!("{key}= {}", VALUES[rng.usize(..VALUES.len())]),
        (_, None) => {}
    }
    if lines.is_empty() {
        lines.push(String::new());
    }
}

#[test]
fn changed_configurations_are_handled_and_secrets_are_hidden() {
    let mut rng = Rng::with_seed(0x5197_0009);
    let mut accepted = 0;
    let mut rejected = 0;
    for valid in valid_files() {
        ActiveConfig::parse(&valid).unwrap_or_else(|error| panic!("{error}"));
        for _ in 0..ROUNDS {
            let mut lines: Vec<_> = valid.lines().map(str::to_owned).collect();
            (0..rng.usize(1..4)).for_each(|_| change(&mut lines, &mut rng));
            let text = lines.join("\n");
            match ActiveConfig::parse(&text) {
                Ok(config) => {
                    accepted += 1;
                    let shown = format!("{:?}", config.warnings);
                    assert!(!shown.contains(SECRET), "{text}");
                }
                Err(error) => {
                    rejected += 1;
                    assert!(!format!("{error} {error:?}").contains(SECRET), "{text}");
                    assert!(
                        error.line.is_none_or(|line| line <= lines.len()),
                        "{error}\n{text}"
                    );
                }
            }
        }
    }
    assert!(
        accepted > ROUNDS / 10 && rejected > ROUNDS / 10,
        "{accepted} accepted, {rejected} rejected"
    );
}

#[test]
fn rates_of_routes_with_one_path_are_different() {
    let origin = "[[origin]]\nname = \"o\"\nurl = \"http://127.0.0.1:1\"\nservice = \"s3\"\nregion = \"eu-west-1\"\n";
    let route = |condition: &str| {
        format!("[[route]]\npath = \"/\"\norigin = \"o\"\nrate = \"1/h\"\n{condition}\n")
    };
    let owners = |conditions: &[&str]| -> Vec<String> {
        let routes: String = conditions.iter().map(|it| route(it)).collect();
        let config = ActiveConfig::parse(&format!("{origin}{routes}")).expect("valid");
        config.routes.into_iter().map(|it| it.rate_owner).collect()
    };
    let conditions = [
        "methods = [\"GET\"]",
        "methods = [\"PUT\"]",
        "headers = { a = \"1\" }",
        "host = \"a\"",
        "name = \"a\"",
        "",
    ];
    let found = owners(&conditions);
    let distinct: std::collections::HashSet<_> = found.iter().collect();
    assert_eq!(distinct.len(), conditions.len(), "{found:?}");
    // The order of the file does not matter, so that gateways agree during a rollout.
    let [last, ..] = &owners(&conditions[5..])[..] else {
        panic!("a route");
    };
    assert_eq!(*last, found[5]);
}

/// Accepts connections, counts them, and admits each request of a shared rate.
async fn counting_redis() -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut buffer = [0; 16 * 1024];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    let text = String::from_utf8_lossy(&buffer[..read]);
                    let commands = ["SETINFO\r\n", "EVAL\r\n"].map(|it| text.matches(it).count());
                    let replies = ":0\r\n".repeat(commands.iter().sum());
                    if stream.write_all(replies.as_bytes()).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    (address, accepted)
}

#[tokio::test]
async fn shared_rates_keep_their_connection_while_the_cache_is_unchanged() {
    let (redis, accepted) = counting_redis().await;
    let text = |path: &str, timeout: &str| {
        ConfigText::new(format!(
            "[[origin]]\nname = \"o\"\nurl = \"http://127.0.0.1:1\"\nservice = \"s3\"\nregion = \"r\"\n\
             [[route]]\npath = {path:?}\norigin = \"o\"\nrate = \"9/s\"\n\
             [cache]\nredis = \"redis://{redis}\"\nshared_rates = true\ntimeout = {timeout:?}\n"
        ))
    };
    let mut last = None;
    for (path, timeout, connections) in [
        ("/a", "5s", 1),
        ("/b", "5s", 1),
        ("/c", "5s", 1),
        ("/c", "6s", 2),
    ] {
        let config = ActiveConfig::parse_after(&text(path, timeout), last.as_ref()).expect("valid");
        let route = &config.routes[0];
        let rates = config.shared_rates.as_ref().expect("shared rates");
        let decision = rates.check(&route.rate_owner, route.rate.expect("a rate"));
        assert_eq!(decision.await, Some(Ok(())), "{path} {timeout}");
        assert_eq!(
            accepted.load(Ordering::SeqCst),
            connections,
            "{path} {timeout}"
        );
        last = Some(config);
    }
}
