//! The known host that resembles an unknown one.

use super::{AwsHost, MULTI_REGION, RENAMED, RESOURCES, SAME_NAME, is_region, split_suffix};

/// Returns a host with the label of its service replaced by the most similar known one, if at most a fourth of the
/// letters differ. The host is one that implies a service.
pub(super) fn nearest(host: &str) -> Option<String> {
    let (rest, _) = split_suffix(host)?;
    let service = rest
        .rsplit('.')
        .find(|label| !is_region(label))
        .filter(|label| (3..=63).contains(&label.len()))?;
    let known = RESOURCES.iter().chain(RENAMED).chain(&MULTI_REGION);
    let labels = known
        .filter_map(|(name, _)| name.rsplit('.').next())
        .chain(SAME_NAME.iter().copied());
    let max_distance = (service.len() / 4).max(1);
    let start = service.as_ptr() as usize - host.as_ptr() as usize;
    let (before, after) = (&host[..start], &host[start + service.len()..]);
    labels
        .map(|label| (distance(service, label), label))
        .filter(|(letters, _)| (1..=max_distance).contains(letters))
        .map(|(letters, label)| (letters, [before, label, after].concat()))
        .filter(|(_, similar)| AwsHost::parse(similar).is_ok())
        .min_by_key(|(letters, _)| *letters)
        .map(|(_, similar)| similar)
}

/// Returns the number of letters to insert, delete, replace or swap with their neighbor.
fn distance(one: &str, other: &str) -> usize {
    let (from, to) = (one.as_bytes(), other.as_bytes());
    let mut older = vec![0; to.len() + 1];
    let mut above: Vec<_> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in to.iter().enumerate() {
            let replaced = above[j] + usize::from(a != b);
            let mut least = replaced.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == to[j - 1] && from[i - 1] == *b {
                least = least.min(older[j - 1] + 1);
            }
            row.push(least);
        }
        older = std::mem::replace(&mut above, row);
    }
    above[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_count_edits() {
        for (one, other, expected) in [
            ("", "", 0),
            ("", "s3", 2),
            ("sqs", "sqs", 0),
            ("sqs", "sns", 1),
            ("lamda", "lambda", 1),
            ("dynamobd", "dynamodb", 1),
            ("execute-api", "execut-apii", 2),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
            assert_eq!(distance(other, one), expected, "{other} {one}");
        }
    }
}
