//! Writes a commented configuration.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
};

use crate::{BoxError, print};

const TEMPLATE: &str = include_str!("gateway.toml");

/// Writes the configuration to a new file; `-` prints it.
pub(crate) fn write(file: &str) -> Result<(), BoxError> {
    if file == "-" {
        drop(write!(io::stdout(), "{TEMPLATE}"));
        return Ok(());
    }
    let mut created = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{file} exists and was not changed; choose another with --init FILE")
        }
        _ => format!("cannot write {file}: {error}"),
    })?;
    created
        .write_all(TEMPLATE.as_bytes())
        .map_err(|error| format!("cannot write {file}: {error}"))?;
    print(format_args!(
        "wrote {file}. Set url and region in it, then\n  \
         sigv4-gateway --config {file} --check\n  \
         sigv4-gateway --config {file}"
    ));
    Ok(())
}
