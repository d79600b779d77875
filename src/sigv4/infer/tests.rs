mod unsigned;

use allocation_counter::measure;

use super::*;

fn infer(host: &str) -> String {
    match AwsHost::parse(host) {
        Ok(AwsHost::Regional(service, region)) => format!("{service} {region}"),
        Ok(AwsHost::MultiRegion(service)) => format!("{service} *"),
        Err(unknown) => format!("{unknown:?}"),
    }
}

#[test]
fn hosts_imply_service_and_region() {
    for (host, expected) in [
        (
            "abc123.execute-api.us-east-1.amazonaws.com",
            "execute-api us-east-1",
        ),
        (
            "vpce-1a2b-3c4d.execute-api.us-east-1.vpce.amazonaws.com",
            "execute-api us-east-1",
        ),
        (
            "bucket.vpce-1a2b-3c4d.s3.us-east-1.vpce.amazonaws.com",
            "s3 us-east-1",
        ),
        ("abc.lambda-url.eu-west-1.on.aws", "lambda eu-west-1"),
        (
            "svc-0a1b.7d67968.vpc-lattice-svcs.us-west-2.on.aws",
            "vpc-lattice-svcs us-west-2",
        ),
        ("search-logs-x2.us-east-1.es.amazonaws.com", "es us-east-1"),
        ("abc123.us-east-1.aoss.amazonaws.com", "aoss us-east-1"),
        (
            "abc.appsync-api.ap-southeast-2.amazonaws.com",
            "appsync ap-southeast-2",
        ),
        (
            "abc.appsync-realtime-api.ap-southeast-2.amazonaws.com",
            "appsync ap-southeast-2",
        ),
        (
            "aps-workspaces.eu-central-1.amazonaws.com",
            "aps eu-central-1",
        ),
        ("iot.us-east-1.amazonaws.com", "iot us-east-1"),
        ("data-ats.iot.us-east-1.amazonaws.com", "iotdata us-east-1"),
        (
            "a1b2-ats.iot.us-east-1.amazonaws.com",
            "MultipleServices(\"iotdata or iotdevicegateway\")",
        ),
        ("bucket.s3.us-east-1.amazonaws.com", "s3 us-east-1"),
        ("my-bucket-1.s3.amazonaws.com", "s3 us-east-1"),
        ("a.b.c.s3-us-west-2.amazonaws.com", "s3 us-west-2"),
        (
            "bucket.s3-fips.dualstack.us-gov-east-1.amazonaws.com",
            "s3 us-gov-east-1",
        ),
        (
            "name-123456789012.s3-accesspoint.eu-west-1.amazonaws.com",
            "s3 eu-west-1",
        ),
        (
            "bucket--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com",
            "s3express us-east-1",
        ),
        (
            "s3express-control.us-east-1.amazonaws.com",
            "s3express us-east-1",
        ),
        ("ec2.us-iso-east-1.c2s.ic.gov", "ec2 us-iso-east-1"),
        ("sqs.eusc-de-east-1.amazonaws.eu", "sqs eusc-de-east-1"),
        ("sts.amazonaws.com", "sts us-east-1"),
        ("iam.us-gov.amazonaws.com", "iam us-gov-west-1"),
        ("abc.mrap.accesspoint.s3-global.amazonaws.com", "s3 *"),
        (
            "bucket.s3-accelerate.amazonaws.com",
            "UnknownRegion(\"s3\")",
        ),
        (
            "maps.geo.us-east-1.amazonaws.com",
            "MultipleServices(\"geo or geo-maps\")",
        ),
        ("a1.b2.lambda-web.us-west-2.on.aws", "lambda us-west-2"),
        ("a1.lambda-web.global.on.aws", "lambda *"),
        (
            "bedrock-mantle.us-east-2.api.aws",
            "bedrock-mantle us-east-2",
        ),
        ("aws-mcp.eu-central-1.api.aws", "aws-mcp eu-central-1"),
        (
            "graph.cluster-a1b2.eu-west-1.neptune.amazonaws.com",
            "neptune-db eu-west-1",
        ),
        (
            "transcribestreaming-fips.ca-central-1.amazonaws.com",
            "transcribe ca-central-1",
        ),
        (
            "query-cell1.timestream.us-east-1.amazonaws.com",
            "timestream us-east-1",
        ),
        (
            "ingest-cell2.timestream.us-east-1.amazonaws.com",
            "timestream us-east-1",
        ),
        (
            "bedrock-agentcore.us-west-2.amazonaws.com",
            "bedrock-agentcore us-west-2",
        ),
        (
            "tools-a1.gateway.bedrock-agentcore.us-west-2.amazonaws.com",
            "bedrock-agentcore us-west-2",
        ),
        ("contact-lens.eu-west-2.amazonaws.com", "connect eu-west-2"),
        (
            "nothing-of-this-name.us-east-1.amazonaws.com",
            "UnknownService",
        ),
        ("us-east-1.amazonaws.com", "UnknownService"),
        ("on.aws", "NotAws"),
        ("amazonaws.com", "NotAws"),
        (".amazonaws.com", "NotAws"),
        ("", "NotAws"),
        ("api.example.com", "NotAws"),
        ("localhost", "NotAws"),
        ("127.0.0.1", "NotAws"),
        ("[::1]", "NotAws"),
        ("s3.us-east-1.amazonaws.com.evil.com", "NotAws"),
        ("s3.us-east-1.evil-amazonaws.com", "NotAws"),
        ("s3.us-east-1.amazonaws.com.", "NotAws"),
        ("s3.us-east-1.amazonaws.com:443", "NotAws"),
        ("s3..us-east-1.amazonaws.com", "NotAws"),
        ("S3.us-east-1.amazonaws.com", "UnknownService"),
    ] {
        assert_eq!(infer(host), expected, "{host}");
    }
}

#[test]
fn ambiguous_hosts_are_errors_with_a_remedy() {
    let settings = SigningSettings::infer("Bucket.S3.Us-East-1.AmazonAws.Com").expect("any case");
    assert_eq!((settings.service(), settings.region()), ("s3", "us-east-1"));
    for (host, message) in [
        (
            "api.example.com",
            "is not an AWS endpoint; set service and region",
        ),
        (
            "new.us-east-1.amazonaws.com",
            "belongs to an unknown service; set service and region",
        ),
        (
            "maps.geo.us-east-1.amazonaws.com",
            "signed as geo or geo-maps, depending on the operation",
        ),
        (
            "bucket.s3-accelerate.amazonaws.com",
            "belongs to s3 and has no region",
        ),
    ] {
        let error = SigningSettings::infer(host).expect_err(host);
        assert_eq!(error.kind(), crate::ErrorKind::Config);
        assert!(error.to_string().contains(&format!("{host:?}")), "{error}");
        assert!(error.to_string().contains(message), "{error}");
    }
    let global = SigningSettings::infer("abc.mrap.accesspoint.s3-global.amazonaws.com");
    if cfg!(feature = "sigv4a") {
        assert_eq!(global.expect("SigV4a").region(), "*");
    } else {
        assert!(global.expect_err("SigV4a").to_string().contains("`sigv4a`"));
    }
}

/// Binary search requires the order in which scripts/endpoints writes the tables.
#[test]
fn tables_are_sorted_for_binary_search() {
    for table in [RENAMED, &MULTI_REGION] {
        assert!(
            table.is_sorted_by(|(a, _), (b, _)| a.rsplit('.').lt(b.rsplit('.'))),
            "{table:?}"
        );
    }
    for table in [SAME_NAME, UNSIGNED_PAYLOAD] {
        assert!(table.is_sorted_by(|a, b| a < b), "{table:?}");
    }
}

#[test]
fn parsing_a_host_does_not_allocate() {
    for host in [
        "dynamodb.us-east-1.amazonaws.com",
        "a.b.c.d.e.f.g.h.i.j.k.l.m.n.s3.dualstack.us-east-1.amazonaws.com",
        "nothing-of-this-name.us-east-1.amazonaws.com",
        "api.example.com",
    ] {
        let counted = measure(|| _ = std::hint::black_box(AwsHost::parse(host)));
        assert_eq!(counted.count_total, 0, "{host}");
    }
}

#[test]
fn services_that_accept_unsigned_payloads_are_known() {
    for service in ["s3", "s3express", "vpc-lattice-svcs", "ebs", "lex", "omics"] {
        assert!(accepts_unsigned_payload(service), "{service}");
    }
    for service in ["execute-api", "es", "dynamodb", "lambda", "S3", ""] {
        assert!(!accepts_unsigned_payload(service), "{service}");
    }
}

#[test]
fn aws_hosts_are_recognized_by_their_domain() {
    for host in [
        "abc123.execute-api.eu-west-1.amazonaws.com",
        "unknown-service.us-east-1.amazonaws.com",
        "SQS.cn-north-1.amazonaws.com.cn",
        "x.lambda-url.us-east-1.on.aws",
        "s3.us-east-1.api.aws",
        "elb.s3.amazonaws.com",
        "elb.s3.us-east-1.amazonaws.com",
    ] {
        assert!(is_aws_host(host), "{host}");
    }
    for host in [
        "",
        "amazonaws.com",
        ".amazonaws.com",
        "api.example.com",
        "amazonaws.com.example.com",
        "evilamazonaws.com",
        "ec2-203-0-113-25.compute-1.amazonaws.com",
        "ec2-203-0-113-25.us-west-2.compute.amazonaws.com",
        "EC2-203-0-113-25.cn-north-1.Compute.amazonaws.com.cn",
        "balancer-1234567890.us-east-1.elb.amazonaws.com",
        "balancer-0123456789abcdef.elb.us-west-2.amazonaws.com",
        "balancer-0123456789abcdef.ELB.US-WEST-2.amazonaws.com",
    ] {
        assert!(!is_aws_host(host), "{host}");
    }
}

#[test]
fn errors_name_the_nearest_known_host() {
    for (host, known) in [
        (
            "a1.exceute-api.us-east-1.amazonaws.com",
            Some("a1.execute-api.us-east-1.amazonaws.com"),
        ),
        (
            "dynamobd.eu-west-1.amazonaws.com",
            Some("dynamodb.eu-west-1.amazonaws.com"),
        ),
        (
            "x.lamda-url.us-east-1.on.aws",
            Some("x.lambda-url.us-east-1.on.aws"),
        ),
        (
            "logs.us-east-1.es2.amazonaws.com",
            Some("logs.us-east-1.es.amazonaws.com"),
        ),
        ("nothing-of-this-name.us-east-1.amazonaws.com", None),
        ("zzz.us-east-1.amazonaws.com", None),
        ("us-east-1.amazonaws.com", None),
    ] {
        let error = SigningSettings::infer(host).expect_err(host).to_string();
        let named = error
            .split_once("nearest known host is \"")
            .and_then(|(_, rest)| rest.split('"').next());
        assert_eq!(named, known, "{error}");
        assert_ne!(named, Some(host), "the typed host");
        assert!(named.is_none_or(|similar| SigningSettings::infer(similar).is_ok()));
    }
}

#[test]
fn ports_are_ignored() {
    let host = "graph.cluster-a1.us-east-1.neptune.amazonaws.com:8182";
    let settings = SigningSettings::infer(host).expect("a host with a port");
    assert_eq!(settings.service(), "neptune-db");
}
