//! Objects that S3 would touch for a request. It decodes once.

use http::request::Parts;

/// An access of a request, as S3 would carry it out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) verb: String,
    pub(crate) bucket: String,
    /// `None` for the bucket itself, its configuration, or all buckets.
    pub(crate) key: Option<String>,
    /// `true` for the names of all objects that start with the key.
    pub(crate) lists: bool,
}

/// Decodes escapes once. A byte beyond ASCII stays one character, which no pattern of the tests contains.
fn decode_once(text: &str) -> String {
    let mut decoded = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let pair = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
            let digits = String::from_utf8_lossy(&pair).into_owned();
            decoded.push(u8::from_str_radix(&digits, 16).unwrap_or(b'%'));
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// Returns the accesses of a request.
pub(crate) fn touches(head: &Parts, body: &str) -> Vec<Touch> {
    let path = decode_once(head.uri.path());
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    let query: Vec<(String, String)> = head
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode_once(name), decode_once(&value.replace('+', " "))))
        .collect();
    let value = |name: &str| {
        query
            .iter()
            .find(|(it, _)| it == name)
            .map(|(_, it)| it.clone())
    };
    let method = head.method.as_str();
    let touch = |verb: &str, bucket: &str, key: Option<&str>, lists: bool| Touch {
        verb: verb.to_owned(),
        bucket: bucket.to_owned(),
        key: key.map(str::to_owned),
        lists,
    };
    if key.is_empty() && method == "POST" && value("delete").is_some() {
        return deleted_keys(body)
            .iter()
            .map(|key| touch("DELETE", bucket, Some(key), false))
            .collect();
    }
    let configures = [
        "acl",
        "policy",
        "versioning",
        "location",
        "cors",
        "lifecycle",
        "retention",
        "legal-hold",
    ];
    let touches_configuration = configures.iter().any(|name| value(name).is_some());
    let own = if bucket.is_empty() || touches_configuration {
        touch(method, bucket, None, false)
    } else if !key.is_empty() {
        touch(method, bucket, Some(key), false)
    } else if method == "GET" {
        let prefix = value("prefix").unwrap_or_default();
        touch("GET", bucket, Some(&prefix), true)
    } else {
        touch(method, bucket, None, false)
    };
    let mut touched = vec![own];
    let source = head.headers.get_all("x-amz-copy-source");
    for source in source.iter().filter(|_| method == "PUT") {
        let text = String::from_utf8_lossy(source.as_bytes()).into_owned();
        let bare = text
            .split_once("?versionId=")
            .map_or(&*text, |(path, _)| path);
        let decoded = decode_once(bare);
        let relative = decoded.strip_prefix('/').unwrap_or(&decoded);
        let (from, key) = relative.split_once('/').unwrap_or((relative, ""));
        touched.push(touch(
            "GET",
            from,
            Some(key).filter(|key| !key.is_empty()),
            false,
        ));
    }
    touched
}

/// Finds keys as a lenient parser does: it skips comments, joins CDATA, and accepts any prefix and attributes.
fn deleted_keys(body: &str) -> Vec<String> {
    let mut plain = body.to_owned();
    while let Some(start) = plain.find("<!--") {
        let end = plain[start..]
            .find("-->")
            .map_or(plain.len(), |at| start + at + 3);
        plain.replace_range(start..end, "");
    }
    let plain = plain.replace("<![CDATA[", "").replace("]]>", "");
    let mut keys = Vec::new();
    for part in plain.split('<') {
        let Some((tag, text)) = part.split_once('>') else {
            continue;
        };
        let name = tag
            .split([' ', '\t', '\r', '\n', '/'])
            .next()
            .unwrap_or_default();
        if name.rsplit(':').next() == Some("Key") && !tag.starts_with('/') {
            keys.push(unescaped(text));
        }
    }
    keys
}

fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let Some((name, tail)) = after.split_once(';') else {
            out.push('&');
            rest = after;
            continue;
        };
        let number = |digits: &str, radix| {
            u32::from_str_radix(digits, radix)
                .ok()
                .and_then(char::from_u32)
        };
        let letter = match name {
            "amp" => Some('&'),
            "lt" => Some('<'),
            "gt" => Some('>'),
            "quot" => Some('"'),
            "apos" => Some('\''),
            _ => match name.strip_prefix('#') {
                Some(code) => match code.strip_prefix('x') {
                    Some(hex) => number(hex, 16),
                    None => number(code, 10),
                },
                None => None,
            },
        };
        out.extend(letter);
        rest = tail;
    }
    out + rest
}
