"""The options as plain data: those of `classify`, and the names of all others.

Made from the declarations by `python -m scripts.make_cli_table`. Do not edit it; a test fails if it is not up to date.
"""

from __future__ import annotations

OPTIONS: dict[str, tuple[str, str, tuple[object, ...], object]] = {
    "--from": ("lists", "values", ("text",), ()),
    "--only-urls": ("only_urls", "flag", ("truth",), False),
    "--allow-files": ("allow_files", "values", ("folder",), ()),
    "--allow-bucket": ("allow_bucket", "values", ("text",), ()),
    "--samples": ("samples", "flag", ("truth",), False),
    "--top": ("top", "value", ("whole", 1, 1000), 3),
    "--min-score": ("min_score", "value", ("fraction",), 0.0),
    "--names": ("names", "value", ("choice", "scientific", "common", "both"), "both"),
    "--format": ("format", "value", ("choice", "text", "json", "jsonl", "csv"), None),
    "--output": ("output", "value", ("text",), None),
    "--report": ("report", "value", ("text",), None),
    "--unordered": ("unordered", "flag", ("truth",), False),
    "--reveal-targets": ("reveal_targets", "flag", ("truth",), False),
    "--allow-failures": ("allow_failures", "flag", ("truth",), False),
    "--timing": ("timing", "switch", ("truth",), None),
    "--shard": ("shard", "value", ("shard",), None),
    "--resume": ("resume", "flag", ("truth",), False),
    "--retry-failed": ("retry_failed", "flag", ("truth",), False),
    "--max-failures": ("max_failures", "value", ("most",), None),
    "--since-output": ("since_output", "values", ("text",), ()),
    "--keep-index": ("keep_index", "flag", ("truth",), False),
    "--scratch": ("scratch", "value", ("folder",), None),
    "--model": ("model", "value", ("text",), "birds-v1-lite"),
    "--model-sha256": ("model_sha256", "value", ("digest",), None),
    "--labels": ("labels", "value", ("text",), None),
    "--resize": ("resize", "value", ("choice", "crop", "squash", "exact"), "crop"),
    "--engine": ("engine", "value", ("choice", "auto", "litert", "tflite", "onnx"), "auto"),
    "--threads": ("workers", "value", ("whole", 0, 1024), 0),
    "--max-pixels": ("max_pixels", "value", ("size",), 120000000),
    "--memory": ("memory", "value", ("size",), None),
    "--decode-timeout": ("decode_timeout", "value", ("seconds",), 30.0),
    "--cache-dir": ("cache_dir", "value", ("folder",), None),
    "--no-cache": ("no_cache", "flag", ("truth",), False),
    "--offline": ("offline", "flag", ("truth",), False),
    "--renditions": ("renditions", "flag", ("truth",), False),
    "--mirror": ("mirror", "value", ("text",), None),
    "--public-only": ("public_only", "flag", ("truth",), False),
    "--allow-host": ("allow_hosts", "values", ("text",), ()),
    "--allow-port": ("allow_ports", "values", ("whole", 1, 65535), ()),
    "--downloads": ("downloads", "value", ("whole", 1, 256), 16),
    "--per-host": ("per_host", "values", ("text",), ()),
    "--timeout": ("timeout", "value", ("seconds",), 30.0),
    "--connect-timeout": ("connect_timeout", "value", ("seconds",), 5.0),
    "--read-timeout": ("read_timeout", "value", ("seconds",), 10.0),
    "--startup-timeout": ("startup_timeout", "value", ("patience",), 10.0),
    "--retries": ("retries", "value", ("whole", 0, 20), 3),
    "--max-redirects": ("max_redirects", "value", ("whole", 0, 20), 5),
    "--max-bytes": ("max_bytes", "value", ("size",), 67108864),
    "--user-agent": ("user_agent", "value", ("text",), None),
    "--verbose": ("verbose", "flag", ("truth",), False),
    "--quiet": ("quiet", "flag", ("truth",), False),
    "--log-format": ("log_format", "value", ("choice", "text", "json"), "text"),
}
"""The name of each option's value, its kind, the function of `values` with its arguments, the default."""


SHORT = {"-o": "--output", "-v": "--verbose", "-q": "--quiet"}
"""Options in one letter."""


OPPOSITES = {"--no-timing": "--timing"}
"""What sets a switch to False."""


OTHERS = (
    "--against",
    "--allow-private",
    "--body-timeout",
    "--calibrate",
    "--connections",
    "--drain",
    "--force",
    "--grace",
    "--host",
    "--index",
    "--input-range",
    "--keep-header",
    "--max-batch",
    "--max-body",
    "--max-wait",
    "--newest",
    "--no-urls",
    "--pictures",
    "--port",
    "--quantize",
    "--queue",
    "--request-timeout",
    "--rounds",
    "--signature",
    "--tags",
    "--to",
    "--top-confusions",
)
"""The options of all other commands."""
