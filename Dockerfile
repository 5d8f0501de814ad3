# birdlite in a container: two targets from one file. Both run every command, `serve` too:
#
#   docker build --target lean  -t birdlite:lean .     the program; it fetches its model (3.6 MB) on first use, into a volume at /cache
#   docker build --target baked -t birdlite:baked .    the program and the model: starts without a download, classifies without a network
#
# podman and buildah build it too. Nothing here depends on the processor: `--platform linux/amd64` or `linux/arm64` chooses it.
#
# Build arguments:
#   BASE             an image with Python 3.11 or newer as `python` and `pip`, of a glibc system; the final image adds nothing but files to it
#   EXTRAS           with commas, each a requirements/EXTRA.txt; in by default are `cloud` (s3://, gs:// and az://; 15 MB) and `serve`
#                    (`birdlite serve`; 2 MB); `heif` adds HEIC (4 MB)
#   MODEL            the model that `baked` holds
#   BIRDLITE_MIRROR  where `baked` gets it if not from the Internet: see docs/models.md
#   VERSION, REVISION, CREATED   for the labels
# Proxies and package indexes are the builder's affair: HTTPS_PROXY and PIP_INDEX_URL may be given as build arguments too.

# All packages are locked by their hashes. The base is not: a tag moves. Pin what you ship by its digest, which your registry tells you:
#   docker buildx imagetools inspect python:3.11-slim-bookworm --format '{{.Manifest.Digest}}'
#   docker build --build-arg BASE=docker.io/library/python:3.11-slim-bookworm@sha256:DIGEST …
ARG BASE=docker.io/library/python:3.11-slim-bookworm

# ---- build: a virtual environment with what a run loads, and nothing else -------------------------------------------------------
FROM ${BASE} AS build
ARG EXTRAS=cloud,serve
ARG PIP_INDEX_URL=""
WORKDIR /src
# The versions of requirements/*.txt and no others, each file checked by its hash; `image.txt` leaves out what only LiteRT's Python side
# needs. The reports say which files pip took.
COPY requirements requirements
# hadolint ignore=DL3013
RUN python -m venv --without-pip /opt/venv \
 && python -m venv --without-pip /opt/backend \
 && pip --python /opt/backend/bin/python --disable-pip-version-check install --quiet --no-cache-dir --no-compile \
        --no-deps --only-binary=:all: --require-hashes -r requirements/build.txt \
 && set -- -r requirements/image.txt \
 && IFS=, && for extra in ${EXTRAS}; do set -- "$@" -r "requirements/${extra}.txt"; done \
 && pip --python /opt/venv/bin/python --disable-pip-version-check install --quiet --no-cache-dir --no-compile \
        --no-deps --only-binary=:all: --require-hashes --report packages.json "$@"
COPY pyproject.toml README.md LICENSE ./
COPY birdlite birdlite
# hadolint ignore=DL3013
RUN pip --python /opt/backend/bin/python --disable-pip-version-check wheel --quiet --no-cache-dir --no-deps --no-build-isolation \
        --wheel-dir=wheel . \
 && pip --python /opt/venv/bin/python --disable-pip-version-check install --quiet --no-cache-dir --no-compile --no-deps --no-index \
        --report birdlite.json wheel/*.whl
# LiteRT is called through its C library alone (docs/decisions/0003): its Python side goes, compilers for other chips and the WebGPU
# accelerator. Of Pillow go fonts. The next stage proves that all is there.
WORKDIR /opt/venv/lib
RUN find python3*/site-packages/ai_edge_litert -mindepth 1 ! -name libLiteRt.so -delete \
 && find python3*/site-packages/PIL python3*/site-packages/pillow.libs \
        -regex '.*/\(_imagingft\|libfreetype\|libharfbuzz\|libbrotli\)[^/]*' -delete
# Official images ship the standard library without bytecode, and a read-only root never gets any: every start would compile it anew.
# It goes into a tree of its own, so that no file of the base changes. The hash is not checked at run time: nothing here is edited.
RUN PYTHONPYCACHEPREFIX=/opt/pycache /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
        -x '/(test|tests|idlelib|tkinter|turtledemo|ensurepip|lib2to3|pydoc_data|unittest|distutils|multiprocessing|site-packages|dist-packages)/' \
        "$(python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" \
 && PYTHONPYCACHEPREFIX=/opt/pycache /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/venv/lib
# What is in the image, for people and for scanners: packages with versions, hashes and licences.
COPY scripts/sbom.py /src/
RUN install -d /usr/share/birdlite \
 && python /src/sbom.py packages --system --site /opt/venv/lib/python3*/site-packages --report /src/packages.json \
        --report /src/birdlite.json --notices /usr/share/birdlite/THIRD_PARTY.txt -o /usr/share/birdlite/sbom.cdx.json

# ---- settings: the base as both targets want it ---------------------------------------------------------------------------------
FROM ${BASE} AS settings
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPYCACHEPREFIX=/opt/pycache \
    PYTHONDONTWRITEBYTECODE=1 \
    BIRDLITE_CACHE_DIR=/cache \
    BIRDLITE_HOST=0.0.0.0 \
    BIRDLITE_PUBLIC_ONLY=1
RUN install -d -o 10001 -g 10001 /cache
WORKDIR /tmp
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001

# ---- proof: classify runs, as that user, or there is no image ---------------------------------------------
FROM settings AS proof
COPY --from=build /opt/venv /opt/venv
COPY --from=build /opt/pycache /opt/pycache
COPY --from=build /usr/share/birdlite /usr/share/birdlite
COPY scripts/image_proof.py /proof/
RUN ["/opt/venv/bin/python", "/proof/image_proof.py"]

# ---- lean -----------------------------------------------------------------------------------------------------------------------
FROM settings AS lean
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=""
ARG CREATED=""
LABEL org.opencontainers.image.title="birdlite" \
      org.opencontainers.image.description="What bird is this? Any number of photographs, from a cold start, in a fraction of a second." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
# From `proof` and not from `build`: a builder that skips unneeded stages must not skip that one.
COPY --from=proof /opt/venv /opt/venv
COPY --from=proof /opt/pycache /opt/pycache
COPY --from=proof /usr/share/birdlite /usr/share/birdlite
# The first SIGTERM ends a run in good order within a second, well inside any grace period: exit code 143. The service takes as long as
# --drain and --grace say, and exits with 0: `docker stop --time 30`.
STOPSIGNAL SIGTERM
# A batch has no health to ask for: it ends, and its exit code says how. The service has /livez and /readyz for whoever runs it, and a
# program in the image that asks them would be started every few seconds.
HEALTHCHECK NONE
# Of `birdlite serve`. It listens on all addresses here (BIRDLITE_HOST): a container's own 127.0.0.1 is reached by no one else.
EXPOSE 8000
ENTRYPOINT ["/opt/venv/bin/birdlite"]
CMD ["--help"]

# ---- baked: the model comes from the first of its sources that answers, checked by its sha256 -----------------------------------
FROM lean AS model
ARG MODEL=birds-v1-lite
ARG BIRDLITE_MIRROR=""
COPY scripts/sbom.py /src/
RUN birdlite model fetch "$MODEL" && birdlite model verify "$MODEL" && mv "/cache/models/$MODEL" /cache/model \
 && python /src/sbom.py model --sbom /usr/share/birdlite/sbom.cdx.json --model /cache/model -o /cache/sbom.cdx.json

FROM lean AS baked
COPY --from=model --chown=0:0 /cache/model /opt/birdlite/model
COPY --from=model --chown=0:0 /cache/sbom.cdx.json /usr/share/birdlite/sbom.cdx.json
ENV BIRDLITE_MODEL=/opt/birdlite/model
