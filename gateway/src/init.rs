//! Writes a commented configuration.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
};

use crate::{BoxError, print};

const TEMPLATE: &str = include_str!("gateway.toml");
const S3_TEMPLATE: &str = include_str!("gateway_s3.toml");

/// Writes the configuration, for S3 or for any service, to a new file; `-` prints it.
pub(crate) fn write(file: &str, s3: bool) -> Result<(), BoxError> {
    let template = if s3 { S3_TEMPLATE } else { TEMPLATE };
    if file == "-" {
        drop(write!(io::stdout(), "{template}"));
        return Ok(());
    }
    let mut created = File::create_new(file).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => {
            format!("{file} exists and was not changed; choose another with --init FILE")
        }
        _ => format!("cannot write {file}: {error}"),
    })?;
    created
        .write_all(template.as_bytes())
        .map_err(|error| format!("cannot write {file}: {error}"))?;
    print(format_args!(
        "wrote {file}. Set url and region in it, then\n  \
         sigv4-gateway --config {file} --check\n  \
         sigv4-gateway --config {file}"
    ));
    Ok(())
}
