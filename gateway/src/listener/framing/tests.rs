use super::*;

/// Reads in one piece, and byte by byte.
fn read(bytes: &[u8]) -> Result<u64, Violation> {
    let whole = {
        let mut framing = Framing::new();
        let mut input = bytes.to_vec();
        framing.read(&mut input).map(|()| framing.heads)
    };
    let mut framing = Framing::new();
    let split = bytes.iter().enumerate().try_for_each(|(at, byte)| {
        framing
            .read(&mut [*byte])
            .map_err(|violation| match violation {
                Violation::Body(0) => Violation::Body(at),
                head => head,
            })
    });
    assert_eq!(split.map(|()| framing.heads), whole);
    whole
}

#[test]
fn valid_requests_are_counted() {
    let get = "GET /a?b=<c HTTP/1.1\r\nhost: x\r\n\r\n".replace('<', "%3C");
    let long = format!("GET / HTTP/1.1\r\nlong: {}\r\n\r\n", "a".repeat(200));
    for (requests, count) in [
        (get.clone(), 1),
        (format!("\r\n\r\n{get}{long}{get}"), 3),
        (
            "POST / HTTP/1.1\r\nContent-Length:  5 \r\n\r\nab\n\n\nGET / HTTP/1.1\r\n\r\n".into(),
            2,
        ),
        (
            format!(
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3;a=\"b\"\r\na\nb\r\n00A\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\n{get}"
            ),
            2,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"
                .into(),
            2,
        ),
        (
            "GET /\" HTTP/1.1\r\n\r\nGET /?` HTTP/1.1\r\nuser-agent: <\"`>\r\n\r\n".into(),
            2,
        ),
    ] {
        assert_eq!(read(requests.as_bytes()), Ok(count), "{requests:?}");
    }
}

#[test]
fn ambiguous_heads_are_violations() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    for (head, word) in [
        ("\n", "LF"),
        ("GET / HTTP/1.1\nhost: x\r\n\r\n", "LF"),
        ("GET / HTTP/1.1\r\nhost: x\n\r\n", "LF"),
        ("GET / HTTP/1.1\r\nhost: x\r\n\n", "LF"),
        ("GET /<a HTTP/1.1\r\n\r\n", "%3C"),
        ("GET /a?> HTTP/1.1\r\n\r\n", "%3E"),
        ("GET /` HTTP/1.1\r\n\r\n", "%60"),
        ("GET /?a=\"b\" HTTP/1.1\r\n\r\n", "%22"),
        (
            "GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n",
            "one number",
        ),
        ("GET / HTTP/1.1\r\ncontent-length: 1, 1\r\n", "one number"),
        ("GET / HTTP/1.1\r\ncontent-length: \r\n", "one number"),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n",
            "chunked",
        ),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: identity\r\n",
            "chunked",
        ),
        (
            "GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "chunked",
        ),
    ] {
        let result = read(format!("{get}{head}").as_bytes());
        let Err(Violation::Head(1, reason)) = result else {
            panic!("{head:?}: {result:?}");
        };
        assert!(reason.contains(word), "{head:?}: {reason}");
    }
    let padded = format!(
        "{get}GET / HTTP/1.1\r\ncontent-length:{}1\r\n",
        " ".repeat(STORED)
    );
    assert!(matches!(
        read(padded.as_bytes()),
        Err(Violation::Head(1, _))
    ));
}

#[test]
fn ambiguous_chunks_are_violations() {
    let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    for (valid, invalid) in [
        ("1\r\na\r\n0\r\n", "\n"),
        ("1\r\na\r\n0\r\nA: b\r\n", "\n"),
        ("1\r\na\r\n0\r\nA: b", "\n\r\n"),
        ("1\r\na\r\n0;x", "\n"),
        ("1\r\na", "\n0\r\n\r\n"),
        ("1\r\nab\r", "\n0\r\n\r\n"),
        ("1", "\na\r\n"),
        ("1 \r", "\na\r\n"),
        ("+1\r", "\na\r\n"),
        ("0x1\r", "\na\r\n"),
        ("\r", "\n1\r\na\r\n"),
        (";a\r", "\na\r\n"),
        ("11111111111111111\r", "\na\r\n"),
    ] {
        let bytes = format!("{head}{valid}{invalid}");
        let at = head.len() + valid.len();
        assert_eq!(
            read(bytes.as_bytes()),
            Err(Violation::Body(at)),
            "{bytes:?}"
        );
    }
}
