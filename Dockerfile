# Roomtone in a container: docker build -t roomtone . (or podman, buildah)
#
#   docker run -it -p 8080:8080 -p 10000-10007:10000-10007/udp -p 10000-10007:10000-10007/tcp \
#     -e ROOMTONE_PUBLIC_IP=<this machine's address> -v roomtone:/var/lib/roomtone roomtone
#
# The image carries FFmpeg with GPL parts inside the av wheel: read THIRD-PARTY-NOTICES.md before
# you give it to others.
ARG PYTHON=3.12-slim-bookworm

FROM docker.io/library/python:${PYTHON} AS build
WORKDIR /build
# First what seldom changes: the browser libraries depend on these files alone.
COPY static/build.py static/package.json static/package-lock.json static/
RUN python static/build.py vendor
COPY pyproject.toml README.md LICENSE THIRD-PARTY-NOTICES.md ./
COPY server server
COPY mixer mixer
COPY hls hls
COPY static static
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist .
# The same path as below, for scripts of an environment know where they are.
RUN python -m venv /opt/roomtone \
 && /opt/roomtone/bin/pip install --no-cache-dir --only-binary :all: dist/*.whl \
 && /opt/roomtone/bin/pip uninstall --yes pip \
 && /opt/roomtone/bin/roomtone version

FROM docker.io/library/python:${PYTHON}
LABEL org.opencontainers.image.title="Roomtone" \
      org.opencontainers.image.description="Self-hosted live audio rooms" \
      org.opencontainers.image.licenses="MIT AND GPL-3.0-or-later"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/roomtone roomtone \
 && install --directory --owner roomtone --group roomtone --mode 0700 /var/lib/roomtone
COPY --from=build /opt/roomtone /opt/roomtone
# Variables, so that `docker run roomtone serve --some-option` keeps them.
ENV PATH=/opt/roomtone/bin:$PATH \
    ROOMTONE_HOST=0.0.0.0 \
    ROOMTONE_STATE_DIR=/var/lib/roomtone
USER 10001:10001
WORKDIR /var/lib/roomtone
VOLUME /var/lib/roomtone
# Pages, API, signalling and broadcast; voices, two ports for each mixer (ROOMTONE_MIXERS).
EXPOSE 8080/tcp 10000-10007/udp 10000-10007/tcp
# Not ready: no mixer or no broadcast process, a store that does not answer, ticks that are late.
# It sees variables, not options: in a container set ROOMTONE_PORT rather than --port.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 CMD [ \
  "python", "-c", "\
import http.client, os, ssl, sys; \
port = int(os.environ.get('ROOMTONE_PORT') or 8080); \
plain = os.environ.get('ROOMTONE_TLS', 'off') in ('', 'off') and not os.environ.get('ROOMTONE_TLS_CERT'); \
tls = {} if plain else {'context': ssl._create_unverified_context()}; \
kind = http.client.HTTPConnection if plain else http.client.HTTPSConnection; \
server = kind('127.0.0.1', port, timeout=4, **tls); \
server.request('GET', '/ready'); \
sys.exit(server.getresponse().status != 200)" ]
ENTRYPOINT ["roomtone"]
CMD ["serve"]
