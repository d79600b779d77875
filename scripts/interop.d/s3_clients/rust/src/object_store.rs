//! `object_store`, of Apache Arrow.

use std::{error::Error, time::Duration};

use futures_util::{StreamExt, TryStreamExt, stream};
use object_store::{
    Certificate, ClientOptions, ObjectStore, ObjectStoreExt, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, Checksum},
    path::Path,
    signer::Signer,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Call, Outcome, PART, setting};

const LIFETIME: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Client(AmazonS3);

impl Client {
    pub(crate) fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut options = ClientOptions::new()
            .with_allow_http(true)
            .with_allow_http2();
        let ca = setting("S3_CA");
        if !ca.is_empty() {
            options = options.with_root_certificate(Certificate::from_pem(&std::fs::read(ca)?)?);
        }
        let store = AmazonS3Builder::new()
            .with_endpoint(setting("S3_ENDPOINT"))
            .with_region("us-east-1")
            .with_bucket_name(setting("S3_BUCKET"))
            .with_access_key_id(setting("S3_ACCESS_KEY"))
            .with_secret_access_key(setting("S3_SECRET_KEY"))
            .with_checksum_algorithm(Checksum::SHA256)
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .with_client_options(options)
            .build()?;
        Ok(Self(store))
    }

    pub(crate) async fn run(&self, call: Call) -> Outcome {
        let store = &self.0;
        match call {
            Call::Put(key, path) => {
                store
                    .put(&Path::parse(key)?, tokio::fs::read(path).await?.into())
                    .await?;
            }
            Call::Get(key, path) => {
                let mut body = store.get(&Path::parse(key)?).await?.into_stream();
                let mut file = tokio::fs::File::create(path).await?;
                while let Some(bytes) = body.try_next().await? {
                    tokio::io::copy(&mut &*bytes, &mut file).await?;
                }
            }
            Call::Head(key) => return Ok(json!(store.head(&Path::parse(key)?).await?.size)),
            Call::List(prefix) => {
                let prefix = Path::parse(prefix)?;
                let found: Vec<_> = store.list(Some(&prefix)).try_collect().await?;
                let keys: Vec<_> = found
                    .iter()
                    .map(|object| object.location.as_ref())
                    .collect();
                return Ok(json!(keys));
            }
            Call::Multipart(key, path) => {
                let mut upload = store.put_multipart(&Path::parse(key)?).await?;
                for part in tokio::fs::read(path).await?.chunks(PART) {
                    upload.put_part(part.to_vec().into()).await?;
                }
                upload.complete().await?;
            }
            Call::Copy(source, target) => {
                store
                    .copy(&Path::parse(source)?, &Path::parse(target)?)
                    .await?;
            }
            Call::DeleteObjects(keys) => {
                let paths: Vec<_> = keys.iter().map(Path::parse).collect::<Result<_, _>>()?;
                let paths = stream::iter(paths).map(Ok).boxed();
                store.delete_stream(paths).try_collect::<Vec<_>>().await?;
            }
            Call::PresignedGet(key) => return self.presigned(Method::GET, key).await,
            Call::PresignedPut(key) => return self.presigned(Method::PUT, key).await,
        }
        Ok(Value::Null)
    }

    async fn presigned(&self, method: Method, key: String) -> Outcome {
        let url = self
            .0
            .signed_url(method, &Path::parse(key)?, LIFETIME)
            .await?;
        Ok(json!(url.as_str()))
    }
}
