//! The command line.

use std::{env, net::SocketAddr};

use lexopt::{Arg, Parser, ValueExt};

const HELP: &str = "\
Signs HTTP requests with AWS Signature Version 4 and forwards them.

Usage: sigv4-gateway [--listen ADDRESS]                  demonstration, nothing to set up
       sigv4-gateway --config FILE [--listen ADDRESS]    forward as FILE says
       sigv4-gateway --config FILE --check               check FILE and exit
       sigv4-gateway --explain FILE                      say why a signature was refused
       sigv4-gateway --init [FILE]                       write a configuration to begin with
       sigv4-gateway --print-schema                      print the configuration's JSON Schema

  --config FILE     configuration, TOML; docs/gateway.md has it. Without it, the file that the
                    variable SIGV4_GATEWAY_CONFIG names
  --check           check the configuration and exit
  --explain FILE    an answer that refuses a signature, with its request if possible, as saved by
                    curl -v ... >FILE 2>&1 or curl -i ... >FILE, or behind a raw request or a curl command;
                    - reads standard input
  --init [FILE]     a commented configuration, gateway.toml by default; - prints it
  --print-schema    for editors that complete TOML
  --listen ADDRESS  listen here, such as 127.0.0.1:8080; port 0 picks a free one
  --help, --version";

/// What to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    Print(&'static str),
    Demo {
        listen: Option<SocketAddr>,
    },
    Forward {
        file: String,
        listen: Option<SocketAddr>,
    },
    Check {
        file: String,
    },
    Explain {
        file: String,
    },
    Init {
        file: String,
    },
    PrintSchema,
}

/// Reads this process's arguments, and the variable that stands in for one.
pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let file = env::var_os("SIGV4_GATEWAY_CONFIG").filter(|file| !file.is_empty());
    parse_from(Parser::from_env(), file.map(ValueExt::string).transpose()?)
}

fn parse_from(mut parser: Parser, mut file: Option<String>) -> Result<Command, lexopt::Error> {
    let (mut check, mut listen) = (false, None);
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("config") => file = Some(parser.value()?.string()?),
            Arg::Long("check") => check = true,
            Arg::Long("explain") => {
                return Ok(Command::Explain {
                    file: parser.value()?.string()?,
                });
            }
            Arg::Long("init") => {
                // A value is optional, and an option is none.
                let file = match parser.optional_value() {
                    Some(file) => file.string()?,
                    None => match parser.next()? {
                        None => "gateway.toml".to_owned(),
                        Some(Arg::Value(file)) => file.string()?,
                        Some(other) => return Err(other.unexpected()),
                    },
                };
                return Ok(Command::Init { file });
            }
            Arg::Long("print-schema") => return Ok(Command::PrintSchema),
            Arg::Long("listen") => listen = Some(parser.value()?.parse()?),
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Print(HELP)),
            Arg::Short('V') | Arg::Long("version") => {
                return Ok(Command::Print(concat!(
                    "sigv4-gateway ",
                    env!("CARGO_PKG_VERSION")
                )));
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
        parse_from(Parser::from_args(arguments), None)
    }

    #[test]
    fn a_variable_names_the_file_where_no_argument_does() {
        let parse = |arguments: &[&str]| {
            parse_from(Parser::from_args(arguments), Some("b.toml".to_owned()))
        };
        let forward = |file: &str| Command::Forward {
            file: file.to_owned(),
            listen: None,
        };
        assert_eq!(parse(&[]).unwrap(), forward("b.toml"));
        assert_eq!(parse(&["--config", "a.toml"]).unwrap(), forward("a.toml"));
        assert_eq!(
            parse(&["--check"]).unwrap(),
            Command::Check {
                file: "b.toml".to_owned()
            }
        );
    }

    #[test]
    fn each_usage_is_understood() {
        let listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let file = "a.toml".to_owned();
        for (arguments, command) in [
            (&[][..], Command::Demo { listen: None }),
            (&["--listen", "127.0.0.1:0"], Command::Demo { listen }),
            (
                &["--config", "a.toml"],
                Command::Forward {
                    file: file.clone(),
                    listen: None,
                },
            ),
            (&["--config=a.toml", "--check"], Command::Check { file }),
            (
                &["--explain", "-"],
                Command::Explain {
                    file: "-".to_owned(),
                },
            ),
            (
                &["--init"],
                Command::Init {
                    file: "gateway.toml".to_owned(),
                },
            ),
            (
                &["--init", "-"],
                Command::Init {
                    file: "-".to_owned(),
                },
            ),
            (&["--print-schema"], Command::PrintSchema),
            (&["-h"], Command::Print(HELP)),
        ] {
            assert_eq!(parse(arguments).unwrap(), command, "{arguments:?}");
        }
        for arguments in [
            &["--check"][..],
            &["--listen", "8080"],
            &["--config"],
            &["--explain"],
            &["--init", "--check"],
            &["x"],
            &["--x"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }
}
