"""Clients of a service that send pictures, each on a connection of its own, one after the other."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Sequence
from http.client import HTTPConnection

PATIENCE_S = 60.0
HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"


def connect(port: int) -> HTTPConnection:
    """A connection to the service."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.connect()
    return connection


def upload(connection: HTTPConnection, picture: bytes) -> str:
    """Send a picture as the body; the best name.

    Raises:
        SystemExit: it was not classified.
    """
    connection.request("POST", "/v1/classify", picture, {"Content-Type": "image/jpeg"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise SystemExit(f"the service answers {answer.status}: {body.decode(errors='replace')[:500]}")
    return str(json.loads(body)["results"][0]["predictions"][0]["name"])


def exchange(connection: socket.socket, picture: bytes) -> None:
    """Send a picture as the body, and read the answer to its end: no more, so that it is not the client that is timed.

    Raises:
        SystemExit: it was not classified.
    """
    connection.sendall(HEAD % len(picture) + picture)
    head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")  # both servers send their heads in one piece
    length = re.search(rb"(?i)content-length: (\d+)", head)
    if length is None or b" 200 " not in head[:16]:
        raise SystemExit(f"the service answers {head.decode(errors='replace')[:500]}")
    left = int(length[1]) - len(body)
    while left > 0 and (part := connection.recv(1 << 16)):
        left -= len(part)
    if left:
        raise SystemExit(f"the service's answer ends {left} bytes too early")


def rate(port: int, pictures: Sequence[bytes], count: int, clients: int) -> float:
    """Pictures a second that the service answers, if `clients` send `count` all in all and never pause.

    Raises:
        SystemExit: one was not classified.
    """
    todo = iter(range(count))
    failed: list[BaseException] = []

    def send() -> None:
        connection = connect(port)
        try:
            for number in todo:
                upload(connection, pictures[number % len(pictures)])
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
    return count / (time.perf_counter() - began)
