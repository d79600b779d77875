//! Five callers, six routes and five methods, against a reference decision.

use crate::{
    client::{Client, Draft, verify_section},
    origin::ObjectOrigin,
    support::{Gateway, TestResponse},
};

const CALLERS: [&str; 5] = [
    "AKIDADMIN",
    "AKIDREADER",
    "AKIDORDERS",
    "AKIDTWO",
    "AKIDSTRANGER",
];
/// Name and path of each route. The last one is open.
const ROUTES: [(&str, &str); 6] = [
    ("orders", "/orders/1"),
    ("uploads", "/uploads/1"),
    ("billing", "/billing/1"),
    ("", "/unnamed/1"),
    ("files", "/files/bucket-a/reports/1"),
    ("public", "/public/1"),
];
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

const RULES: &str = r#"
[[caller]]
match = { access_key_id = "AKIDADMIN" }
allow = "*"
[[caller]]
match = { access_key_id = ["AKIDREADER", "AKIDOTHER"] }
allow = ["*:GET,HEAD"]
[[caller]]
match = { access_key_id = "AKIDORDERS" }
allow = ["orders", "uploads:GET,HEAD"]
[[caller]]
match = { access_key_id = "AKIDTWO" }
allow = ["billing:POST"]
[[caller]]
match = { access_key_id = ["AKIDTWO"] }
allow = ["billing:PUT", { route = "files", methods = ["GET", "PUT"], objects = ["bucket-a/reports/*"] }]
"#;

/// The reference decision, by hand.
fn is_allowed(caller: &str, route: &str, method: &str) -> bool {
    let reads = matches!(method, "GET" | "HEAD");
    route == "public"
        || match caller {
            "AKIDADMIN" => true,
            "AKIDREADER" => reads,
            "AKIDORDERS" => route == "orders" || (route == "uploads" && reads),
            "AKIDTWO" => match route {
                "billing" => matches!(method, "POST" | "PUT"),
                "files" => matches!(method, "GET" | "PUT"),
                _ => false,
            },
            _ => false,
        }
}

fn config(origin: &ObjectOrigin, signed_service: &str) -> String {
    let address = origin.address;
    let origins = ["execute-api", "s3"].map(|service| {
        format!(
            "[[origin]]\nname = {service:?}\nurl = \"http://{address}\"\nservice = {service:?}\nregion = \"r\"\n"
        )
    });
    let routes = ROUTES.map(|(name, path)| {
        let first = path.split('/').nth(1).expect("a segment");
        let name_line = if name.is_empty() {
            String::new()
        } else {
            format!("name = {name:?}\n")
        };
        let rest = match name {
            "files" => "origin = \"s3\"\nstrip_prefix = true\n",
            "public" => "origin = \"execute-api\"\nverify = false\n",
            _ => "origin = \"execute-api\"\n",
        };
        format!("[[route]]\n{name_line}path = \"/{first}\"\n{rest}")
    });
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\n\
         [credentials]\nsource = \"static\"\naccess_key_id = \"AKID\"\nsecret_access_key = \"secret\"\n{}{}{}{RULES}",
        verify_section(signed_service, &CALLERS),
        origins.concat(),
        routes.concat(),
    )
}

#[tokio::test]
async fn callers_reach_only_their_routes() {
    let origin = ObjectOrigin::start().await;
    let gateway = Gateway::with_config(&config(&origin, "s3"));
    let mut client = Client::new(gateway.address);
    let mut count = 0;
    for caller in CALLERS {
        for (route, path) in ROUTES {
            for method in METHODS {
                let expected = if is_allowed(caller, route, method) {
                    200
                } else {
                    403
                };
                let response = client.send(caller, &Draft::new(method, path)).await;
                assert_eq!(
                    response.status, expected,
                    "{caller} {method} {path}: {}",
                    response.body
                );
                assert_eq!(
                    origin.take().len(),
                    usize::from(expected == 200),
                    "{caller} {method} {path}"
                );
                count += 1;
            }
        }
    }
    assert_eq!(count, 150);
}

#[tokio::test]
async fn an_ambiguous_path_needs_each_route_that_an_origin_may_read() {
    let origin = ObjectOrigin::start().await;
    let gateway = Gateway::with_config(&config(&origin, "execute-api"));
    let mut client = Client::new(gateway.address);
    for (caller, target, expected) in [
        ("AKIDORDERS", "/orders/a%2Fb", 200),
        ("AKIDORDERS", "/orders/50%25", 200),
        ("AKIDORDERS", "/orders/%C3%A9;v=1", 200),
        ("AKIDORDERS", "/orders/..%2fbilling/1", 403),
        ("AKIDORDERS", "/orders/..%2fuploads/1", 200),
        ("AKIDORDERS", "/orders/%252e%252e%252fbilling", 403),
        ("AKIDORDERS", "/orders/..;/billing/1", 403),
        ("AKIDORDERS", "/orders/..%2f..%2fetc", 403),
        ("AKIDADMIN", "/orders/..%2f..%2fetc", 200),
        ("AKIDADMIN", "/orders/..%2fbilling/1", 200),
        // Verified, since an origin may read the path of another route.
        ("AKIDORDERS", "/public/..%2fbilling/1", 403),
    ] {
        let response = send(&mut client, caller, &Draft::new("GET", target)).await;
        assert_eq!(
            response.status, expected,
            "{caller} {target}: {}",
            response.body
        );
    }
    let overridden = Draft::new("GET", "/uploads/1").header("x-http-method-override", "DELETE");
    assert_eq!(
        send(&mut client, "AKIDORDERS", &overridden).await.status,
        403
    );
    for name in ["x-original-url", "x-rewrite-url"] {
        for (path, expected) in [("/orders/2", 200), ("/billing/1", 403)] {
            let replaced = Draft::new("GET", "/orders/1").header(name, path);
            let response = send(&mut client, "AKIDORDERS", &replaced).await;
            assert_eq!(response.status, expected, "{name}: {path}");
        }
    }
    assert_eq!(
        send(&mut client, "AKIDADMIN", &overridden).await.status,
        200
    );
}

/// Signs a request for API Gateway, whose paths may contain `%2F`, and sends it.
async fn send(client: &mut Client, caller: &str, draft: &Draft) -> TestResponse {
    let bytes = draft.signed(caller, "execute-api").expect("a request");
    let response = client.exchange(&bytes, false).await;
    response.expect("a response")
}
