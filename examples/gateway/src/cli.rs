//! The command line.

use std::net::SocketAddr;

use lexopt::{Arg, Parser, ValueExt};

const HELP: &str = "\
Signs HTTP requests with AWS Signature Version 4 and forwards them.

Usage: sigv4-gateway [--listen ADDRESS]                  demonstration, nothing to set up
       sigv4-gateway --config FILE [--listen ADDRESS]    forward as FILE says
       sigv4-gateway --config FILE --check               check FILE and exit
       sigv4-gateway --explain FILE                      say why a signature was refused

  --config FILE     configuration, TOML; the README describes it
  --check           check the configuration and exit
  --explain FILE    an answer that refuses a signature, with its request if possible, as saved by
                    curl -v ... >FILE 2>&1 or curl -i ... >FILE; - reads standard input
  --listen ADDRESS  listen here, such as 127.0.0.1:8080; port 0 picks a free one
  --help, --version";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Print(&'static str),
    Demo { listen: Option<SocketAddr> },
    Forward { file: String, listen: Option<SocketAddr> },
    Check { file: String },
    Explain { file: String },
}

/// Reads this process's arguments.
pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    parse_from(Parser::from_env())
}

fn parse_from(mut parser: Parser) -> Result<Command, lexopt::Error> {
    let (mut file, mut check, mut listen) = (None, false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("config") => file = Some(parser.value()?.string()?),
            Arg::Long("check") => check = true,
            Arg::Long("explain") => {
                return Ok(Command::Explain { file: parser.value()?.string()? });
            }
            Arg::Long("listen") => listen = Some(parser.value()?.parse()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(HELP)),
            Arg::Short('V') | Arg::Long("version") => {
                return Ok(Command::Print(concat!("sigv4-gateway ", env!("CARGO_PKG_VERSION"))));
            }
            other => return Err(other.unexpected()),
        }
    }
    match (file, check) {
        (Some(file), true) => Ok(Command::Check { file }),
        (Some(file), false) => Ok(Command::Forward { file, listen }),
        (None, false) => Ok(Command::Demo { listen }),
        (None, true) => Err("--check needs --config FILE".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, lexopt::Error> {
        parse_from(Parser::from_args(arguments))
    }

    #[test]
    fn each_usage_is_understood() {
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let file = "a.toml".to_owned();
        for (arguments, command) in [
            (&[][..], Command::Demo { listen: None }),
            (&["--listen", "127.0.0.1:0"], Command::Demo { listen }),
            (&["--config", "a.toml"], Command::Forward { file: file.clone(), listen: None }),
            (&["--config=a.toml", "--check"], Command::Check { file }),
            (&["--explain", "-"], Command::Explain { file: "-".to_owned() }),
            (&["-h"], Command::Print(HELP)),
        ] {
            assert_eq!(parse(arguments).unwrap(), command, "{arguments:?}");
        }
        for arguments in [
            &["--check"][..],
            &["--listen", "8080"],
            &["--config"],
            &["--explain"],
            &["x"],
            &["--x"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
