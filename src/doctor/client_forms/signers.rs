//! Canonical forms of common signers, where they differ from that of AWS.

use super::edits::{HostEdit, PathEdit, QueryEdit, ValueEdit};

/// A program or library that signs. Each form is one that AWS does not derive, or that of AWS.
pub(super) struct Signer {
    pub(super) name: &'static str,
    agents: &'static [Agent],
    /// For the services that encode the path twice, and for the S3 family.
    pub(super) path: [PathEdit; 2],
    pub(super) query: [QueryEdit; 2],
    pub(super) host: HostEdit,
    pub(super) values: ValueEdit,
}

/// Product in `user-agent`, with the first and the last version of it.
struct Agent(&'static str, (u32, u32), (u32, u32));

const ANY: (u32, u32) = (u32::MAX, u32::MAX);
const PYTHON_REQUESTS: Agent = Agent("python-requests/", (0, 0), ANY);
const NODE: [Agent; 4] = [
    Agent("node", (0, 0), ANY),
    Agent("undici", (0, 0), ANY),
    Agent("axios/", (0, 0), ANY),
    Agent("node-fetch", (0, 0), ANY),
];

const AWS: Signer = Signer {
    name: "AWS",
    agents: &[],
    path: [PathEdit::Aws; 2],
    query: [QueryEdit::Aws; 2],
    host: HostEdit::Aws,
    values: ValueEdit::Aws,
};

/// Each form is read from the source of the signer that the row names.
pub(super) const SIGNERS: [Signer; 15] = [
    // curl, lib/http_aws_sigv4.c, tags curl-7_75_0 and curl-7_85_0
    Signer {
        name: "curl 7.75 to 7.85",
        agents: &[Agent("curl/", (7, 75), (7, 85))],
        path: [PathEdit::AsSent; 2],
        query: [QueryEdit::AsSent; 2],
        host: HostEdit::WithoutPort,
        ..AWS
    },
    // curl, lib/http_aws_sigv4.c, tags curl-7_86_0 and curl-8_2_0
    Signer {
        name: "curl 7.86 to 8.2",
        agents: &[Agent("curl/", (7, 86), (8, 2))],
        path: [PathEdit::AsSent; 2],
        query: [QueryEdit::AsSent; 2],
        ..AWS
    },
    // curl, lib/http_aws_sigv4.c, canon_query, tags curl-8_3_0 and curl-8_8_0
    Signer {
        name: "curl 8.3 to 8.8",
        agents: &[Agent("curl/", (8, 3), (8, 8))],
        path: [PathEdit::AsSent; 2],
        query: [QueryEdit::EscapesKept; 2],
        ..AWS
    },
    // curl, lib/http_aws_sigv4.c, canon_string and canon_query, tags curl-8_9_0 and curl-8_13_0
    Signer {
        name: "curl 8.9 to 8.13",
        agents: &[Agent("curl/", (8, 9), (8, 13))],
        path: [PathEdit::EscapesKept; 2],
        query: [QueryEdit::EscapesKeptWithEquals; 2],
        ..AWS
    },
    // curl, lib/http_aws_sigv4.c, canon_path and encode_query_component, tag curl-8_16_0
    Signer {
        name: "curl 8.14 to 8.18",
        agents: &[Agent("curl/", (8, 14), (8, 18))],
        path: [PathEdit::NotFolded, PathEdit::AsSent],
        query: [QueryEdit::EscapedPlusAsSpace; 2],
        ..AWS
    },
    // curl, lib/http_aws_sigv4.c, canon_path and normalize_query, tag curl-8_19_0
    Signer {
        name: "curl 8.19 and later",
        agents: &[Agent("curl/", (8, 19), ANY)],
        path: [PathEdit::NotFolded, PathEdit::AsSent],
        ..AWS
    },
    // botocore, botocore/auth.py, _canonical_query_string_url and S3SigV4Auth._normalize_url_path
    Signer {
        name: "botocore",
        agents: &[
            Agent("Boto3/", (0, 0), ANY),
            Agent("Botocore/", (0, 0), ANY),
            Agent("aws-cli/", (0, 0), ANY),
            Agent("python-urllib3/", (0, 0), ANY),
            PYTHON_REQUESTS,
        ],
        path: [PathEdit::Aws, PathEdit::AsSent],
        query: [QueryEdit::SortedAsSent; 2],
        ..AWS
    },
    // tedder/requests-aws4auth, requests_aws4auth/aws4auth.py of 1.3.1: get_canonical_headers, amz_cano_path
    Signer {
        name: "requests-aws4auth up to 1.3",
        agents: &[PYTHON_REQUESTS],
        path: [PathEdit::Aws, PathEdit::Folded],
        host: HostEdit::WithoutPort,
        values: ValueEdit::QuotedSpacesKept,
        ..AWS
    },
    // The same file of 1.4.0
    Signer {
        name: "requests-aws4auth",
        agents: &[PYTHON_REQUESTS],
        path: [PathEdit::Aws, PathEdit::Folded],
        values: ValueEdit::QuotedSpacesKept,
        ..AWS
    },
    // DavidMuller/aws-requests-auth, aws_requests_auth/aws_auth.py: get_canonical_path, get_canonical_querystring
    Signer {
        name: "aws-requests-auth",
        agents: &[PYTHON_REQUESTS],
        path: [PathEdit::NotFolded, PathEdit::EncodedAgain],
        query: [QueryEdit::SortedAsSent; 2],
        host: HostEdit::WithoutPort,
        ..AWS
    },
    // mhart/aws4, aws4.js of 1.13: canonicalString. Postman, Insomnia and Yaak sign with it.
    Signer {
        name: "aws4 (Postman, Insomnia)",
        agents: &[
            Agent("PostmanRuntime/", (0, 0), ANY),
            Agent("insomnia/", (0, 0), ANY),
            Agent("yaak", (0, 0), ANY),
            Agent("axios/", (0, 0), ANY),
            Agent("node", (0, 0), ANY),
        ],
        query: [QueryEdit::Aws, QueryEdit::FirstValues],
        ..AWS
    },
    // mhart/aws4fetch, src/main.js: AwsV4Signer, and Headers.get of the Fetch standard
    Signer {
        name: "aws4fetch",
        agents: &NODE,
        query: [QueryEdit::Aws, QueryEdit::FirstValues],
        values: ValueEdit::JoinedWithSpace,
        ..AWS
    },
    // aws/aws-sdk-go, aws/signer/v4/v4.go: buildCanonicalString; awslabs/aws-sigv4-proxy, handler/proxy_client.go, calls
    // it. aws/aws-sdk-java, AbstractAWSSigner.java: getCanonicalizedResourcePath.
    Signer {
        name: "the AWS SDKs for Go and Java, version 1, and aws-sigv4-proxy",
        agents: &[
            Agent("aws-sdk-go/", (0, 0), (1, u32::MAX)),
            Agent("aws-sdk-java/", (0, 0), (1, u32::MAX)),
            Agent("Go-http-client/", (0, 0), ANY),
        ],
        path: [PathEdit::NotFolded, PathEdit::AsSent],
        ..AWS
    },
    // anomalizer/ngx_aws_auth, aws_functions.h: ngx_aws_auth__canon_url, ngx_aws_auth__canonize_query_string
    Signer {
        name: "ngx_aws_auth",
        path: [PathEdit::NotFolded, PathEdit::EncodedAgain],
        query: [QueryEdit::EscapedAgain; 2],
        ..AWS
    },
    // envoyproxy/envoy, source/extensions/common/aws/utility.cc: canonicalizePathString, canonicalizeQueryString
    Signer {
        name: "Envoy",
        path: [PathEdit::SlashesFolded, PathEdit::EncodedAgain],
        ..AWS
    },
];

impl Signer {
    /// Returns `true` if this signer is one of those that send this `user-agent`.
    pub(super) fn sends(&self, user_agent: &str) -> bool {
        self.agents.iter().any(|agent| agent.matches(user_agent))
    }
}

impl Agent {
    fn matches(&self, user_agent: &str) -> bool {
        let Self(product, first, last) = self;
        let Some(start) = user_agent.find(product) else {
            return false;
        };
        let mut numbers = user_agent[start + product.len()..]
            .split(|letter: char| !letter.is_ascii_digit())
            .map(|digits| digits.parse().unwrap_or_default());
        let mut number = || numbers.next().unwrap_or_default();
        let version = (number(), number());
        (*first..=*last).contains(&version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signers_are_found_by_user_agent() {
        for (user_agent, names) in [
            ("curl/7.88.1", &["curl 7.86 to 8.2"][..]),
            ("curl/8.14.1-DEV", &["curl 8.14 to 8.18"]),
            ("curl/7.74.0", &[]),
            (
                "aws-sdk-go/1.55.5 (go1.22; linux)",
                &["the AWS SDKs for Go and Java, version 1, and aws-sigv4-proxy"],
            ),
            ("aws-sdk-java/2.20.1", &[]),
            ("Boto3/1.34 md/Botocore#1.34", &["botocore"]),
            ("PostmanRuntime/7.36.0", &["aws4 (Postman, Insomnia)"]),
            ("", &[]),
        ] {
            let found = SIGNERS.iter().filter(|signer| signer.sends(user_agent));
            let found: Vec<_> = found.map(|signer| signer.name).collect();
            assert_eq!(found, names, "{user_agent}");
        }
    }
}
