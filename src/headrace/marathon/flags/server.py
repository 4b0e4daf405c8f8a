"""Flags about what listens, what is stored, who leads, and what is told to operators."""

from __future__ import annotations

from headrace.marathon.flags.flag import Flag, Kind, idle, refused

_MS, _COUNT, _TEXT, _TOGGLE = Kind.MILLISECONDS, Kind.COUNT, Kind.TEXT, Kind.TOGGLE
LEVELS = ("off", "fatal", "error", "warn", "info", "debug", "trace", "all")

_ONE_CONNECTION = "one connection carries all of them, as they come"
_IN_MEMORY = "everything is in memory, and a change is stored before it is answered"
_SCRAPE = "have /metrics/prometheus or /metrics read, and leave it out"
_STREAM = "read the event stream /v2/events, and leave it out"
_STDERR = "the log goes to stderr: send that on, and leave it out"
_NO_PLUGINS = "there are no plug-ins; leave it out. A password is --http_credentials, secrets are --secrets_dir"
_NO_HISTOGRAMS = "durations are kept of the last 1,024 requests"

SERVER: tuple[Flag, ...] = (
    Flag("http_address", _TEXT, "127.0.0.1", "address to listen on", older=("host",)),
    Flag("http_port", Kind.PORT, "8080", "port to listen on; 0: a free one", older=("port",)),
    Flag("disable_http", Kind.SWITCH, False, "listen for HTTPS alone"),
    Flag("https_address", _TEXT, None, "address to listen on for HTTPS; default: that of HTTP"),
    Flag("https_port", Kind.PORT, "8443", "port to listen on for HTTPS; 0: a free one"),
    Flag(
        "ssl_keystore_path",
        _TEXT,
        None,
        "certificate and key for HTTPS, which it switches on: a PEM file; of a Java key store:"
        " openssl pkcs12 -in STORE.p12 -nodes -out FILE.pem",
        metavar="FILE",
    ),
    Flag("ssl_keystore_password", Kind.SECRET, None, "the password of an encrypted key"),
    Flag(
        "http_credentials", Kind.SECRET, None, "who may ask, by HTTP Basic; /ping needs none", metavar="USER:PASSWORD"
    ),
    Flag("http_realm", _TEXT, "Mesosphere", "what a browser says when it asks for these"),
    Flag("http_max_concurrent_requests", _COUNT, None, "requests at a time; what is beyond gets 503"),
    Flag("http_compression", _TOGGLE, True, "answers of 1 KiB and more are compressed for those who take that"),
    Flag(
        "access_control_allow_origin",
        _TEXT,
        None,
        "other web sites whose pages may read here; *: all",
        metavar="ORIGIN,…",
    ),
    Flag(
        "event_stream_max_outstanding_messages",
        _COUNT,
        1024,
        "a reader of the event stream that is so many behind is cut off",
    ),
    refused("assets_path", _TEXT, "files of another web UI", "the gateway has the web UI; leave it out"),
    refused("artifact_store", _TEXT, "where artifacts are kept", "give tasks URIs in fetch, and leave it out"),
    refused("event_subscriber", _TEXT, "events by HTTP callbacks", _STREAM),
    refused("http_endpoints", _TEXT, "the addresses of these", _STREAM),
    refused("http_event_callback_slow_consumer_timeout", _MS, "time for these", _STREAM),
    refused("http_event_request_timeout", _MS, "time for these", _STREAM),
    # what is stored
    Flag("data", _TEXT, "marathon-data", "Headrace's own: where the state is kept without --zk", metavar="DIR"),
    Flag(
        "zk",
        _TEXT,
        None,
        "ZooKeeper, where the state is kept and several Marathons choose who leads:"
        " zk://user:password@host:port,…/path, or file:///… of a file that says so; default: a file under --data",
        metavar="zk://HOST:PORT,…/PATH",
    ),
    Flag("zk_timeout", _MS, 10_000, "with --zk: a request that is not answered by then gets 503"),
    Flag("zk_session_timeout", _MS, 10_000, "silence of a leader after which another one leads; the servers grant it"),
    Flag("zk_connection_timeout", _MS, 10_000, "time to connect to ZooKeeper at the start"),
    idle("zk_max_versions", _COUNT, 50, "versions kept of an app", "50 are kept, and those that still run"),
    Flag("zk_max_node_size", _COUNT, 1_024_000, "bytes in a znode; larger values are split, at 800 kB at the latest"),
    Flag("zk_compression", _TOGGLE, True, "large values are compressed in ZooKeeper"),
    Flag("zk_compression_threshold", _COUNT, 65_536, "bytes of what is not large yet"),
    idle("zk_max_concurrency", _COUNT, 32, "operations at a time", _ONE_CONNECTION),
    idle("zk_cleaning_interval", Kind.SECONDS, 30, "how often old versions are removed", "they go with each change"),
    idle("gc_actor_scan_batch_size", _COUNT, 32, "how many at a time", "they go with each change"),
    idle("storage_compaction_interval", Kind.SECONDS, 30, "its name since 1.6", "they go with each change"),
    idle("storage_execution_context_size", _COUNT, None, "threads that store", _IN_MEMORY),
    idle("group_versions_cache_size", _COUNT, 1000, "versions of groups in memory", _IN_MEMORY),
    idle("store_cache", _TOGGLE, True, "keep in memory what is stored", _IN_MEMORY),
    idle("internal_version_caching", _TOGGLE, True, "the same for versions", _IN_MEMORY),
    idle("internal_store_backend", _TEXT, None, "what stores", "--zk or --data say it"),
    idle("marathon_store_timeout", _MS, None, "time to store", "Marathon does not look at it either"),
    refused(
        "backup_location",
        _TEXT,
        "a copy of the state before each migration",
        "copy the directory --data, or that of ZooKeeper, while Marathon is stopped, and leave it out",
    ),
    # who leads
    Flag("ha", _TOGGLE, None, "several Marathons elect a leader; default: on with --zk"),
    idle("leader_election_backend", _TEXT, "curator", "how they do", "there is one way: znodes with numbers"),
    Flag("on_elected_prepare_timeout", _MS, 180_000, "time for a new leader to read the state"),
    Flag("leader_proxy_connection_timeout", _MS, 5000, "time for a standby to connect to the leader"),
    Flag("leader_proxy_read_timeout", _MS, 10_000, "time for the leader's answer after that"),
    Flag("leader_proxy_max_open_connections", _COUNT, 64, "requests of a standby to the leader at a time"),
    Flag("leader_proxy_ssl_ignore_hostname", _TOGGLE, False, "the leader's certificate may have another name"),
    idle("graceful_shutdown_timeout", _MS, 45_000, "time to end", "it ends within a second"),
    # what is told
    Flag("logging_level", _TEXT, "info", "what is logged", choices=LEVELS),
    refused("logstash", _TEXT, "where the log is sent to", _STDERR),
    refused("sentry", _TEXT, "where errors are reported to", _STDERR),
    refused("sentry_tags", _TEXT, "what is added to these", _STDERR),
    refused("tracing", _TOGGLE, "log each call", "say --logging_level debug, and leave it out"),
    Flag("metrics_name_prefix", _TEXT, "marathon", "what the names of metrics begin with"),
    Flag("metrics_prometheus", _TOGGLE, True, "serve /metrics/prometheus"),
    idle("metrics_histogram_reservoir_significant_digits", _COUNT, 4, "digits of durations", _NO_HISTOGRAMS),
    idle("metrics_histogram_reservoir_reset_periodically", _TOGGLE, True, "begin them anew", _NO_HISTOGRAMS),
    idle("metrics_histogram_reservoir_resetting_interval_ms", _MS, 5000, "how often", _NO_HISTOGRAMS),
    idle("metrics_histogram_reservoir_resetting_chunks", _COUNT, 0, "in how many parts", _NO_HISTOGRAMS),
    idle("metrics_averaging_window", Kind.SECONDS, 30, "what rates are averaged over", _NO_HISTOGRAMS),
    refused("metrics_statsd", _TOGGLE, "send metrics to StatsD", _SCRAPE),
    refused("metrics_statsd_host", _TEXT, "where it is", _SCRAPE),
    refused("metrics_statsd_port", _COUNT, "its port", _SCRAPE),
    refused("metrics_statsd_transmission_interval_ms", _MS, "how often", _SCRAPE),
    refused("metrics_datadog", _TOGGLE, "send metrics to DataDog", _SCRAPE),
    refused("metrics_datadog_protocol", _TEXT, "how: udp or api", _SCRAPE),
    refused("metrics_datadog_host", _TEXT, "where it is", _SCRAPE),
    refused("metrics_datadog_port", _COUNT, "its port", _SCRAPE),
    refused("metrics_datadog_api_key", Kind.SECRET, "its key", _SCRAPE),
    refused("metrics_datadog_transmission_interval_ms", _MS, "how often", _SCRAPE),
    refused("reporter_graphite", _TEXT, "send metrics to Graphite", _SCRAPE),
    refused("reporter_datadog", _TEXT, "send metrics to DataDog", _SCRAPE),
    refused("plugin_dir", _TEXT, "where plug-ins are", _NO_PLUGINS),
    refused("plugin_conf", _TEXT, "how they are configured", _NO_PLUGINS),
)
