//! Log filter: a default level, and levels for targets by prefix.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// Parses a filter such as `info,tower_sigv4=debug`. `access` enables the access log unless the filter has its level.
pub(crate) fn parse_filter(filter: &str, access: bool) -> Result<Targets, String> {
    let access_level = if access {
        LevelFilter::INFO
    } else {
        LevelFilter::OFF
    };
    let mut default_level = LevelFilter::INFO;
    let mut targets = Vec::new();
    for directive in filter.split(',').map(str::trim) {
        let parsed = match directive.split_once('=') {
            Some((target, name)) if is_target(target) => {
                level(name).map(|level| targets.push((target, level)))
            }
            Some(_) => None,
            None => level(directive).map(|level| default_level = level),
        };
        parsed.ok_or_else(|| {
            format!(
                "{directive:?} is not a level; write off, error, warn, info, debug or trace, alone or after the \
                 prefix of a target, such as \"info,tower_sigv4=debug\""
            )
        })?;
    }
    let mut defaults = Targets::new()
        .with_default(default_level)
        .with_target("access", access_level);
    // h2 warns of each invalid frame, so that a client could fill the log.
    if default_level <= LevelFilter::INFO {
        defaults = defaults.with_target("h2", default_level.min(LevelFilter::ERROR));
    }
    // The SDK reports each refresh of credentials.
    if default_level == LevelFilter::INFO {
        defaults = defaults.with_target("aws_config", LevelFilter::WARN);
    }
    Ok(defaults.with_targets(targets))
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
            ("info", false, "aws_config=warn,access=off,h2=error,info"),
            ("WARN", true, "access=info,h2=error,warn"),
            (
                "tower_sigv4::sign=debug",
                false,
                "tower_sigv4::sign=debug,aws_config=warn,access=off,h2=error,info",
            ),
            ("off, h2=trace ,error", false, "access=off,h2=trace,error"),
            ("off", false, "access=off,h2=off,off"),
            ("debug", false, "access=off,debug"),
            ("warn,access=info", false, "access=info,h2=error,warn"),
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
