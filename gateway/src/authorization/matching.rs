//! Conditions on verified callers.

use serde_json::{Map, Value};

use super::glob::Glob;

/// Facts about a caller that its verification has proven.
#[derive(Clone, Copy)]
pub(crate) enum CallerFacts<'a> {
    Key {
        access_key_id: &'a str,
    },
    Token {
        issuer: &'a str,
        claims: &'a Map<String, Value>,
    },
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no mechanism proves a principal yet")
    )]
    Principal {
        arn: &'a str,
    },
    /// Only `any` matches it.
    Unknown,
}

/// Condition of a `[[caller]]`.
#[derive(Clone, Debug)]
pub(crate) enum CallerMatch {
    Any,
    AccessKeyIds(Vec<String>),
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "no mechanism proves a principal yet")
    )]
    Arns(Vec<ArnPattern>),
    Claims {
        issuer: Option<String>,
        /// Names and accepted values. Each claim must have one of its values.
        claims: Vec<(String, Vec<String>)>,
    },
}

/// A pattern of ARNs, in which `*` stops at `:` and `/`.
#[derive(Clone, Debug)]
pub(crate) struct ArnPattern(Glob);

impl ArnPattern {
    pub(crate) fn new(pattern: &str) -> Self {
        Self(Glob::new(pattern, b":/"))
    }

    /// Matches the ARN itself, and for a session the role's (IAM User Guide, "IAM identifiers" and "AWS JSON policy
    /// elements: Principal": a role as principal includes its sessions).
    fn matches(&self, arn: &str) -> bool {
        self.0.matches(arn.as_bytes())
            || role_arn(arn).is_some_and(|role| self.0.matches(role.as_bytes()))
    }
}

/// Returns `arn:aws:iam::1:role/orders` for `arn:aws:sts::1:assumed-role/orders/session`.
fn role_arn(arn: &str) -> Option<String> {
    let mut parts = arn.splitn(6, ':');
    let (_, partition, service) = (parts.next()?, parts.next()?, parts.next()?);
    let (_, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
    let (role, _) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    (service == "sts").then(|| format!("arn:{partition}:iam::{account}:role/{role}"))
}

impl CallerMatch {
    pub(crate) fn matches(&self, caller: CallerFacts<'_>) -> bool {
        match (self, caller) {
            (Self::Any, _) => true,
            (Self::AccessKeyIds(ids), CallerFacts::Key { access_key_id }) => {
                ids.iter().any(|id| id == access_key_id)
            }
            (Self::Arns(patterns), CallerFacts::Principal { arn }) => {
                patterns.iter().any(|pattern| pattern.matches(arn))
            }
            (
                Self::Claims {
                    issuer: expected,
                    claims: conditions,
                },
                CallerFacts::Token { issuer, claims },
            ) => {
                expected.as_ref().is_none_or(|it| it == issuer)
                    && conditions.iter().all(|(name, accepted)| {
                        claims
                            .get(name)
                            .is_some_and(|value| has_one_of(name, value, accepted))
                    })
            }
            _ => false,
        }
    }
}

/// Returns `true` if a claim is one of the values, or an array that contains one. `scope` is a list with spaces (RFC
/// 8693, section 4.2).
fn has_one_of(name: &str, claim: &Value, accepted: &[String]) -> bool {
    let is_accepted = |text: &str| accepted.iter().any(|value| value == text);
    match claim {
        Value::String(list) if name == "scope" => list.split(' ').any(is_accepted),
        Value::String(text) => is_accepted(text),
        Value::Bool(_) | Value::Number(_) => is_accepted(&claim.to_string()),
        Value::Array(elements) => {
            let mut scalars = elements.iter().filter(|it| !it.is_array());
            scalars.any(|element| has_one_of("", element, accepted))
        }
        Value::Null | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn role_patterns_match_sessions_of_the_role() {
        let session = "arn:aws:sts::123456789012:assumed-role/orders-eu/i-0abc";
        for (pattern, expected) in [
            ("arn:aws:iam::123456789012:role/orders-eu", true),
            ("arn:aws:iam::123456789012:role/orders-*", true),
            ("arn:aws:iam::*:role/orders-*", true),
            ("arn:aws:iam::123456789012:role/*", true),
            (
                "arn:aws:sts::123456789012:assumed-role/orders-eu/i-0abc",
                true,
            ),
            ("arn:aws:sts::123456789012:assumed-role/orders-eu/*", true),
            ("arn:aws:sts::123456789012:assumed-role/*", false),
            ("arn:aws:sts::123456789012:assumed-role/**", true),
            ("arn:aws:iam::123456789012:role/orders", false),
            ("arn:aws:iam::999999999999:role/orders-eu", false),
            ("arn:aws:iam::*", false),
            ("**", true),
        ] {
            let condition = CallerMatch::Arns(vec![ArnPattern::new(pattern)]);
            let facts = CallerFacts::Principal { arn: session };
            assert_eq!(condition.matches(facts), expected, "{pattern}");
        }
        assert_eq!(role_arn("arn:aws:iam::1:user/assumed-role/a/b"), None);
        assert_eq!(role_arn("arn:aws:iam::1:assumed-role/a/b"), None);
    }

    #[test]
    fn claims_match_by_value_element_and_scope() {
        let claims = json!({
            "cognito:groups": ["admin", "ops", ["nested"]], "scope": "orders.read orders.write",
            "email_verified": true, "tier": 3, "department": "sales team", "extra": {"a": 1}, "none": null,
        });
        let claims = claims.as_object().expect("an object");
        let matches = |issuer: Option<&str>, name: &str, value: &str| {
            let condition = CallerMatch::Claims {
                issuer: issuer.map(str::to_owned),
                claims: vec![(name.to_owned(), vec![value.to_owned()])],
            };
            let issuer = "https://issuer.example.com";
            condition.matches(CallerFacts::Token { issuer, claims })
        };
        for (name, value, expected) in [
            ("cognito:groups", "admin", true),
            ("cognito:groups", "adm", false),
            ("cognito:groups", "nested", false),
            ("scope", "orders.read", true),
            ("scope", "orders.read orders.write", false),
            ("email_verified", "true", true),
            ("tier", "3", true),
            ("department", "sales", false),
            ("department", "sales team", true),
            ("extra", "{\"a\":1}", false),
            ("none", "null", false),
            ("missing", "", false),
        ] {
            assert_eq!(matches(None, name, value), expected, "{name} {value}");
        }
        assert!(matches(Some("https://issuer.example.com"), "tier", "3"));
        assert!(!matches(Some("https://other.example.com"), "tier", "3"));
    }

    #[test]
    fn conditions_match_no_caller_of_another_mechanism() {
        let key = CallerFacts::Key {
            access_key_id: "AKID",
        };
        let arn = CallerFacts::Principal { arn: "AKID" };
        let ids = CallerMatch::AccessKeyIds(vec!["AKID".to_owned()]);
        let arns = CallerMatch::Arns(vec![ArnPattern::new("**")]);
        assert!(ids.matches(key) && !ids.matches(arn));
        assert!(arns.matches(arn) && !arns.matches(key));
        assert!(CallerMatch::Any.matches(key) && CallerMatch::Any.matches(arn));
    }
}
