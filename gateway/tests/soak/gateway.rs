//! Gateway with its origins, and reloads of its configuration.

use std::{
    fmt::Write,
    fs,
    io::{BufRead, BufReader},
    process::Stdio,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::time;

use crate::{
    CONCURRENCY, DRAIN,
    clients::ROUTES,
    origin::{Origin, VALID_GENERATIONS, key},
    support::{Gateway, REGION, SERVICE, TempDirectory, TempFile, gateway_command, tls::TlsOrigin},
};

/// Longer than any request takes.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct SoakGateway {
    pub(crate) process: Gateway,
    pub(crate) origin: Arc<Origin>,
    api: TlsOrigin,
    store: TlsOrigin,
    config: TempFile,
    keys: TempFile,
    log: Arc<Log>,
    spool: TempDirectory,
    _authorities: TempFile,
}

/// Relevant lines of the log.
#[derive(Default)]
struct Log {
    reloaded: AtomicUsize,
    complaints: Mutex<Vec<String>>,
}

impl SoakGateway {
    pub(crate) async fn start() -> Self {
        let origin = Arc::<Origin>::default();
        let api = TlsOrigin::start(|_| origin.router(SERVICE), &["h2", "http/1.1"], None).await;
        let store = TlsOrigin::start(|_| origin.router("s3"), &["http/1.1"], None).await;
        let read = |path: &str| fs::read_to_string(path).expect("readable");
        let authorities = TempFile::new(&(read(&api.ca_file) + &read(&store.ca_file)));
        let spool = TempDirectory::new("soak");
        let config = TempFile::new(&config(&api, &store, &spool.path, 0, 0));
        let keys = TempFile::new(&callers(0));
        let mut command = gateway_command();
        command.args(["--config", &config.path]);
        command
            .env("CALLERS", &keys.path)
            .env("SSL_CERT_FILE", &authorities.path);
        // Each of glibc's arenas takes minutes to reach its final size.
        command.env("MALLOC_ARENA_MAX", "1");
        let mut process = Gateway::spawn(command.stderr(Stdio::piped()));
        let lines = BufReader::new(process.stderr()).lines();
        let log = Arc::<Log>::default();
        let reader = log.clone();
        std::thread::spawn(move || {
            lines
                .map_while(Result::ok)
                .for_each(|line| reader.read(line))
        });
        Self {
            process,
            origin,
            api,
            store,
            config,
            keys,
            log,
            spool,
            _authorities: authorities,
        }
    }

    /// Reloads a changed configuration, with keys of the generation for callers and origins.
    pub(crate) async fn reload(&self, round: u32, generation: u32) {
        let before = self.log.reloaded.load(Ordering::SeqCst);
        self.origin.generation.store(generation, Ordering::SeqCst);
        let config = config(&self.api, &self.store, &self.spool.path, round, generation);
        fs::write(&self.keys.path, callers(generation)).expect("written");
        fs::write(&self.config.path, config).expect("written");
        self.process.signal("HUP");
        let until = Instant::now() + TIMEOUT;
        while self.log.reloaded.load(Ordering::SeqCst) == before && Instant::now() < until {
            time::sleep(Duration::from_millis(10)).await;
        }
        if self.log.reloaded.load(Ordering::SeqCst) == before {
            self.log
                .complain(format!("configuration {round} was not loaded"));
        }
    }

    /// Returns `true` if the gateway exits with success.
    pub(crate) async fn exits_cleanly(&mut self) -> bool {
        let until = Instant::now() + TIMEOUT;
        while Instant::now() < until {
            if let Some(status) = self.process.exit_status() {
                return status.success();
            }
            time::sleep(Duration::from_millis(50)).await;
        }
        false
    }

    /// Returns unexpected lines of the log.
    pub(crate) fn complaints(&self) -> Vec<String> {
        self.log.complaints.lock().expect("not poisoned").clone()
    }
}

impl Log {
    fn read(&self, line: String) {
        if line.contains(" sigv4_gateway::reload: reloaded ") {
            self.reloaded.fetch_add(1, Ordering::SeqCst);
        }
        let bad = [
            "panicked",
            "keeping the previous configuration",
            "closed connections with requests in flight",
            "rejected by its origin",
            "cannot accept",
        ];
        if bad.iter().any(|bad| line.contains(bad)) {
            self.complain(line);
        }
    }

    fn complain(&self, line: String) {
        let mut complaints = self.complaints.lock().expect("not poisoned");
        if complaints.len() < 20 {
            complaints.push(line);
        }
    }
}

/// Returns the file of callers' keys, with the previous generations that may still be in use.
fn callers(generation: u32) -> String {
    let valid = generation.saturating_sub(VALID_GENERATIONS - 1)..=generation;
    valid
        .map(|generation| format!("[[key]]\n{}", key_lines(&key("CALLER", generation))))
        .collect()
}

fn key_lines(key: &aws_credential_types::Credentials) -> String {
    let id = key.access_key_id();
    let secret = key.secret_access_key();
    format!("access_key_id = {id:?}\nsecret_access_key = {secret:?}\n")
}

fn config(api: &TlsOrigin, store: &TlsOrigin, spool: &str, round: u32, generation: u32) -> String {
    let key = key_lines(&key("ORIGIN", generation));
    // Less memory than all concurrent requests need.
    let mut text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndrain_delay = \"{}s\"\nshutdown_grace = \"20s\"\n\
         [credentials]\nsource = \"static\"\n{key}\
         [bodies]\nmemory = \"12MiB\"\nspool_directory = {spool:?}\n\
         [cache]\nmemory = \"2MiB\"\n\
         [verify]\nservice = {SERVICE:?}\nregion = {REGION:?}\nkeys_file_env = \"CALLERS\"\n\
         body = \"streamed\"\n",
        DRAIN.as_secs()
    );
    let origins = [
        ("api", api, SERVICE, false),
        ("api-http2", api, SERVICE, true),
        ("store", store, "s3", false),
    ];
    for (name, origin, service, http2) in origins {
        let url = format!("https://{}", origin.authority);
        write!(
            text,
            "[[origin]]\nname = {name:?}\nurl = {url:?}\nservice = {service:?}\nregion = {REGION:?}\n\
             http2 = {http2}\nbody_limit = \"4MiB\"\n"
        )
        .expect("written");
    }
    for route in &ROUTES {
        let seconds = 20 + round % 5;
        write!(
            text,
            "[[route]]\npath = \"/{}\"\norigin = {:?}\npayload = {:?}\nverify = {}\n\
             max_concurrency = {CONCURRENCY}\ntimeout = \"{seconds}s\"\n{}\n",
            route.name, route.origin, route.payload, route.signed, route.more
        )
        .expect("written");
    }
    text
}
