//! Entries of `allow`.

use http::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::{error::ConfigError, list::OneOrMany, route::method, value::Spanned};

/// An entry of `allow`: `"ROUTE"`, `"ROUTE:METHODS"`, `"ROUTE:METHODS:BUCKET/KEY"`, or a table.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AllowSection {
    /// Name of a route, or `"*"` for all.
    route: Spanned<String>,
    methods: Option<OneOrMany>,
    /// Patterns of buckets and keys, such as `"bucket-a/reports/**"`.
    objects: Option<OneOrMany>,
    #[serde(skip)]
    is_text: bool,
}

impl From<Spanned<String>> for AllowSection {
    fn from(text: Spanned<String>) -> Self {
        Self {
            route: text,
            methods: None,
            objects: None,
            is_text: true,
        }
    }
}

impl AllowSection {
    /// Returns the name of the route, or `"*"`.
    pub(crate) fn route(&self) -> Spanned<String> {
        match self.parts() {
            Some((route, _)) => route,
            None => self.route.clone(),
        }
    }

    /// Returns the methods, or `None` for all.
    pub(crate) fn methods(&self) -> Result<Option<Vec<Method>>, ConfigError> {
        let names: Vec<Spanned<String>> = match (&self.methods, self.parts()) {
            (Some(list), _) => list.as_slice().to_vec(),
            (None, Some((_, rest))) => {
                let listed = rest.get_ref().split(':').next().unwrap_or_default();
                listed
                    .split(',')
                    .map(|name| Spanned::new(self.route.span(), name.trim().to_owned()))
                    .collect()
            }
            (None, None) => return Ok(None),
        };
        if names.is_empty() {
            let message = "methods is empty, so the entry allows no request; name a method";
            return Err(self.route.error(message));
        }
        if let [only] = names.as_slice()
            && only.get_ref() == "*"
        {
            return Ok(None);
        }
        names.iter().map(method).collect::<Result<_, _>>().map(Some)
    }

    /// Returns the patterns of buckets and keys, or `None` for everything on the route.
    pub(crate) fn objects(&self) -> Result<Option<Vec<Spanned<String>>>, ConfigError> {
        match (&self.objects, self.parts()) {
            (Some(list), _) if list.as_slice().is_empty() => {
                Err(list.error("objects is empty, so the entry allows no request; name a pattern"))
            }
            (Some(list), _) => Ok(Some(list.as_slice().to_vec())),
            (None, Some((_, rest))) => {
                let pattern = rest.get_ref().split_once(':');
                Ok(pattern
                    .map(|(_, objects)| vec![Spanned::new(self.route.span(), objects.to_owned())]))
            }
            (None, None) => Ok(None),
        }
    }

    /// Splits an entry that is a string into the route and the rest behind the first colon.
    fn parts(&self) -> Option<(Spanned<String>, Spanned<String>)> {
        let (route, rest) = self.route.get_ref().split_once(':')?;
        let part = |text: &str| Spanned::new(self.route.span(), text.to_owned());
        self.is_text.then(|| (part(route), part(rest)))
    }
}
