//! aws-sdk-s3.

use std::{error::Error, time::Duration};

use aws_sdk_s3::{
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    presigning::PresigningConfig,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier},
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use serde_json::{Value, json};

use crate::{Call, Outcome, PART, setting};

#[derive(Debug)]
pub(crate) struct Client {
    s3: aws_sdk_s3::Client,
    bucket: String,
}

impl Client {
    pub(crate) fn new() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let mut trusted = TrustStore::empty();
        let ca = setting("S3_CA");
        if !ca.is_empty() {
            trusted = trusted.with_pem_certificate(std::fs::read(ca)?);
        }
        let tls = TlsContext::builder().with_trust_store(trusted).build()?;
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls)
            .build_https();
        let credentials = Credentials::new(
            setting("S3_ACCESS_KEY"),
            setting("S3_SECRET_KEY"),
            None,
            None,
            "interop",
        );
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .endpoint_url(setting("S3_ENDPOINT"))
            .region(Region::new("us-east-1"))
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .force_path_style(true)
            .build();
        Ok(Self {
            s3: aws_sdk_s3::Client::from_conf(config),
            bucket: setting("S3_BUCKET"),
        })
    }

    pub(crate) async fn run(&self, call: Call) -> Outcome {
        let (s3, bucket) = (&self.s3, &self.bucket);
        match call {
            Call::Put(key, path) => {
                let body = ByteStream::from_path(path).await?;
                s3.put_object()
                    .bucket(bucket)
                    .key(key)
                    .body(body)
                    .send()
                    .await?;
            }
            Call::Get(key, path) => {
                let object = s3.get_object().bucket(bucket).key(key).send().await?;
                let mut body = object.body.into_async_read();
                tokio::io::copy(&mut body, &mut tokio::fs::File::create(path).await?).await?;
            }
            Call::Head(key) => {
                let object = s3.head_object().bucket(bucket).key(key).send().await?;
                return Ok(json!(object.content_length()));
            }
            Call::List(prefix) => return self.list(prefix).await,
            Call::Multipart(key, path) => {
                self.multipart(key, tokio::fs::read(path).await?).await?;
            }
            Call::Copy(source, target) => {
                let source = format!("{bucket}/{}", encode(&source));
                let copy = s3
                    .copy_object()
                    .bucket(bucket)
                    .key(target)
                    .copy_source(source);
                copy.send().await?;
            }
            Call::DeleteObjects(keys) => self.delete(keys).await?,
            Call::PresignedGet(key) => {
                let get = s3.get_object().bucket(bucket).key(key);
                return Ok(json!(get.presigned(lifetime()?).await?.uri()));
            }
            Call::PresignedPut(key) => {
                let put = s3.put_object().bucket(bucket).key(key);
                return Ok(json!(put.presigned(lifetime()?).await?.uri()));
            }
        }
        Ok(Value::Null)
    }

    async fn list(&self, prefix: String) -> Outcome {
        let list = self
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix);
        let mut pages = list.into_paginator().page_size(5).send();
        let mut keys = Vec::new();
        while let Some(page) = pages.next().await {
            keys.extend(
                page?
                    .contents()
                    .iter()
                    .filter_map(|object| object.key().map(str::to_owned)),
            );
        }
        Ok(json!(keys))
    }

    async fn multipart(
        &self,
        key: String,
        body: Vec<u8>,
    ) -> Result<(), Box<dyn Error + Send + Sync>> {
        let (s3, bucket) = (&self.s3, &self.bucket);
        let upload = s3
            .create_multipart_upload()
            .bucket(bucket)
            .key(&key)
            .send()
            .await?;
        let id = upload.upload_id().ok_or("no upload ID")?;
        let mut parts = CompletedMultipartUpload::builder();
        for (number, part) in (1..).zip(body.chunks(PART)) {
            let body = ByteStream::from(part.to_vec());
            let upload = s3
                .upload_part()
                .bucket(bucket)
                .key(&key)
                .upload_id(id)
                .part_number(number);
            let sent = upload.body(body).send().await?;
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(sent.e_tag)
                .set_checksum_crc32(sent.checksum_crc32);
            parts = parts.parts(part.build());
        }
        let complete = s3
            .complete_multipart_upload()
            .bucket(bucket)
            .key(&key)
            .upload_id(id);
        complete.multipart_upload(parts.build()).send().await?;
        Ok(())
    }

    async fn delete(&self, keys: Vec<String>) -> Result<(), Box<dyn Error + Send + Sync>> {
        let objects = keys
            .into_iter()
            .map(|key| ObjectIdentifier::builder().key(key).build());
        let delete = Delete::builder().set_objects(Some(objects.collect::<Result<_, _>>()?));
        let request = self
            .s3
            .delete_objects()
            .bucket(&self.bucket)
            .delete(delete.build()?);
        let response = request.send().await?;
        if response.errors().is_empty() {
            Ok(())
        } else {
            Err(format!("{:?}", response.errors()).into())
        }
    }
}

fn lifetime() -> Result<PresigningConfig, Box<dyn Error + Send + Sync>> {
    Ok(PresigningConfig::expires_in(Duration::from_secs(3600))?)
}

/// Encodes the source of a copy, which the SDK leaves to its users.
fn encode(key: &str) -> String {
    key.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
