"""The floor of a cold start: the least work that gives birdlite's answer. `scripts/bench_cold.py` times it.

    python floor.py MODEL LABELS PICTURE...

MODEL, LABELS and the PICTUREs are paths or http URLs. Prints a line a picture: three times name and score.

It uses what birdlite uses (LiteRT's C API by ctypes, Pillow's JPEG decoder at reduced scale, downloads at once and
under way while the engine loads) and does nothing else: no options, no checks, no messages, no cache, no second try,
one kind of model (birds-v1-lite), one kind of picture (JPEG, upright), one way to resize (`crop`).
"""

import sys
from _thread import allocate_lock, start_new_thread  # what `threading` is made of

sources = sys.argv[1:]
bodies: "dict[str, bytes]" = {}
arrived = {source: allocate_lock() for source in sources}


def fetch(url: str) -> None:
    """GET by hand. A download that fails leaves its lock taken, and the script waiting."""
    from _socket import socket

    host, _, path = url.removeprefix("http://").partition("/")
    name, _, port = host.partition(":")
    connection = socket()
    connection.connect((name, int(port or 80)))
    connection.send(f"GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    parts = []
    while part := connection.recv(1 << 16):
        parts.append(part)
    head, _, body = b"".join(parts).partition(b"\r\n\r\n")
    if head.split()[1] == b"200":
        bodies[url] = body
        arrived[url].release()


def read(source: str) -> bytes:
    """The bytes of a file, or those that `fetch` brings."""
    if source in arrived:
        with arrived[source]:
            return bodies[source]
    with open(source, "rb", buffering=0) as file:
        return file.read()


for source in list(arrived):
    if source.startswith("http://"):
        arrived[source].acquire()
        start_new_thread(fetch, (source,))
    else:
        del arrived[source]

import ctypes as c  # noqa: E402 - the network first
from ctypes import byref  # noqa: E402

SIDE, LEAST = 224, 448  # px
UINT8, CPU, READ, WRITE = 3, 1, 0, 1
size_t, handle = c.c_size_t, c.c_void_p

root = next(folder for folder in sys.path if folder.endswith("site-packages"))
lib = c.CDLL(f"{root}/ai_edge_litert/libLiteRt.so")


class EnvOption(c.Structure):
    """LiteRtEnvOption."""

    _fields_ = (("tag", c.c_int), ("type", c.c_int64), ("value", c.c_int64))


class Kind(c.Structure):
    """LiteRtRankedTensorType."""

    _fields_ = (("element", c.c_int32), ("rank", c.c_uint32), ("sizes", c.c_int32 * 8), ("strides", c.c_uint32 * 8))


def made(function: str, *arguments: object) -> c.c_void_p:
    """Call what puts a new handle, or an address, into its last argument."""
    result = handle()
    if getattr(lib, function)(*arguments, byref(result)):
        sys.exit(function)
    return result


def buffer(end: str, *sizes: int) -> c.c_void_p:
    """The memory of the model's input or output."""
    needs = made(f"LiteRtGetCompiledModel{end}BufferRequirements", compiled, size_t(0), size_t(0))
    kind = Kind(UINT8, len(sizes), sizes)
    return made("LiteRtCreateManagedTensorBufferFromRequirements", environment, byref(kind), needs)


settings = b"num_threads = 1\n"
cpu_only, silent = EnvOption(24, 2, CPU), EnvOption(25, 2, 4)
environment = made("LiteRtCreateEnvironment", 2, (EnvOption * 2)(cpu_only, silent))
model_bytes = read(sources[0])
model = made("LiteRtCreateModelFromBuffer", environment, model_bytes, size_t(len(model_bytes)))
nothing = c.CFUNCTYPE(None, handle)(lambda _: None)
options = made("LiteRtCreateOptions")
lib.LiteRtSetOptionsHardwareAccelerators(options, CPU)
lib.LiteRtAddOpaqueOptions(options, made("LiteRtCreateOpaqueOptions", b"xnnpack", settings, nothing))
compiled = made("LiteRtCreateCompiledModel", environment, model, options)
labels = dict(line.split(",", 1) for line in read(sources[1]).decode().splitlines()[1:])
pixels, scores = buffer("Input", 1, SIDE, SIDE, 3), buffer("Output", 1, len(labels))
inputs, outputs = (handle * 1)(pixels), (handle * 1)(scores)

from PIL import Image  # noqa: E402


def decoded(jpeg: bytes) -> bytes:
    """The middle of a JPEG as SIDE x SIDE RGB pixels, without Pillow's plugin, which takes 11 ms to import."""
    at = 2
    while jpeg[at + 1] not in (0xC0, 0xC1, 0xC2):
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    height, width = int.from_bytes(jpeg[at + 5 : at + 7], "big"), int.from_bytes(jpeg[at + 7 : at + 9], "big")
    short = min(width, height)
    scale = next(s for s in (8, 4, 2, 1) if s == 1 or short // s >= LEAST)
    image = Image.frombytes("RGB", (-(-width // scale), -(-height // scale)), jpeg, "jpeg", "RGB", "", scale, 0)
    x, y = width / scale / 2, height / scale / 2
    across, down = x * SIDE / round(width * 256 / short), y * SIDE / round(height * 256 / short)
    square = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, (x - across, y - down, x + across, y + down))
    encoder = Image._getencoder("RGB", "raw", ("RGB",))  # `tobytes` imports more
    encoder.setimage(square.im, (0, 0, SIDE, SIDE))
    return encoder.encode(3 * SIDE * SIDE)[2]


address = handle()
for source in sources[2:]:
    picture = decoded(read(source))
    lib.LiteRtLockTensorBuffer(pixels, byref(address), WRITE)
    c.memmove(address, picture, len(picture))
    lib.LiteRtUnlockTensorBuffer(pixels)
    lib.LiteRtRunCompiledModel(compiled, size_t(0), size_t(1), inputs, size_t(1), outputs)
    lib.LiteRtLockTensorBuffer(scores, byref(address), READ)
    row = c.string_at(address, len(labels))
    lib.LiteRtUnlockTensorBuffer(scores)
    best = sorted(range(len(row)), key=lambda key: -row[key])[:3]
    print(source, *(f"{labels[str(key)]}\t{row[key] / 256:.6f}" for key in best), sep="\t")
