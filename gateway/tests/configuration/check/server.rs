//! Mistakes in `[server]`, `[bodies]` and `[credentials]`.

use super::mistakes::Mistake;

/// Mistakes in `[server]` and `[bodies]`.
pub(super) const SERVER: &[Mistake] = &[
    (
        "listen = \"127.0.0.1:0\"",
        "shutdown_grace = \"soon\"",
        2,
        "is not a valid duration",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "header_timeout = \"290000000000y\"",
        2,
        "\"290000000000y\" is too long; write \"3650days\" or less",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "shutdown_grace = \"999999999999y\"",
        2,
        "is too long",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "shutdown_grace = \"3651days\"",
        2,
        "is too long",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "tls_key = \"a\"",
        2,
        "go together",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "tls_key = \"\"\ntls_certificate = \"/-\"",
        3,
        "cannot read /-",
    ),
    (
        "listen",
        "listn",
        2,
        "unknown field `listn`, expected one of `listen`",
    ),
    (
        "127.0.0.1:0",
        "localhost:8080",
        2,
        "write an IP address and a port, such as \"127.0.0.1:8080\"",
    ),
    (
        "\"127.0.0.1:0\"",
        "127.0.0.1:0",
        2,
        "a text needs quotes, as in listen = \"...\"",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "header_timeout = 30s",
        2,
        "a text needs quotes, as in header_timeout = \"...\"",
    ),
    (
        "listen = \"127.0.0.1:0\"",
        "max_connections = \"5\"",
        2,
        "expected a number without quotes",
    ),
    ("[server]", "[sever]", 1, "unknown field `sever`"),
    (
        "127.0.0.1:0\"",
        "127.0.0.1:8080\"\n[admin]\nlisten = \"127.0.0.1:8080\"",
        4,
        "[server] and [admin] both listen on 127.0.0.1:8080",
    ),
    (
        "127.0.0.1:0\"",
        "127.0.0.1:9090\"\n[admin]",
        2,
        "[server] and [admin] both listen on 127.0.0.1:9090",
    ),
    (
        "[credentials]",
        "max_connections = 0\n[credentials]",
        3,
        "max_connections is 0",
    ),
    (
        "[credentials]",
        "websocket_timeout = \"1\"\n[credentials]",
        3,
        "is not a valid duration",
    ),
    (
        "[credentials]",
        "[bodies]\nspool_directory = \"/nonexistent/spool\"\n[credentials]",
        4,
        "\"/nonexistent/spool\": No such file or directory",
    ),
    (
        "[credentials]",
        "[bodies]\nmemory = \"much\"\n[credentials]",
        4,
        "expected a size such as \"64KiB\", or a number of bytes",
    ),
    (
        "[credentials]",
        "[bodies]\nmemory = -1\n[credentials]",
        4,
        "-1 is not a size; write one such as \"64KiB\"",
    ),
    (
        "[credentials]",
        "drain_delay = 0\n[credentials]",
        3,
        "0 has no unit; write one in quotes, such as \"0s\"",
    ),
    (
        "[credentials]",
        "header_timeout = 1.5\n[credentials]",
        3,
        "expected a number with its unit, in quotes",
    ),
];

/// Mistakes in `[credentials]`.
pub(super) const CREDENTIALS: &[Mistake] = &[
    ("\"static\"", "\"file\"", 4, "unknown variant, expected "),
    ("\"static\"", "\"env\"", 5, "need source = \"static\""),
    (
        "access_key_id = \"AKID\"\n",
        "",
        4,
        "need access_key_id and secret_access_key",
    ),
    ("AKID", "AKID ", 5, "stray space"),
    ("\"hunter2\"", "12345", 6, "in quotes"),
    ("\"static\"", "\"AKID:hunter2\"", 4, "unknown variant"),
    ("\"hunter2\"", "\"hunter2 \"", 5, "white space"),
    ("\"hunter2\"", "\"\"", 5, "secret access key is empty"),
    ("\"hunter2\"", "hunter2", 6, ""),
    ("\"hunter2\"", "\"hunter2", 6, ""),
    ("\"AKID\"", "12345", 5, "invalid type: integer, expected"),
];
