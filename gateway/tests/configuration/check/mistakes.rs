//! Mistakes are reported with line and remedy.

use super::{
    VALID,
    cache::CACHE,
    check,
    headers::SIGNATURE,
    routing::{ORIGIN, ROUTE},
    server::{CREDENTIALS, SERVER},
};

#[test]
fn mistakes_are_reported_with_line_and_remedy() {
    for (from, to, line, expected) in
        [SERVER, CACHE, CREDENTIALS, ORIGIN, ROUTE, SIGNATURE].concat()
    {
        assert!(VALID.contains(from), "{from}");
        let (code, text) = check(&VALID.replacen(from, to, 1));
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
    let (_, text) = check("credentials = \"AKID:hunter2\"");
    assert!(
        text.contains("FILE:1: invalid type: string, expected"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");
    let twice = format!(
        "{VALID}[[origin]]\nname = \"orders\"\nurl = \"http://a\"\nservice = \"s3\"\n\
        region = \"r\"\n"
    );
    assert!(
        check(&twice)
            .1
            .contains("FILE:19: there is another origin \"orders\"")
    );
    assert!(check("").1.contains("no [[route]]"));
    let (_, text) = check("[[route]]\npath = \"/\"\norigin = \"orders\"\n");
    let expected = "FILE:3: there is no origin \"orders\"; add an [[origin]] with this name";
    assert!(text.contains(expected), "{text}");
}

/// Text of the valid file, its replacement, the reported line, and a part of the message.
pub(super) type Mistake = (&'static str, &'static str, usize, &'static str);
