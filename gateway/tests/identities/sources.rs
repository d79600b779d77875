//! Sources of credentials, each of which rotates under load without a failed request.

use std::{fs, path::PathBuf, time::Duration};

use tokio::time::Instant;

use crate::{
    REGION, VARIABLES, get, get_until, readyz, route, server,
    standins::{Container, Instance, Keys, Origin, SsoPortal, Sts, expiration, temporary},
    support::{Gateway, TempFile},
};

/// Lifetime of credentials that rotate. They are refreshed after half of it at the earliest.
const SHORT: Duration = Duration::from_secs(4);

/// Sends concurrent requests until the origin has seen three keys. Each request must succeed.
async fn rotate(gateway: &Gateway, origin: &Origin) {
    let started = Instant::now();
    while origin.different().len() < 3 {
        let send = || get(gateway, "/orders");
        for response in <[_; 4]>::from(tokio::join!(send(), send(), send(), send())) {
            assert_eq!(response.status, 200, "{}", response.body);
        }
        assert!(started.elapsed() < Duration::from_secs(60), "no rotation");
    }
}

fn gateway(identity: &str, origin: &Origin, variables: &[(&str, &str)]) -> Gateway {
    let identity = format!("[[identity]]\nname = \"orders\"\n{identity}\n");
    let config = server() + &identity + &route("orders", origin, "orders");
    Gateway::with_config_and_env(&config, &[&VARIABLES[..], variables].concat())
}

/// Returns the JSON of `credential_process`.
fn process_json(id: &str, lifetime: Duration, keys: &Keys) -> String {
    let credentials = temporary(id, lifetime);
    keys.add(credentials.clone());
    serde_json::json!({
        "Version": 1,
        "AccessKeyId": credentials.access_key_id(),
        "SecretAccessKey": credentials.secret_access_key(),
        "SessionToken": credentials.session_token(),
        "Expiration": expiration(&credentials),
    })
    .to_string()
}

#[tokio::test]
async fn instance_role_rotates_without_a_failed_request() {
    let keys = Keys::default();
    let instance = Instance::start(&keys, SHORT).await;
    let origin = Origin::start(keys).await;
    let variables = [
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*instance.url),
        ("AWS_EC2_METADATA_DISABLED", "false"),
    ];
    let gateway = gateway("source = \"instance\"", &origin, &variables);
    rotate(&gateway, &origin).await;
    assert!(origin.seen()[0].starts_with("ASIAINSTANCE"));
}

#[tokio::test]
async fn pod_identity_rotates_without_a_failed_request() {
    let keys = Keys::default();
    let container = Container::start(&keys, SHORT).await;
    let origin = Origin::start(keys).await;
    let token = TempFile::new(container.token);
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container.url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &*token.path),
    ];
    let gateway = gateway("source = \"container\"", &origin, &variables);
    rotate(&gateway, &origin).await;
    assert!(origin.seen()[0].starts_with("ASIAPOD"));
}

#[tokio::test]
async fn default_chain_finds_a_container_role() {
    let keys = Keys::default();
    let container = Container::start(&keys, SHORT).await;
    let origin = Origin::start(keys).await;
    let variables = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*container.url),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", container.token),
    ];
    let gateway = gateway("source = \"aws\"", &origin, &variables);
    rotate(&gateway, &origin).await;
}

#[tokio::test]
async fn web_identity_rotates_without_a_failed_request() {
    let sts = Sts::start().await;
    sts.set_lifetime(SHORT);
    let origin = Origin::start(sts.keys.clone()).await;
    let token = TempFile::new("header.payload.signature\n");
    let identity = format!(
        "source = \"web-identity\"\ntoken_file = {:?}\nduration = \"1h\"\nsession_name = \"pod\"\n\
         role_arn = \"arn:aws:iam::123456789012:role/orders\"\nsts_endpoint = \"http://{}\"",
        token.path, sts.address
    );
    let gateway = gateway(&identity, &origin, &[]);
    rotate(&gateway, &origin).await;
    let call = &sts.calls()[0];
    assert_eq!(call.signed_by, None);
    for (name, value) in [
        ("WebIdentityToken", "header.payload.signature"),
        ("RoleSessionName", "pod"),
        ("DurationSeconds", "3600"),
    ] {
        assert_eq!(call.parameter(name), Some(value));
    }
}

/// A script that prints the next of its files at each call.
#[tokio::test]
async fn helper_process_rotates_without_a_failed_request() {
    let keys = Keys::default();
    let origin = Origin::start(keys.clone()).await;
    let outputs = [4, 8, 3600].map(|seconds| {
        let id = format!("ASIAHELPER{seconds}");
        TempFile::new(&process_json(&id, Duration::from_secs(seconds), &keys))
    });
    let count = TempFile::new("");
    let script = TempFile::new(&format!(
        "printf x >> {0}; case $(wc -c < {0}) in 1) cat {1};; 2) cat {2};; *) cat {3};; esac",
        count.path, outputs[0].path, outputs[1].path, outputs[2].path
    ));
    let identity = format!(
        "source = \"process\"\ncommand = [\"sh\", {:?}]",
        script.path
    );
    let gateway = gateway(&identity, &origin, &[]);
    rotate(&gateway, &origin).await;
}

#[tokio::test]
async fn profiles_run_their_process() {
    let keys = Keys::default();
    let origin = Origin::start(keys.clone()).await;
    let output = TempFile::new(&process_json(
        "ASIAPROFILE",
        Duration::from_secs(3600),
        &keys,
    ));
    let file = TempFile::new(&format!(
        "[profile work]\nregion = {REGION}\ncredential_process = cat {}\n",
        output.path
    ));
    let variables = [("AWS_CONFIG_FILE", &*file.path)];
    let identity = "source = \"profile\"\nprofile = \"work\"";
    let gateway = gateway(identity, &origin, &variables);
    let response = get(&gateway, "/orders").await;
    assert_eq!((response.status, &*response.body), (200, "ASIAPROFILE"));
}

/// Home directory, deleted on drop.
struct Home(PathBuf);

impl Home {
    fn new(name: &str) -> Self {
        let id = std::process::id();
        Self(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{id}")))
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.0.join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("created");
        fs::write(file, text).expect("written");
    }

    fn path(&self) -> &str {
        self.0.to_str().expect("UTF-8")
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

#[tokio::test]
async fn identity_center_rotates_without_a_failed_request() {
    let keys = Keys::default();
    let portal = SsoPortal::start(&keys, SHORT).await;
    let origin = Origin::start(keys).await;
    let home = Home::new("identity-center");
    let start = "https://example.awsapps.com/start";
    home.write(
        ".aws/config",
        &format!(
            "[profile work]\nregion = {REGION}\nsso_start_url = {start}\nsso_region = {REGION}\n\
             sso_account_id = 123456789012\nsso_role_name = work\n"
        ),
    );
    // The name is the SHA-1 of the start URL.
    home.write(
        ".aws/sso/cache/e8be5486177c5b5392bd9aa76563515b29358e6e.json",
        &serde_json::json!({
            "startUrl": start,
            "region": REGION,
            "accessToken": portal.token,
            "expiresAt": "2999-01-01T00:00:00Z",
        })
        .to_string(),
    );
    let variables = [
        ("HOME", home.path()),
        ("AWS_ENDPOINT_URL_SSO", &*portal.url),
    ];
    let gateway = gateway(
        "source = \"profile\"\nprofile = \"work\"",
        &origin,
        &variables,
    );
    rotate(&gateway, &origin).await;
    assert!(origin.seen()[0].starts_with("ASIASSO"));
}

#[tokio::test]
async fn sessions_of_aws_login_are_used() {
    let keys = Keys::default();
    let credentials = temporary("ASIALOGIN", Duration::from_secs(3600));
    keys.add(credentials.clone());
    let origin = Origin::start(keys).await;
    let home = Home::new("login");
    let session = "arn:aws:iam::123456789012:user/dev";
    home.write(
        ".aws/config",
        &format!("[default]\nregion = {REGION}\nlogin_session = {session}\n"),
    );
    // The name is the SHA-256 of the session's ARN.
    let name = "893f13863f68a08133e541260597f1d60f5bf9b326625782990032cbad201e26";
    home.write(
        &format!(".aws/login/cache/{name}.json"),
        &serde_json::json!({
            "accessToken": {
                "accessKeyId": credentials.access_key_id(),
                "secretAccessKey": credentials.secret_access_key(),
                "sessionToken": credentials.session_token(),
                "accountId": "123456789012",
                "expiresAt": expiration(&credentials),
            },
            "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
            "refreshToken": "refresh",
            "clientId": "arn:aws:signin:::devtools/same-device",
            "dpopKey": "key",
        })
        .to_string(),
    );
    let gateway = gateway("source = \"aws\"", &origin, &[("HOME", home.path())]);
    let response = get(&gateway, "/orders").await;
    assert_eq!((response.status, &*response.body), (200, "ASIALOGIN"));
}

/// Directory with a link to the current version of a file, as Kubernetes mounts a secret.
struct MountedSecret {
    home: Home,
    versions: usize,
}

impl MountedSecret {
    fn new(name: &str, text: &str) -> Self {
        let mut secret = Self {
            home: Home::new(name),
            versions: 0,
        };
        secret.replace(text);
        let link = secret.home.0.join("credentials");
        std::os::unix::fs::symlink("..data/credentials", link).expect("linked");
        secret
    }

    fn path(&self) -> String {
        self.home.0.join("credentials").display().to_string()
    }

    /// Writes a new version, and renames a new link over the old one.
    fn replace(&mut self, text: &str) {
        self.versions += 1;
        let version = format!("..{}", self.versions);
        self.home.write(&format!("{version}/credentials"), text);
        let new = self.home.0.join("..new");
        std::os::unix::fs::symlink(&version, &new).expect("linked");
        fs::rename(new, self.home.0.join("..data")).expect("renamed");
    }
}

fn shared_file(id: &str, keys: &Keys) -> String {
    let credentials = temporary(id, Duration::from_secs(3600));
    keys.add(credentials.clone());
    format!(
        "[default]\naws_access_key_id = {id}\naws_secret_access_key = {}\naws_session_token = {}\n",
        credentials.secret_access_key(),
        credentials.session_token().expect("a token"),
    )
}

#[tokio::test]
async fn mounted_secrets_are_followed_and_invalid_ones_ignored() {
    let keys = Keys::default();
    let origin = Origin::start(keys.clone()).await;
    let mut secret = MountedSecret::new("mounted", &shared_file("ASIAFIRST", &keys));
    let identity = format!("source = \"file\"\nfile = {:?}", secret.path());
    let gateway = gateway(&identity, &origin, &[]);
    let is_signed_by = |id: &'static str| {
        move |response: &crate::TestResponse| {
            assert_eq!(response.status, 200, "{}", response.body);
            response.body == id
        }
    };
    get_until(&gateway, "/orders", is_signed_by("ASIAFIRST")).await;
    secret.replace(&shared_file("ASIASECOND", &keys));
    get_until(&gateway, "/orders", is_signed_by("ASIASECOND")).await;
    secret.replace("half a fi");
    secret.replace(&process_json("ASIATHIRD", Duration::from_secs(3600), &keys));
    get_until(&gateway, "/orders", is_signed_by("ASIATHIRD")).await;
}

#[tokio::test]
async fn failures_of_helpers_name_the_cause_and_no_secret() {
    let origin = Origin::start(Keys::default()).await;
    let expired = process_json("ASIAOLD", Duration::ZERO, &Keys::default());
    let expired_file = TempFile::new(&expired);
    for (command, cause) in [
        (
            r#"["sh", "-c", "echo hunter2 >&2; exit 3"]"#,
            "exit status: 3",
        ),
        (r#"["sh", "-c", "echo hunter2"]"#, "no valid JSON"),
        (r#"["sleep", "60"]"#, "timed out after 500ms"),
        (r#"["/nonexistent/helper"]"#, "cannot run"),
        (
            &format!("[\"cat\", {:?}]", expired_file.path),
            "expired credentials",
        ),
    ] {
        let identity = format!("source = \"process\"\ncommand = {command}\ntimeout = \"500ms\"");
        let gateway = gateway(&identity, &origin, &[]);
        let response = get(&gateway, "/orders").await;
        let ready = readyz(&gateway).await;
        for text in [&response.body, &ready.body] {
            assert!(text.contains(cause), "{cause}: {text}");
            assert!(text.contains("orders"), "{text}");
            assert!(!text.contains("hunter2"), "{text}");
        }
        assert_eq!((response.status, ready.status), (503, 503), "{cause}");
    }
    assert!(origin.seen().is_empty());
}
