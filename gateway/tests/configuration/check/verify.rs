//! Mistakes in `[verify]` and in the keys file.

use super::{VALID, check};
use crate::support::{TempFile, gateway_command};

fn verify_section() -> String {
    let valid = VALID.replace("no-override", "always");
    format!(
        "{valid}[verify]\nservice = \"execute-api\"\nregion = \"us-east-1\"\n\
         unsigned_headers = [\"x-amz-cf-id\"]\nrequired_headers = [\"X-Tenant\"]\n\
         [[verify.key]]\n{KEY}"
    )
}

const BOBS: &str = "\"AKIDBOB\"\nsecret_access_key = \"hunter2\"";

const KEY: &str = "access_key_id = \"AKIDBOB\"\nsecret_access_key = \"hunter2\"\n";

/// `VALID` has 17 lines, so `[verify]` is on line 18.
#[test]
fn mistakes_in_verify_are_reported_with_line_and_remedy() {
    let verify = verify_section();
    assert_eq!(check(&verify).0, Some(0));
    for (from, to, line, expected) in [
        (
            "[verify]\nservice",
            "[verify]\nkeys = 1\nservice",
            19,
            "unknown field `keys`",
        ),
        (
            "[verify]\nservice = \"execute-api\"\n",
            "[verify]\n",
            23,
            "service is missing",
        ),
        ("us-east-1\"\nunsigned", "\"\nunsigned", 20, "region \"\""),
        (
            "\"us-east-1\"\nunsigned",
            "[]\nunsigned",
            20,
            "region is empty",
        ),
        (
            "\"us-east-1\"\nunsigned",
            "[\"eu-west-1\",\n\"a b\"]\nunsigned",
            21,
            "region \"a b\"",
        ),
        (
            "region = \"us-east-1\"\nunsigned",
            "unsigned",
            19,
            "region is missing",
        ),
        (
            "[verify]\nservice = \"execute-api\"",
            "[verify]\nservice = []",
            19,
            "service is empty",
        ),
        (
            "[verify]\nservice = \"execute-api\"",
            "[verify]\nservice = [[\"s3\"]]",
            19,
            "a list in a list",
        ),
        (
            "[verify]\nservice = \"execute-api\"",
            "[verify]\nservice = [\"s3\",\n\"a b\"]",
            20,
            "service \"a b\"",
        ),
        (
            "[[verify.key]]",
            "[[verify.services]]\nname = \"s3\"\n[[verify.key]]",
            23,
            "there is no [[verify.services]]; write [[verify.service]]",
        ),
        (
            "x-amz-cf-id",
            "x amz",
            21,
            "\"x amz\" is not a valid header name",
        ),
        (
            "x-amz-cf-id",
            "x-amz-date",
            21,
            "x-amz-date is a part of the signature",
        ),
        ("X-Tenant", "", 22, "\"\" is not a valid header name"),
        ("AKIDBOB", "AKID BOB", 24, "stray space"),
        (
            BOBS,
            "\"AKIDBOB\"\nsecret_access_key = \" hunter2\"",
            24,
            "white space",
        ),
        (
            BOBS,
            "\"AKIDBOB\"\nsecret_access_key = 12345",
            25,
            "in quotes",
        ),
        (
            KEY,
            &format!("{KEY}[[verify.key]]\n{KEY}"),
            19,
            "two keys have the id \"AKIDBOB\"",
        ),
        (
            &format!("[[verify.key]]\n{KEY}"),
            "",
            19,
            "there are no callers' keys",
        ),
        (
            &format!("[[verify.key]]\n{KEY}"),
            "keys_file_env = \"NO_SUCH_VARIABLE\"\n",
            23,
            "\"NO_SUCH_VARIABLE\": environment variable not found",
        ),
        (
            &format!("[[verify.key]]\n{KEY}"),
            "keys_file = \"/no/such/file\"\n",
            23,
            "cannot read /no/such/file",
        ),
        (
            &format!("[[verify.key]]\n{KEY}"),
            "keys_file_env = \"CALLERS\"\nkeys_file = \"keys.toml\"\n",
            23,
            "there is a keys_file already; remove one",
        ),
        (
            "\"always\"",
            "\"no-override\"",
            17,
            "set signing = \"always\"",
        ),
        ("\"always\"", "\"never\"", 17, "this origin would receive"),
    ] {
        assert!(verify.contains(from), "{from}");
        let (code, text) = check(&verify.replacen(from, to, 1));
        assert_eq!(code, Some(1), "{to}: {text}");
        assert!(
            text.starts_with(&format!("sigv4-gateway: FILE:{line}: ")),
            "{to}: {text}"
        );
        assert!(text.contains(expected), "{to}: {text}");
        assert!(
            !text.contains("hunter2") && !text.contains("12345"),
            "{to}: {text}"
        );
    }
    let open = verify.replace("\"always\"", "\"never\"");
    let open = open.replace("path = \"/orders\"", "path = \"/orders\"\nverify = false");
    assert_eq!(check(&open).0, Some(0));
    let unverifiable = VALID.replace("origin = \"orders\"", "verify = true\norigin = \"orders\"");
    let (code, text) = check(&unverifiable);
    assert_eq!(code, Some(1));
    assert!(
        text.contains("FILE:17: verify needs callers' keys"),
        "{text}"
    );
}

#[test]
fn keys_file_is_checked_like_the_configuration() {
    let valid = VALID.replace("no-override", "always");
    let config =
        format!("{valid}[verify]\nservice = \"s3\"\nregion = \"r\"\nkeys_file_env = \"CALLERS\"\n");
    let file = TempFile::new(&config);
    for (keys, code, expected) in [
        (format!("[[key]]\n{KEY}"), 0, "no errors"),
        (String::new(), 1, "KEYS:1: missing field `key`"),
        ("key = []".to_owned(), 1, "there are no callers' keys"),
        (
            format!("[[key]]\n{}", KEY.replace("BOB", " BOB")),
            1,
            "FILE:21: KEYS:2: the access key ID",
        ),
        (
            format!("[[key]]\n{}", KEY.replace("\"hunter2\"", "hunter2")),
            1,
            "FILE:21: KEYS:3: ",
        ),
        (
            format!("[[keys]]\n{KEY}"),
            1,
            "KEYS:1: there is no [[keys]]; write [[key]]",
        ),
    ] {
        let keys_file = TempFile::new(&keys);
        let mut command = gateway_command();
        command
            .args(["--config", &file.path, "--check"])
            .env("CALLERS", &keys_file.path);
        let output = command.output().expect("output");
        let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
        let text = text
            .replace(&file.path, "FILE")
            .replace(&keys_file.path, "KEYS");
        assert_eq!(output.status.code(), Some(code), "{keys}: {text}");
        assert!(text.contains(expected), "{keys}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn collected_uploads_to_a_streaming_origin_are_warned_of() {
    let valid = verify_section().replace("execute-api\"", "s3\"");
    let valid = valid.replace(
        "abc123.execute-api.us-east-1.amazonaws.com",
        "s3.us-east-1.amazonaws.com",
    );
    let line = valid.lines().count() + 1;
    let collected = valid.replace("[[verify.key]]", "body = \"collected\"\n[[verify.key]]");
    let warning = format!(
        "FILE:{}: warning: body = \"collected\" rejects uploads",
        line - 3
    );
    for (file, warned) in [
        (&valid, false),
        (&collected, true),
        (
            &collected.replace("body_limit", "payload = \"buffer\"\nbody_limit"),
            false,
        ),
        (
            &valid.replace("[[verify.key]]", "body = \"streamed\"\n[[verify.key]]"),
            false,
        ),
    ] {
        let (code, text) = check(file);
        assert_eq!(code, Some(0), "{text}");
        assert_eq!(text.contains(&warning), warned, "{text}");
    }
}

#[test]
fn services_of_verify_have_rules_of_their_own() {
    let section = verify_section();
    let (head, _) = section.split_once("[verify]").expect("a section");
    let keys = format!("[[verify.key]]\n{KEY}");
    for (verify, code, expected) in [
        (
            "[verify]\nservice = [\"execute-api\", \"lambda\"]\nregion = [\"us-east-1\", \"eu-west-1\"]\n",
            0,
            "no errors",
        ),
        (
            "[verify]\nregion = \"us-east-1\"\n[[verify.service]]\nname = \"s3\"\n[[verify.service]]\nname = \"dynamodb\"\n",
            0,
            "no errors",
        ),
        (
            "[[verify.service]]\nname = \"s3\"\nregion = \"us-east-1\"\nunsigned_payload = false\n",
            0,
            "no errors",
        ),
        (
            "[[verify.service]]\nname = \"s3\"\n",
            1,
            "FILE:19: region is missing",
        ),
        (
            "[[verify.service]]\nregion = \"r\"\n",
            1,
            "FILE:18: missing field `name`",
        ),
        (
            "[[verify.service]]\nname = \"s3\"\nkeys = 1\n",
            1,
            "FILE:20: unknown field `keys`",
        ),
        (
            "[verify]\nregion = \"r\"\nservice = \"s3\"\n[[verify.service]]\nname = \"s3\"\n",
            1,
            "FILE:21: ",
        ),
    ] {
        let (found, text) = check(&format!("{head}{verify}{keys}"));
        assert_eq!(found, Some(code), "{verify}: {text}");
        assert!(text.contains(expected), "{verify}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
}
