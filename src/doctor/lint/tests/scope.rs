//! Service and region, compared with the host.

use super::*;

#[test]
fn scope_is_compared_with_the_signed_host() {
    for (host, service, region, expected) in [
        (
            "abc.execute-api.us-east-1.amazonaws.com",
            "execute-api",
            "us-east-1",
            None,
        ),
        (
            "ABC.execute-api.us-east-1.amazonaws.com:8443",
            "execute-api",
            "us-east-1",
            None,
        ),
        ("example.com", "execute-api", "eu-west-1", None),
        ("new.us-east-1.amazonaws.com", "new", "eu-west-1", None),
        (
            "abc.us-east-1.es.amazonaws.com",
            "aoss",
            "us-east-1",
            Some(r#""es" in "us-east-1""#),
        ),
        (
            "b.s3.eu-west-1.amazonaws.com",
            "s3",
            "us-east-1",
            Some(r#""s3" in "eu-west-1""#),
        ),
        (
            "b.s3-eu-west-1.amazonaws.com",
            "s3",
            "us-east-1",
            Some(r#""s3" in "eu-west-1""#),
        ),
        ("b.s3.amazonaws.com", "s3", "eu-west-1", None),
        (
            "b.s3.amazonaws.com",
            "s3tables",
            "us-east-1",
            Some(r#""s3" in "us-east-1""#),
        ),
        (
            "iam.amazonaws.com",
            "iam",
            "eu-west-1",
            Some(r#""iam" in "us-east-1""#),
        ),
        (
            "a1.iot.us-east-1.amazonaws.com",
            "iotdata",
            "us-east-1",
            None,
        ),
        (
            "a1.iot.us-east-1.amazonaws.com",
            "iotdevicegateway",
            "us-east-1",
            None,
        ),
        (
            "a1.iot.us-east-1.amazonaws.com",
            "iot",
            "us-east-1",
            Some("iotdata or iotdevicegateway"),
        ),
        ("b.s3-accelerate.amazonaws.com", "s3", "eu-west-1", None),
        (
            "b.s3-accelerate.amazonaws.com",
            "s3express",
            "eu-west-1",
            Some(r#""s3""#),
        ),
        (
            "a.endpoint.events.amazonaws.com",
            "events",
            "us-east-1",
            Some("\"events\" in several regions"),
        ),
    ] {
        let settings = SigningSettings::new(service, region).expect("valid");
        let origin = at("https://127.0.0.1", settings)
            .with_signed_host(host)
            .expect(host);
        let found = lint(&origin, &HttpClient::new());
        assert_eq!(
            found.len(),
            expected.iter().count(),
            "{host} {service} {region}: {found:?}"
        );
        if let (Some(found), Some(expected)) = (found.first(), expected) {
            assert_eq!(found.rule(), LintRule::Scope);
            assert!(
                found.to_string().contains(&format!(" expects {expected}")),
                "{found}"
            );
        }
    }
}

#[test]
fn hosts_that_verify_no_signature_are_found() {
    for (host, service, expected) in [
        (
            "123456789012.dkr.ecr.us-west-2.amazonaws.com",
            "ecr",
            Some("is a registry"),
        ),
        (
            "DB.X.us-east-1.rds.amazonaws.com:5432",
            "rds",
            Some("create one with `token::rds`"),
        ),
        (
            "public.ecr.aws",
            "ecr-public",
            Some("is the public registry"),
        ),
        (
            "a.auth.us-east-1.amazoncognito.com",
            "cognito-idp",
            Some("is a login page"),
        ),
        ("rds.us-east-1.amazonaws.com", "rds", None),
        // A server behind these may verify signatures.
        ("a.us-east-1.elb.amazonaws.com", "execute-api", None),
        ("ec2-1-2-3-4.compute-1.amazonaws.com", "execute-api", None),
        ("d111111abcdef8.cloudfront.net", "execute-api", None),
    ] {
        let origin = at("https://127.0.0.1", settings(service))
            .with_signed_host(host)
            .expect(host);
        let found = lint(&origin, &HttpClient::new());
        assert_eq!(found.len(), expected.iter().count(), "{host}: {found:?}");
        if let (Some(found), Some(expected)) = (found.first(), expected) {
            assert_eq!(found.rule(), LintRule::UnsignedHost);
            assert!(found.to_string().contains(expected), "{found}");
        }
    }
}

#[cfg(feature = "sigv4a")]
#[test]
fn region_set_may_cover_the_region_of_the_host() {
    for (host, service, set, found) in [
        ("a.endpoint.events.amazonaws.com", "events", "us-*", false),
        ("a.endpoint.events.amazonaws.com", "s3", "us-*", true),
        (
            "b.s3.eu-west-1.amazonaws.com",
            "s3",
            "us-east-1,eu-*",
            false,
        ),
        ("b.s3.eu-west-1.amazonaws.com", "s3", "us-east-1,us-*", true),
    ] {
        let set = crate::sigv4::RegionSet::new(set).expect("valid");
        let settings = SigningSettings::multi_region(service, set).expect("valid");
        let found = Vec::from_iter(found.then_some(LintRule::Scope));
        let origin = at(&format!("https://{host}"), settings);
        assert_eq!(rules(&origin, &HttpClient::new()), found, "{origin:?}");
    }
}
