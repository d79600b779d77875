use super::*;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Option<Telemetry>, String> {
    let section: Option<TelemetrySection> =
        (text != "absent").then(|| toml::from_str(text).expect("valid TOML"));
    check_with(section.as_ref(), &|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    })
    .map_err(|error| error.to_string())
}

fn settings(text: &str, variables: &[(&str, &str)]) -> Telemetry {
    parse(text, variables).expect("valid").expect("enabled")
}

#[test]
fn variables_enable_the_export_without_a_section() {
    assert!(parse("absent", &[]).expect("valid").is_none());
    let endpoint = (
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "https://collector:4318/base/",
    );
    let disabled = [endpoint, ("OTEL_SDK_DISABLED", "TRUE")];
    assert!(parse("absent", &disabled).expect("valid").is_none());
    let telemetry = settings(
        "absent",
        &[
            endpoint,
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            (
                "OTEL_EXPORTER_OTLP_HEADERS",
                "x-key=a%20b, authorization=Basic%20x",
            ),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb,service.name=first"),
            ("OTEL_SERVICE_NAME", "second"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
        ],
    );
    assert_eq!(telemetry.endpoint, "https://collector:4318/base");
    assert_eq!(telemetry.protocol, Protocol::Http);
    assert_eq!(telemetry.headers[0].1, "a b");
    assert_eq!(telemetry.headers[1].1, "Basic x");
    assert_eq!(telemetry.resource["team"], "a,b");
    assert_eq!(telemetry.resource["service.name"], "second");
    assert_eq!((telemetry.sample, telemetry.parent_based), (0.25, true));
}

#[test]
fn the_section_overrides_variables() {
    let telemetry = settings(
        "endpoint = \"http://a:1\"\nprotocol = \"grpc\"\nsample = 0.5\nservice_name = \"mine\"\n\
         metrics_interval = \"5s\"\ntimeout = \"2s\"\n[headers]\nx-key = \"k\"\n[resource]\nteam = \"t\"\n",
        &[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://b:2"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-other=o"),
            ("OTEL_RESOURCE_ATTRIBUTES", "team=other,region=r"),
            ("OTEL_SERVICE_NAME", "other"),
            ("OTEL_TRACES_SAMPLER", "always_off"),
        ],
    );
    assert_eq!(telemetry.endpoint, "http://a:1");
    assert_eq!(telemetry.protocol, Protocol::Grpc);
    assert_eq!(telemetry.headers.len(), 1);
    assert_eq!(telemetry.resource["team"], "t");
    assert_eq!(telemetry.resource["region"], "r");
    assert_eq!(telemetry.resource["service.name"], "mine");
    assert_eq!((telemetry.sample, telemetry.parent_based), (0.5, true));
    assert_eq!(telemetry.metrics_interval, Duration::from_secs(5));
    assert_eq!(telemetry.timeout, Duration::from_secs(2));
    let defaults = settings("", &[]);
    assert_eq!(defaults.endpoint, "http://127.0.0.1:4317");
    assert_eq!(defaults.sample, 1.0);
}

#[test]
fn errors_name_the_value_and_the_remedy_but_no_secret() {
    for (text, variables, expected) in [
        (
            "sample = 1.5",
            &[][..],
            "1.5 is not a ratio; write a number from 0 to 1",
        ),
        ("sample = nan", &[], "NaN is not a ratio"),
        (
            "endpoint = \"collector:4317\"",
            &[],
            "\"collector:4317\" is not a collector's URL; write one",
        ),
        (
            "endpoint = \"http://u:s3cret@h:1\"",
            &[],
            "\"http://[redacted]@h:1\" is not a collector's URL",
        ),
        (
            "endpoint = \"http://u:s3cret?@h:1\"",
            &[],
            "\"http://[redacted]\" is not a collector's URL",
        ),
        (
            "endpoint = \"http://h:1?key=s3cret\"",
            &[],
            "\"http://h:1?[redacted]\" is not a collector's URL",
        ),
        ("timeout = \"0s\"", &[], "is not a valid duration"),
        (
            "[headers]\n\"a b\" = \"s3cret\"",
            &[],
            "\"a b\" is not a valid header name",
        ),
        (
            "[headers]\na = \"s3cret\\n\"",
            &[],
            "the value of the header \"a\" has characters",
        ),
        (
            "",
            &[("OTEL_EXPORTER_OTLP_HEADERS", "s3cret value")],
            "a pair in OTEL_EXPORTER_OTLP_HEADERS",
        ),
        (
            "",
            &[("OTEL_TRACES_SAMPLER", "xray")],
            "OTEL_TRACES_SAMPLER is \"xray\"; set it to",
        ),
        (
            "",
            &[
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "2"),
            ],
            "OTEL_TRACES_SAMPLER_ARG is \"2\"",
        ),
        (
            "",
            &[("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")],
            "OTEL_EXPORTER_OTLP_PROTOCOL is \"http/json\"",
        ),
        (
            "",
            &[("OTEL_RESOURCE_ATTRIBUTES", "team")],
            "OTEL_RESOURCE_ATTRIBUTES is \"team\"",
        ),
    ] {
        let error = parse(text, variables).err().expect(text);
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("s3cret"), "{text}: {error}");
    }
}
