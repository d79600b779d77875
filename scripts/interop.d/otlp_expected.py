"""Requests to the gateway, and their spans by OpenTelemetry's conventions for HTTP."""

import dataclasses

from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

HOST, USER_AGENT = "api.example.com", "interop/1"
RESOURCE = {"service.name": "orders-gateway", "deployment.environment.name": "test"}
SCOPE = "tower-sigv4-gateway"
INTERNAL, SERVER, CLIENT = Span.SPAN_KIND_INTERNAL, Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CLIENT


@dataclasses.dataclass
class Request:
    """A request, and the results that its spans show."""

    name: str
    method: str
    path: str
    status: int
    route: str = f"{HOST}/orders"
    headers: dict = dataclasses.field(default_factory=dict)
    # The client's context, if the gateway continues it.
    trace_id: str = ""
    parent_id: str = ""
    trace_state: str = ""
    cache: str = ""
    rejection: str = ""


TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"

REQUESTS = [
    Request("a request without a context", "GET", "/orders/1", 200, cache="uri-miss"),
    Request(
        "a request with a context",
        "POST",
        "/orders/2",
        200,
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=a,other=b"},
        trace_id=TRACE,
        parent_id=PARENT,
        trace_state="vendor=a,other=b",
        cache="method",
    ),
    Request(
        "an invalid context",
        "GET",
        "/orders/3",
        200,
        headers={"traceparent": f"00-{TRACE}-{'0' * 16}-01"},
        cache="uri-miss",
    ),
    Request("an error of the client", "GET", "/orders/404", 404, cache="uri-miss"),
    Request("an error of the origin", "PUT", "/orders/503", 503, cache="method"),
    Request("no cache", "DELETE", "/plain/4", 200, route=f"{HOST}/plain"),
    Request("a rejected caller", "GET", "/verified", 403, route=f"{HOST}/verified", rejection="missing-authentication"),
]
UNSAMPLED = f"00-{TRACE[::-1]}-{PARENT}-00"


def error(kind):
    return {"error.type": kind} if kind else {}


def server_span(request):
    return f"{request.method} {request.route}", SERVER, {
        "client.address": "127.0.0.1",
        "http.request.method": request.method,
        "http.response.status_code": request.status,
        "http.route": request.route,
        "network.protocol.version": "1.1",
        "server.address": HOST,
        "sigv4_gateway.origin": "demo",
        "url.path": request.path,
        "url.scheme": "http",
        "user_agent.original": USER_AGENT,
        **({"sigv4_gateway.rejection": request.rejection} if request.rejection else {}),
        **error(str(request.status) if request.status >= 500 else None),
    }


def client_span(request, port):
    return request.method, CLIENT, {
        "http.request.method": request.method,
        "http.response.status_code": request.status,
        "network.protocol.version": "1.1",
        "server.address": "127.0.0.1",
        "server.port": port,
        "url.full": f"http://127.0.0.1:{port}{request.path}",
        **error(str(request.status) if request.status >= 400 else None),
    }


def spans(request, port):
    """Returns name, kind and attributes of each span, the server's first. `port` is the origin's."""
    if request.rejection:
        return [
            server_span(request),
            ("verify", INTERNAL, {"sigv4_gateway.mechanism": "sigv4", **error(request.rejection)}),
        ]
    cache = [("cache", INTERNAL, {"sigv4_gateway.cache": request.cache})] if request.cache else []
    signing = {
        "sigv4_gateway.payload": "hash",
        "sigv4_gateway.region": "us-east-1",
        "sigv4_gateway.service": "execute-api",
    }
    return [
        server_span(request),
        *cache,
        ("credentials", INTERNAL, {"sigv4_gateway.identity": "default"}),
        ("sign", INTERNAL, signing),
        client_span(request, port),
    ]


def status(attributes):
    return Status.STATUS_CODE_ERROR if "error.type" in attributes else Status.STATUS_CODE_UNSET
