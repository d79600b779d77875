//! Builds the changes of headers.

use tower_sigv4::origin::OwnHeaders;

use super::scope::may_be_s3;
use crate::{
    config::{ClientAuthorization, ConfigError, OriginSection, RouteSection},
    header_edits::{RequestEdits, ResponseEdits},
};

/// Returns the changes of requests, if there are any.
pub(super) fn request_edits(
    route: &RouteSection,
    origin: &OriginSection,
) -> Result<Option<RequestEdits>, ConfigError> {
    let changes = route.request_headers.changes()?;
    let authorization = route.client_authorization()?;
    if let Some(setting) = &route.authorization
        && authorization != ClientAuthorization::Drop
        && !origin.signs_always()
    {
        return Err(setting.error(
            "authorization needs an origin that always signs; set signing = \"always\" of the origin, or remove \
             authorization",
        ));
    }
    if let Some(setting) = &route.authorization
        && authorization == ClientAuthorization::Keep
    {
        if origin.query_signature()?.is_none() {
            return Err(setting.error(
                "\"keep\" needs the header authorization for the client; set signature = \"query\" of the origin, or \
                 write \"move:x-client-authorization\"",
            ));
        }
        if may_be_s3(origin)? {
            return Err(setting.error(
                "S3 rejects requests with authorization and a signature in the query; write \"drop\", or \
                 \"move:x-client-authorization\"",
            ));
        }
    }
    let moved_authorization = match authorization {
        ClientAuthorization::Move(name) => {
            let set = changes.set.iter().map(|(target, _)| target);
            let copied = changes.copy.iter().map(|(target, _)| target);
            let mut others = set.chain(copied).chain(&changes.remove);
            if let Some(setting) = &route.authorization
                && others.any(|other| *other == name)
            {
                return Err(setting.error(format!(
                    "{name} is in request_headers, too; choose another name"
                )));
            }
            Some(name)
        }
        ClientAuthorization::Drop | ClientAuthorization::Keep => None,
    };
    let edits = RequestEdits {
        own: OwnHeaders::new(changes.set.iter().map(|(name, _)| name.clone())),
        remove: changes.remove,
        copy: changes.copy,
        set: changes.set,
        add: changes.add,
        moved_authorization,
    };
    Ok((!edits.is_empty()).then_some(edits))
}

/// Returns the changes of responses.
pub(super) fn response_edits(route: &RouteSection) -> Result<ResponseEdits, ConfigError> {
    let changes = route.response_headers.changes()?;
    Ok(ResponseEdits {
        remove: changes.remove,
        set: changes.set,
        add: changes.add,
    })
}
