mod algorithms;
mod forms;
mod headers;
pub(crate) mod keys;
mod payloads;
mod signatures;

use std::collections::HashSet;

use self::keys::Keys;
use crate::bearer;

#[tokio::test]
async fn hostile_tokens_are_rejected() {
    let keys = Keys::new();
    let verifier = keys.verifier();
    let rows = [
        keys.algorithms(),
        keys.headers(),
        keys.payloads(),
        keys.signatures(),
        keys.forms(),
    ]
    .concat();
    let names: HashSet<_> = rows.iter().map(|(name, ..)| name).collect();
    assert_eq!(names.len(), rows.len());
    assert!(rows.len() >= 180, "{}", rows.len());
    for (name, token, expected) in &rows {
        let rejection = verifier.verify(&bearer(token)).await.expect_err(name);
        assert_eq!(rejection.kind(), *expected, "{name}: {rejection}");
        let status = rejection.kind().status();
        assert_eq!(status, 401, "{name}");
        // Nothing of the token is repeated.
        let text = format!("{rejection:?} {:?}", rejection.to_response());
        for part in token.split('.').filter(|part| part.len() > 8) {
            assert!(!text.contains(part), "{name}");
        }
        assert!(!text.contains("evil"), "{name}");
    }
}
