//! Carries out the operations of `table.py` in the form of `remote.py`. Argument: the name of the client.

mod aws_sdk;
mod object_store;

use std::{error::Error, io, path::PathBuf};

use serde_json::{Value, json};

type Outcome = Result<Value, Box<dyn Error + Send + Sync>>;

/// Call of an operation.
#[derive(Debug)]
enum Call {
    Put(String, PathBuf),
    Get(String, PathBuf),
    Head(String),
    List(String),
    Multipart(String, PathBuf),
    Copy(String, String),
    DeleteObjects(Vec<String>),
    PresignedGet(String),
    PresignedPut(String),
}

const PART: usize = 5 * 1024 * 1024;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

fn parse(line: &str) -> Result<Call, Box<dyn Error + Send + Sync>> {
    let call: Value = serde_json::from_str(line)?;
    let given = |index: usize| call["given"][index].as_str().unwrap_or_default().to_owned();
    let path = || PathBuf::from(given(1));
    Ok(match call["call"].as_str().unwrap_or_default() {
        "put" => Call::Put(given(0), path()),
        "get" => Call::Get(given(0), path()),
        "head" => Call::Head(given(0)),
        "list" => Call::List(given(0)),
        "multipart" => Call::Multipart(given(0), path()),
        "copy" => Call::Copy(given(0), given(1)),
        "delete_objects" => {
            let keys = call["given"][0].as_array().into_iter().flatten();
            Call::DeleteObjects(
                keys.filter_map(|key| Some(key.as_str()?.to_owned()))
                    .collect(),
            )
        }
        "presigned_get" => Call::PresignedGet(given(0)),
        "presigned_put" => Call::PresignedPut(given(0)),
        name => return Err(format!("unknown operation {name}").into()),
    })
}

/// Returns the message with those of all sources, which the clients leave out.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut messages = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        messages.push(cause.to_string());
        source = cause.source();
    }
    messages.join(": ")
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a provider is installed")?;
    let name = std::env::args().nth(1).unwrap_or_default();
    let sdk = aws_sdk::Client::new()?;
    let store = object_store::Client::new()?;
    for line in io::stdin().lines() {
        let call = parse(&line?)?;
        let outcome = match name.as_str() {
            "aws_sdk" => sdk.run(call).await,
            "object_store" => store.run(call).await,
            _ => Err(format!("unknown client {name}").into()),
        };
        let response = match outcome {
            Ok(result) => json!({ "result": result }),
            Err(error) => json!({ "error": chain(&*error) }),
        };
        println!("{response}");
    }
    Ok(())
}
