//! Forms of browsers that upload a file with a signed policy.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use tower_sigv4::{
    SigningSettings,
    sigv4::{Identity, Payload, PostPolicy, SigningParams},
};

const BOUNDARY: &str = "boundary-1";

/// A form, to be changed after its policy is signed.
#[derive(Clone, Debug)]
pub struct Form {
    pub target: String,
    pub host: String,
    pub fields: Vec<(String, String)>,
    pub file_name: String,
    pub file: String,
}

impl Form {
    /// Signs a policy for a bucket and the beginning of keys.
    pub fn signed(key: (&str, &str), region: &str, bucket: &str, prefix: &str) -> Self {
        let any = [
            "acl",
            "Cache-Control",
            "Content-MD5",
            "Content-Type",
            "Expires",
            "tagging",
            "success_action_status",
            "success_action_redirect",
        ]
        .into_iter()
        .chain(["x-amz-meta-name", "x-amz-copy-source", "submit"]);
        let mut policy = PostPolicy::new(
            bucket,
            &format!("{prefix}${{filename}}"),
            Duration::from_secs(600),
        )
        .and_then(|policy| policy.with_content_length(2..=100))
        .expect("valid");
        for name in any {
            policy = policy.add_starts_with(name, "").expect("valid");
        }
        let credentials = Credentials::new(key.0, key.1, None, None, "test");
        let identity = Identity::new(credentials).expect("valid");
        let settings = SigningSettings::new("s3", region).expect("valid");
        let params = SigningParams::new(&settings, &identity, Payload::Unsigned, SystemTime::now());
        Self {
            target: format!("/{bucket}"),
            host: "gw.example.com".to_owned(),
            fields: policy.sign(&params).expect("signed").fields().to_vec(),
            file_name: "photo.png".to_owned(),
            file: "content".to_owned(),
        }
    }

    /// Sets a field in front of the others.
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.fields.retain(|(other, _)| other != name);
        self.fields.insert(0, (name.to_owned(), value.to_owned()));
        self
    }

    pub fn text(&self) -> String {
        self.request(&self.body())
    }

    pub fn body(&self) -> String {
        let mut body = String::new();
        for (name, value) in &self.fields {
            body += &format!(
                "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
            );
        }
        body + &format!(
            "--{BOUNDARY}\r\ncontent-disposition: form-data; name=\"file\"; filename=\"{}\"\r\n\
             content-type: image/png\r\n\r\n{}\r\n--{BOUNDARY}--\r\n",
            self.file_name, self.file
        )
    }

    /// Returns the request with this body.
    pub fn request(&self, body: &str) -> String {
        let Self { target, host, .. } = self;
        format!(
            "POST {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-type: multipart/form-data; boundary={BOUNDARY}\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
