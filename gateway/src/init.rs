//! A configuration to begin with.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
};

use crate::{BoxError, tell};

const BEGINNING: &str = include_str!("gateway.toml");

/// Writes it to a file that is not there yet, or prints it.
pub(crate) fn write(file: &str) -> Result<(), BoxError> {
    if file == "-" {
        drop(write!(io::stdout(), "{BEGINNING}"));
        return Ok(());
    }
    let mut created = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{file} exists and is left as it is; name another with --init FILE")
        }
        _ => format!("cannot write {file}: {error}"),
    })?;
    created
        .write_all(BEGINNING.as_bytes())
        .map_err(|error| format!("cannot write {file}: {error}"))?;
    tell(format_args!(
        "wrote {file}. Set url and region in it, then\n  \
         sigv4-gateway --config {file} --check\n  \
         sigv4-gateway --config {file}"
    ));
    Ok(())
}
