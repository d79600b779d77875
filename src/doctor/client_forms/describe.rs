//! Descriptions of differences that show no value of a parameter or a header.

use super::edits::ValueEdit;
use crate::doctor::{canonical_parser::query_pairs, compare::quoted};

/// Describes the first difference of two queries, for the client and for AWS, without the values of parameters.
pub(super) fn describe_query(client: &str, aws: &str) -> [String; 2] {
    let (ours, theirs) = (query_pairs(client), query_pairs(aws));
    let mut sorted = ours.clone();
    sorted.sort_unstable();
    if sorted == theirs && ours != theirs {
        return ["the parameters in the order sent", "them sorted by name"].map(str::to_owned);
    }
    if sorted == theirs {
        return ["a name without \"=\"", "it with \"=\""].map(str::to_owned);
    }
    if ours.len() < theirs.len() {
        return ["the first value of a name alone", "all its values"].map(str::to_owned);
    }
    let of_aws = theirs.iter().find(|pair| !ours.contains(pair));
    let of_client = sorted.iter().find(|pair| !theirs.contains(pair));
    match (of_client, of_aws) {
        (Some((name, value)), Some((aws_name, aws_value))) if !aws_value.is_empty() => {
            let [client_part, aws_part] = first_difference(
                &format!("{name}={value}"),
                &format!("{aws_name}={aws_value}"),
            );
            [
                format!("{client_part} in parameter {}", quoted(name)),
                aws_part,
            ]
        }
        _ => ["the query with other escapes", "each byte encoded once"].map(str::to_owned),
    }
}

/// Returns the first characters or escapes in which two texts differ, quoted. They are too short to show a secret.
fn first_difference(client: &str, aws: &str) -> [String; 2] {
    const MAX_SHOWN: usize = 5;
    let same = client
        .bytes()
        .zip(aws.bytes())
        .take_while(|(ours, theirs)| ours == theirs)
        .count();
    // An escape is shown whole.
    let start = (same.saturating_sub(2)..=same)
        .find(|&at| {
            client.as_bytes().get(at) == Some(&b'%') && aws.as_bytes().get(at) == Some(&b'%')
        })
        .unwrap_or(same);
    [client, aws].map(|text| {
        let rest = text.get(start..).unwrap_or_default();
        let len = match rest.as_bytes() {
            [b'%', b'2', b'5', ..] => MAX_SHOWN,
            [b'%', ..] => 3,
            _ => 1,
        };
        quoted(rest.get(..len).unwrap_or(rest))
    })
}

pub(super) fn describe_value(edit: ValueEdit) -> [&'static str; 2] {
    match edit {
        ValueEdit::Aws => ["it as AWS does", "it"],
        ValueEdit::SpacesKept => ["each space of the value", "each run of spaces as one"],
        ValueEdit::QuotedSpacesKept => ["each space between quotes", "each run of spaces as one"],
        ValueEdit::JoinedWithSpace => {
            ["several values with \", \" between them", "them with \",\""]
        }
        ValueEdit::FirstValue => ["the first of several values", "all values with \",\""],
        ValueEdit::LastValue => ["the last of several values", "all values with \",\""],
    }
}
