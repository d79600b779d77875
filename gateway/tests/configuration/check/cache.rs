//! Mistakes in `[cache]`.

use super::{VALID, check, mistakes::Mistake};

pub(super) const CACHE: &[Mistake] = &[
    (
        "[credentials]",
        "[cache]\nmemory = \"much\"\n[credentials]",
        4,
        "invalid value",
    ),
    (
        "[credentials]",
        "[cache]\nsize = \"1MiB\"\n[credentials]",
        4,
        "unknown field `size`",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"http://h\"\n[credentials]",
        4,
        "redis is not the URL",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"redis://:hunter2@h:port\"\n[credentials]",
        4,
        "redis is not the URL",
    ),
    (
        "[credentials]",
        "[cache]\nredis = []\n[credentials]",
        4,
        "redis is empty; list at least one URL",
    ),
    (
        "[credentials]",
        "[cache]\nredis = 6379\n[credentials]",
        4,
        "redis must be a URL or a list of URLs",
    ),
    (
        "[credentials]",
        "[cache]\nredis = [\"redis://a\", \"redis://b\"]\n[credentials]",
        4,
        "redis lists 2 servers; set redis_mode to \"cluster\"",
    ),
    (
        "[credentials]",
        "[cache]\nredis_mode = \"cluster\"\n[credentials]",
        4,
        "redis_mode needs redis; add redis",
    ),
    (
        "[credentials]",
        "[cache]\nredis_mode = \"sharded\"\n[credentials]",
        4,
        "`single`, `cluster`, `sentinel`",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"redis://h/1\"\nredis_mode = \"cluster\"\n[credentials]",
        4,
        "without a database",
    ),
    (
        "[credentials]",
        "[cache]\nredis = [\"redis://a:hunter2@a\", \"redis://b:12345@b\"]\nredis_mode = \"cluster\"\n[credentials]",
        4,
        "with the same user and password",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"redis://h\"\nredis_mode = \"sentinel\"\n[credentials]",
        4,
        "add redis_service = \"redis://user:password@mymaster/0\"",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"redis://h\"\nredis_mode = \"sentinel\"\nredis_service = \"hunter2\"\n[credentials]",
        4,
        "redis or redis_service is not a valid URL",
    ),
    (
        "[credentials]",
        "[cache]\nredis_service = \"redis://m\"\n[credentials]",
        4,
        "redis_service needs redis; add redis",
    ),
    (
        "[credentials]",
        "[cache]\nredis_auth = { iam = \"default\", user = \"jane\", cache = \"c\", region = \"us-east-1\" }\n[credentials]",
        4,
        "redis_auth needs redis; add redis",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"redis://h\"\nredis_auth = { iam = \"default\", user = \"jane\", cache = \"c\", region = \"us-east-1\" }\n[credentials]",
        5,
        "start the URL with",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"rediss://u:hunter2@h\"\nredis_auth = { iam = \"default\", user = \"jane\", cache = \"c\", region = \"us-east-1\" }\n[credentials]",
        5,
        "remove them from the URL",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"rediss://h\"\nredis_auth = { iam = \"other\", user = \"jane\", cache = \"c\", region = \"us-east-1\" }\n[credentials]",
        5,
        "there is no identity",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"rediss://h\"\nredis_auth = { iam = \"default\", user = \"jane\", cache = \"c.example.com:6379\", region = \"us-east-1\" }\n[credentials]",
        5,
        "which has letters, digits and hyphens",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"rediss://h\"\nredis_auth = { iam = \"default\", user = \"\", cache = \"c\", region = \"us-east-1\" }\n[credentials]",
        5,
        "user is empty",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"rediss://h\"\nredis_auth = { iam = \"default\", user = \"jane\", cache = \"c\", region = \"us-east-1\", service = \"memorydb\", serverless = true }\n[credentials]",
        5,
        "MemoryDB has no serverless caches",
    ),
    (
        "[credentials]",
        "[cache]\nredis = \"redis://127.0.0.1\"\nredis_mode = \"sentinel\"\nredis_service = \"redis://m\"\nredis_auth = { iam = \"default\", user = \"jane\", cache = \"c\", region = \"us-east-1\" }\n[credentials]",
        7,
        "does not work with Sentinel",
    ),
    (
        "[credentials]",
        "[cache]\nprefix = \"a\"\n[credentials]",
        4,
        "prefix needs redis; add redis",
    ),
    (
        "[credentials]",
        "[cache]\ntimeout = \"1s\"\n[credentials]",
        4,
        "timeout needs redis; add redis",
    ),
    (
        "[credentials]",
        "[cache]\nwait_timeout = \"soon\"\n[credentials]",
        4,
        "\"soon\" is not a valid duration",
    ),
    (
        "[credentials]",
        "[cache]\nheuristic_freshness = \"1\"\n[credentials]",
        4,
        "\"1\" is not a valid duration",
    ),
    (
        "[credentials]",
        "[cache]\nstale_if_error = \"-1s\"\n[credentials]",
        4,
        "\"-1s\" is not a valid duration",
    ),
    (
        "[credentials]",
        "[cache]\ncaller_headers = [\"x user\"]\n[credentials]",
        4,
        "\"x user\" is not a valid header name",
    ),
    (
        "[credentials]",
        "[cache]\ntargeted_fields = [\"a:\"]\n[credentials]",
        4,
        "\"a:\" is not a valid header name",
    ),
    (
        "[credentials]",
        "[cache]\ntrusted_proxies = [\"10.0.0.0/33\"]\n[credentials]",
        4,
        "\"10.0.0.0/33\" is not a network; write one such as \"10.0.0.0/8\"",
    ),
    (
        "[credentials]",
        "[cache]\ntrusted_proxies = [\"localhost\"]\n[credentials]",
        4,
        "\"localhost\" is not a network",
    ),
];

#[test]
fn unusable_stores_are_warnings_only_if_a_route_uses_them() {
    let cache = "[cache]\nredis = \"redis://user:hunter2@127.0.0.1:1\"\n";
    for (route, warnings) in [("cache = true\n", ", 1 warning(s)"), ("", "")] {
        let (code, text) = check(&format!("{VALID}{route}{cache}"));
        assert_eq!(code, Some(0), "{text}");
        let summary = format!("FILE: 1 origin(s), 1 route(s), no errors{warnings}\n");
        assert!(text.contains(&summary), "{text}");
        let warning = "FILE: warning: requests bypass the cache: redis at 127.0.0.1:1: ";
        assert_eq!(text.contains(warning), !warnings.is_empty(), "{text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
