use super::*;

#[test]
fn paths_are_edited_into_the_forms_of_clients() {
    let sent = "/a//b/../c:d%20e%2f";
    for (edit, path) in [
        (PathEdit::Aws, "aws"),
        (PathEdit::AsSent, sent),
        (PathEdit::EscapesKept, "/a//b/../c%3Ad%20e%2F"),
        (PathEdit::NotFolded, "/a//b/../c%3Ad%2520e%252f"),
        (PathEdit::SlashesFolded, "/a/b/../c%3Ad%2520e%252f"),
        (PathEdit::Folded, "/a/c%3Ad%20e/"),
        (PathEdit::EncodedAgain, "/a//b/../c%3Ad%2520e%252f"),
    ] {
        assert_eq!(edit.apply(sent, "aws"), path, "{edit:?}");
    }
    let aws = "/%21%27%28%29%2A%2528";
    assert_eq!(PathEdit::MarksKept.apply("", aws), "/!'()*%2528");
}

#[test]
fn queries_are_edited_into_the_forms_of_clients() {
    let sent = "v&b=a:b+%2b&a=%2f&a=2";
    for (edit, query) in [
        (QueryEdit::Aws, "aws"),
        (QueryEdit::AsSent, sent),
        (QueryEdit::SortedAsSent, "a=%2f&a=2&b=a:b+%2b&v="),
        (QueryEdit::EscapesKept, "a=%2F&a=2&b=a%3Ab%2B%2B&v"),
        (
            QueryEdit::EscapesKeptWithEquals,
            "a=%2F&a=2&b=a%3Ab%2B%2B&v=",
        ),
        (QueryEdit::EscapedPlusAsSpace, "a=%2F&a=2&b=a%3Ab%20%20&v="),
        (QueryEdit::EscapedAgain, "a=%252f&a=2&b=a:b%2B%252b&v="),
        (QueryEdit::FirstValues, "a=%2F&b=a%3Ab%20%2B&v="),
        (QueryEdit::Unsorted, "v=&b=a%3Ab%20%2B&a=%2F&a=2"),
    ] {
        assert_eq!(edit.apply(sent, "aws"), query, "{edit:?}");
    }
    let aws = "a=b%20c%28%2B";
    assert_eq!(QueryEdit::SpaceAsPlus.apply("", aws), "a=b+c%28%2B");
    assert_eq!(QueryEdit::MarksKept.apply("", aws), "a=b%20c(%2B");
}

#[test]
fn header_values_are_edited_into_the_forms_of_clients() {
    let sent = ["a  b \"c  d\"".to_owned(), " e ".to_owned()];
    for (edit, value) in [
        (ValueEdit::Aws, "aws"),
        (ValueEdit::SpacesKept, "a  b \"c  d\",e"),
        (ValueEdit::QuotedSpacesKept, "a b \"c  d\",e"),
        (ValueEdit::JoinedWithSpace, "a b \"c d\", e"),
        (ValueEdit::FirstValue, "a b \"c d\""),
        (ValueEdit::LastValue, "e"),
    ] {
        assert_eq!(edit.apply(&sent, "aws"), value, "{edit:?}");
    }
    for (host, without_port) in [
        ("h:8443", "h"),
        ("h", "h"),
        ("[::1]", "[::1]"),
        ("[::1]:80", "[::1]"),
    ] {
        assert_eq!(HostEdit::WithoutPort.apply(host), without_port);
        let has_port = host != without_port;
        let with_port = HostEdit::WithHttpsPort.apply(host);
        assert_eq!(with_port == host, has_port, "{with_port}");
    }
}
