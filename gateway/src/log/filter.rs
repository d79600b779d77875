//! Log filter: a default level, and levels for targets by prefix.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Parses a filter such as `info,tower_sigv4=debug`. `access` enables the access log unless the filter has its level.
pub(crate) fn parse_filter(filter: &str, access: bool) -> Result<Targets, String> {
    let access_level = if access {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    let defaults = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("access", access_level);
    filter.split(',').map(str::trim).try_fold(defaults, |targets, directive| {
        let parsed = match directive.split_once('=') {
            Some((target, name)) if is_target(target) => {
                level(name).map(|level| targets.with_target(target, level))
            }
            Some(_) => None,
            None => level(directive).map(|level| targets.with_default(level)),
        };
        parsed.ok_or_else(|| {
            format!(
                "{directive:?} is not a level; write off, error, warn, info, debug or trace, alone or after the \
                 prefix of a target, such as \"info,tower_sigv4=debug\""
            )
        })
    })
}

fn is_target(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_:".contains(&byte);
    !name.is_empty() && name.bytes().all(is_allowed)
}

fn level(name: &str) -> Option<LevelFilter> {
    // `LevelFilter` also parses "" as "error", and "3" as "info".
    let is_word = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    name.parse().ok().filter(|_| is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_lists_of_levels() {
        for (filter, access, parsed) in [
            ("info", false, "access=off,info"),
            ("WARN", true, "access=info,warn"),
            (
                "tower_sigv4::sign=debug",
                false,
                "tower_sigv4::sign=debug,access=off,info",
            ),
            ("off, h2=trace ,error", false, "access=off,h2=trace,error"),
            ("warn,access=info", false, "access=info,warn"),
        ] {
            assert_eq!(
                parse_filter(filter, access).expect(filter).to_string(),
                parsed,
                "{filter}"
            );
        }
        for filter in [
            "", " ", "wran", "3", "info,", "=info", "a=", "a=b", "a=1", "a b=info", "[x]=info",
        ] {
            let error = parse_filter(filter, true).expect_err(filter);
            assert!(
                error.contains("is not a level; write off, error,"),
                "{filter}: {error}"
            );
        }
    }
}
