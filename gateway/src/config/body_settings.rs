//! Settings of bodies, which a route and its origin share.

use bytesize::ByteSize;
use tower_sigv4::sigv4::Checksum;

use super::{
    bodies::{BodiesSection, Payload},
    error::ConfigError,
    origin::OriginSection,
    quantity::Size,
    route::RouteSection,
    value::Spanned,
};

/// Settings of bodies, from a route and its origin.
pub(crate) struct BodySettings<'a> {
    /// `None` for the service's default.
    pub(crate) payload: Option<Payload>,
    pub(crate) checksum: Checksum,
    /// Maximum size of a body in memory, in bytes.
    pub(crate) limit: u64,
    pub(crate) spool_limit: Option<u64>,
    origin: &'a OriginSection,
    route: Option<&'a RouteSection>,
}

impl<'a> BodySettings<'a> {
    /// Default of `body_limit`, if `memory` is not smaller.
    const BODY_LIMIT: ByteSize = ByteSize::mib(16);

    pub(crate) fn new(
        bodies: &BodiesSection,
        origin: &'a OriginSection,
        route: Option<&'a RouteSection>,
    ) -> Self {
        let body_limit = limit_setting(origin, route);
        let payload = route_setting(route, |section| &section.payload).or(origin.payload.as_ref());
        Self {
            payload: payload.map(Spanned::get),
            checksum: origin
                .checksum
                .as_ref()
                .map_or(Checksum::Crc32, |name| name.get().into()),
            limit: body_limit
                .map_or(Self::BODY_LIMIT.min(bodies.memory.0), |size| size.get().0)
                .as_u64(),
            spool_limit: origin
                .spool_limit
                .as_ref()
                .map(|size| size.get().0.as_u64()),
            origin,
            route,
        }
    }

    /// Rejects settings that contradict each other, the service, or `[bodies]`.
    pub(crate) fn check(&self, bodies: &BodiesSection, s3_family: bool) -> Result<(), ConfigError> {
        let Self {
            payload,
            origin,
            route,
            ..
        } = *self;
        let route_payload = route_setting(route, |section| &section.payload);
        if payload.is_some_and(Payload::is_chunked) && !s3_family {
            let span = route_payload.map_or_else(|| origin.service_span(), Spanned::span);
            let message = "only service \"s3\" and its family accept chunked payloads; \
                           choose another payload";
            return Err(ConfigError::at(span, message));
        }
        if let Some(checksum) = &origin.checksum
            && route_payload.is_none()
            && !payload.is_some_and(Payload::has_trailer)
        {
            return Err(checksum
                .error("checksum needs payload \"chunked-trailer\" or \"unsigned-trailer\""));
        }
        let body_limit = limit_setting(origin, route);
        if let Some(excess) = body_limit.filter(|size| size.get().0 > bodies.memory.0) {
            return Err(excess.error(format!(
                "body_limit {} exceeds the memory that all bodies share, {}; raise memory in [bodies]",
                excess.get().0,
                bodies.memory.0
            )));
        }
        if bodies.spool_directory.is_some() {
            return Ok(());
        }
        if payload == Some(Payload::Spool) {
            let span = route_payload.or(origin.payload.as_ref()).map(Spanned::span);
            let message = "payload \"spool\" needs a spool_directory in [bodies]";
            return Err(ConfigError::at(span.unwrap_or(origin.name.span()), message));
        }
        if let Some(spool_limit) = &origin.spool_limit {
            return Err(spool_limit.error("spool_limit needs a spool_directory in [bodies]"));
        }
        Ok(())
    }
}

fn limit_setting<'a>(
    origin: &'a OriginSection,
    route: Option<&'a RouteSection>,
) -> Option<&'a Spanned<Size>> {
    route_setting(route, |section| &section.body_limit).or(origin.body_limit.as_ref())
}

fn route_setting<'a, T>(
    route: Option<&'a RouteSection>,
    setting: impl FnOnce(&'a RouteSection) -> &'a Option<T>,
) -> Option<&'a T> {
    route.and_then(|section| setting(section).as_ref())
}
