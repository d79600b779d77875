//! The command line.

use std::{env, net::SocketAddr};

use lexopt::{Arg, Parser, ValueExt};

const HELP: &str = "\
Signs HTTP requests with AWS Signature Version 4 and forwards them.

Usage: sigv4-gateway [--listen ADDRESS]                  run the demonstration
       sigv4-gateway --config FILE [--listen ADDRESS]    forward requests
       sigv4-gateway --config FILE --check [--credentials]
                                                         check FILE and exit
       sigv4-gateway --config FILE --print-config        print FILE with what it includes, without secrets
       sigv4-gateway --explain FILE [--secret-env NAME]  explain a rejected signature
       sigv4-gateway --init [FILE]                       write a commented configuration
       sigv4-gateway --init [FILE] --s3                  write one for S3 and its clients
       sigv4-gateway --print-schema                      print the configuration's JSON Schema

  --config FILE     configuration in TOML, documented in docs/gateway.md; default: the file named by the
                    environment variable SIGV4_GATEWAY_CONFIG
  --check           check the configuration and exit
  --credentials     with --check: get the credentials of each identity once, and print their source and expiry
  --print-config    print the configuration with the files that it includes, without secrets
  --explain FILE    response that rejects a signature, with its request if possible: the output of
                    curl -v ... >FILE 2>&1 or curl -i ... >FILE, a HAR file of a browser, a debug log of
                    an SDK, or a raw request or a curl command followed by the response; - reads
                    standard input
  --secret-env NAME with --explain: check the signature with the secret access key in this environment
                    variable; default: AWS_SECRET_ACCESS_KEY, if AWS_ACCESS_KEY_ID is that of the request
  --init [FILE]     file to write, default gateway.toml; - prints the configuration; with --s3 for a
                    gateway before S3 or a server of its protocol
  --print-schema    schema for editors that complete TOML
  --listen ADDRESS  address to listen on, such as 127.0.0.1:8080; port 0 chooses a free port
  --help, --version";

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
        credentials: bool,
    },
    Explain {
        file: String,
        /// Environment variable with the secret access key.
        secret_env: Option<String>,
    },
    Init {
        file: String,
        s3: bool,
    },
    PrintConfig {
        file: String,
    },
    PrintSchema,
}

/// Parses the arguments of this process, and the environment variable that replaces `--config`.
pub(crate) fn parse() -> Result<Command, lexopt::Error> {
    let file = env::var_os("SIGV4_GATEWAY_CONFIG").filter(|file| !file.is_empty());
    parse_from(Parser::from_env(), file.map(ValueExt::string).transpose()?)
}

fn parse_from(mut parser: Parser, mut file: Option<String>) -> Result<Command, lexopt::Error> {
    let mut check = false;
    let mut credentials = false;
    let mut print_config = false;
    let mut init = None;
    let mut s3 = false;
    let mut listen = None;
    let mut explain = None;
    let mut secret_env = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Arg::Long("config") => file = Some(parser.value()?.string()?),
            Arg::Long("check") => check = true,
            Arg::Long("credentials") => credentials = true,
            Arg::Long("print-config") => print_config = true,
            Arg::Long("explain") => explain = Some(parser.value()?.string()?),
            Arg::Long("secret-env") => secret_env = Some(parser.value()?.string()?),
            Arg::Long("init") => {
                let value = parser.optional_value().map(ValueExt::string);
                init = Some(value.transpose()?);
            }
            Arg::Long("s3") if init.is_some() => s3 = true,
            Arg::Value(value) if init == Some(None) => init = Some(Some(value.string()?)),
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
    if let Some(saved) = explain {
        return Ok(Command::Explain {
            file: saved,
            secret_env,
        });
    }
    if secret_env.is_some() {
        return Err("--secret-env needs --explain FILE".into());
    }
    if credentials && !check {
        return Err("--credentials needs --check".into());
    }
    if let Some(target) = init {
        if check || listen.is_some() {
            return Err("--init takes a file and --s3 only".into());
        }
        let default = || "gateway.toml".to_owned();
        return Ok(Command::Init {
            file: target.unwrap_or_else(default),
            s3,
        });
    }
    if print_config {
        if check || listen.is_some() {
            return Err("--print-config takes --config FILE only".into());
        }
        return match file {
            Some(path) => Ok(Command::PrintConfig { file: path }),
            None => Err("--print-config needs --config FILE".into()),
        };
    }
    match (file, check) {
        (Some(path), true) => Ok(Command::Check {
            file: path,
            credentials,
        }),
        (Some(path), false) => Ok(Command::Forward { file: path, listen }),
        (None, false) => Ok(Command::Demo { listen }),
        (None, true) => Err("--check needs --config FILE".into()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Command, lexopt::Error> {
        parse_from(Parser::from_args(arguments), None)
    }

    #[test]
    fn environment_variable_replaces_config_argument() {
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
                file: "b.toml".to_owned(),
                credentials: false,
            }
        );
    }

    #[test]
    fn documented_usages_are_parsed() {
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
            (
                &["--config=a.toml", "--check"],
                Command::Check {
                    file: file.clone(),
                    credentials: false,
                },
            ),
            (
                &["--config=a.toml", "--check", "--credentials"],
                Command::Check {
                    file,
                    credentials: true,
                },
            ),
            (
                &["--explain", "-"],
                Command::Explain {
                    file: "-".to_owned(),
                    secret_env: None,
                },
            ),
            (
                &["--secret-env", "SECRET", "--explain", "-"],
                Command::Explain {
                    file: "-".to_owned(),
                    secret_env: Some("SECRET".to_owned()),
                },
            ),
            (
                &["--init"],
                Command::Init {
                    file: "gateway.toml".to_owned(),
                    s3: false,
                },
            ),
            (
                &["--init", "--s3"],
                Command::Init {
                    file: "gateway.toml".to_owned(),
                    s3: true,
                },
            ),
            (
                &["--init", "-", "--s3"],
                Command::Init {
                    file: "-".to_owned(),
                    s3: true,
                },
            ),
            (
                &["--init", "--s3", "-"],
                Command::Init {
                    file: "-".to_owned(),
                    s3: true,
                },
            ),
            (
                &["--init=-"],
                Command::Init {
                    file: "-".to_owned(),
                    s3: false,
                },
            ),
            (
                &["--init", "-"],
                Command::Init {
                    file: "-".to_owned(),
                    s3: false,
                },
            ),
            (&["--print-schema"], Command::PrintSchema),
            (&["-h"], Command::Print(HELP)),
        ] {
            assert_eq!(parse(arguments).unwrap(), command, "{arguments:?}");
        }
        for arguments in [
            &["--check"][..],
            &["--config=a.toml", "--credentials"],
            &["--listen", "8080"],
            &["--config"],
            &["--explain"],
            &["--secret-env", "SECRET"],
            &["--init", "--check"],
            &["--init", "a", "b"],
            &["--init", "--listen", "127.0.0.1:0"],
            &["--s3"],
            &["x"],
            &["--x"],
        ] {
            assert!(parse(arguments).is_err(), "{arguments:?}");
        }
    }

    /// Long options in a text, where `marker` comes before each name.
    fn options(text: &str, marker: &str) -> BTreeSet<String> {
        let name = |rest: &str| {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            rest[..end.unwrap_or(rest.len())].to_owned()
        };
        let mut names: BTreeSet<_> = text.split(marker).skip(1).map(name).collect();
        names.remove("");
        names
    }

    #[test]
    fn man_page_and_completions_have_the_options_of_help() {
        let help = options(HELP, "--");
        assert!(help.contains("config") && help.contains("print-schema"));
        for name in &help {
            // An option that needs a value or another option is an error, but not an unknown option.
            let parsed =
                parse(&["--init", &format!("--{name}")]).map_err(|error| error.to_string());
            assert!(
                !matches!(&parsed, Err(error) if error.contains("invalid option")),
                "{name}: {parsed:?}"
            );
        }
        let man = include_str!("../deploy/sigv4-gateway.1").replace("\\-", "-");
        let (synopsis, description) = man.split_once(".SH OPTIONS").unwrap();
        let bash = include_str!("../deploy/completions/sigv4-gateway.bash");
        let (_, bash) = bash.split_once("local options=").unwrap();
        for (place, found) in [
            ("options of the man page", options(description, "--")),
            ("bash", options(bash.replace("-- ", "").as_str(), "--")),
            (
                "zsh",
                options(include_str!("../deploy/completions/_sigv4-gateway"), "--"),
            ),
            (
                "fish",
                options(
                    include_str!("../deploy/completions/sigv4-gateway.fish"),
                    "-l ",
                ),
            ),
        ] {
            assert_eq!(found, help, "{place}");
        }
        let (usage, _) = HELP.split_once("\n\n  --").unwrap();
        assert_eq!(options(synopsis, "--"), options(usage, "--"), "synopsis");
    }
}
