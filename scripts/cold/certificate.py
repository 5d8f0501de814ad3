"""A certificate for this machine, made on the spot, and the file with which clients trust it. For `bench_cold`."""

from __future__ import annotations

import os
from typing import NamedTuple


class Certificate(NamedTuple):
    """Two files."""

    server: str  # certificate and key of 127.0.0.1
    trust: str  # what SSL_CERT_FILE names


def make_certificate(folder: str) -> Certificate | None:
    """Make one in `folder`; None if trustme, which makes it, is not installed."""
    try:
        import trustme
    except ImportError:
        return None
    made = Certificate(os.path.join(folder, "server.pem"), os.path.join(folder, "trust.pem"))
    authority = trustme.CA()
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(made.server)
    authority.cert_pem.write_to_path(made.trust)
    return made
