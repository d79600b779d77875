//! Check of credentials.

use super::{Finding, LintRule};
use crate::credentials::Credentials;

pub(super) fn all(credentials: &Credentials) -> Vec<Finding> {
    let id = credentials.access_key_id();
    let token = credentials.session_token();
    let secrets = [
        ("secret access key", Some(credentials.secret_access_key())),
        ("session token", token),
    ];
    let malformed = secrets.into_iter().filter_map(|(name, value)| {
        let text = value?;
        let problem = if is_quoted(text) {
            "is in quotes, which become part of it; remove the quotes, for example in the env file"
        } else if text.contains(|letter: char| letter.is_whitespace() || letter.is_control()) {
            "contains white space or a control character; copy it again, without the end of the line"
        } else {
            return None;
        };
        Some(Finding {
            rule: LintRule::SecretFormat,
            message: format!("the {name} of {id:?} {problem}"),
        })
    });
    let quoted_id = is_quoted(id).then(|| Finding {
        rule: LintRule::SecretFormat,
        message: format!(
            "access key ID {id:?} is in quotes, which become part of it; remove the quotes, for example in the env file"
        ),
    });
    // The AWS IAM User Guide, "IAM identifiers", "Unique identifiers".
    let bare_id = id.trim_start_matches(['"', '\'', '`']);
    let lacks_token = bare_id.starts_with("ASIA") && token.is_none_or(str::is_empty);
    let missing = lacks_token.then(|| Finding {
        rule: LintRule::MissingToken,
        message: format!(
            "access key ID {id:?} is that of temporary credentials, which are rejected without their session token; \
             set AWS_SESSION_TOKEN or session_token too"
        ),
    });
    quoted_id
        .into_iter()
        .chain(malformed)
        .chain(missing)
        .collect()
}

fn is_quoted(text: &str) -> bool {
    ['"', '\'', '`']
        .iter()
        .any(|&quote| text.len() > 1 && text.starts_with(quote) && text.ends_with(quote))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_of_copying_are_found_without_showing_secrets() {
        for (id, secret, token, rules) in [
            ("AKIDEXAMPLE", "hunter2/+=", None, &[][..]),
            ("AKIDEXAMPLE", "a\"hunter2", None, &[]),
            ("AKIDEXAMPLE", "\"", None, &[]),
            ("AKIDEXAMPLE", "'hunter2'", None, &[LintRule::SecretFormat]),
            (
                "AKIDEXAMPLE",
                "\"hunter2\"",
                None,
                &[LintRule::SecretFormat],
            ),
            ("AKIDEXAMPLE", "hunter2\n", None, &[LintRule::SecretFormat]),
            ("AKIDEXAMPLE", " hunter2", None, &[LintRule::SecretFormat]),
            ("\"AKIDEXAMPLE\"", "hunter", None, &[LintRule::SecretFormat]),
            ("ASIAEXAMPLE", "hunter2", Some("hunter3"), &[]),
            (
                "ASIAEXAMPLE",
                "hunter2",
                Some("hunter3 "),
                &[LintRule::SecretFormat],
            ),
            ("ASIAEXAMPLE", "hunter2", None, &[LintRule::MissingToken]),
            (
                "ASIAEXAMPLE",
                "hunter2\t",
                Some(""),
                &[LintRule::SecretFormat, LintRule::MissingToken],
            ),
        ] {
            let token = token.map(str::to_owned);
            let findings = all(&Credentials::new(id, secret, token, None, "test"));
            let found: Vec<_> = findings.iter().map(Finding::rule).collect();
            assert_eq!(found, rules, "{id} {secret:?}");
            assert!(!format!("{findings:?}").contains("hunter"), "{findings:?}");
        }
    }
}
