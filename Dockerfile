# Latchkey's image: Debian, Node 24 from the lock file, the program, and its production packages. It runs as a user
# without rights, writes nothing but its data directory, and holds no secret.
#
#   docker build --tag latchkey .

# Only this stage needs npm. What it runs on isn't what the service runs on: that Node is a package in the lock file.
FROM node:24-trixie-slim AS build
WORKDIR /opt/latchkey
COPY .npmrc package.json package-lock.json ./
# Headers, manuals and sources of what is compiled already are a third of the image.
RUN npm ci --omit=dev \
  && rm -r node_modules/node-linux-*/include node_modules/node-linux-*/share \
    node_modules/better-sqlite3/deps node_modules/better-sqlite3/src
COPY LICENSE ./
COPY bin bin
COPY gen gen
COPY src src
# One start, as the user that will run it, fails the build if anything is missing, and leaves compiled code: starts are
# quicker and leaner with it. What else it makes and prints is thrown away, for there are credentials in it.
RUN install --directory --owner=10001 .cache /tmp/data \
  && LATCHKEY_DATA_DIR=/tmp/data setpriv --reuid=10001 --regid=10001 --clear-groups sh -c ' \
    bin/latchkey serve --dev & \
    until bin/latchkey health; do kill -0 $! && sleep 1 || exit 1; done; \
    kill $! && wait $!' > /dev/null 2>&1 \
  && chown --recursive root:root .cache && chmod --recursive a+rX,go-w .cache

FROM debian:trixie-slim
LABEL org.opencontainers.image.title="Latchkey" \
  org.opencontainers.image.description="Issues API tokens, and answers whether a key is valid and what it can do" \
  org.opencontainers.image.licenses="Apache-2.0"
# A number, so that an orchestrator can see that it isn't root.
RUN groupadd --gid 10001 latchkey \
  && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/latchkey --shell /usr/sbin/nologin latchkey \
  && install --directory --mode=0700 --owner=10001 --group=10001 /var/lib/latchkey
COPY --from=build /opt/latchkey /opt/latchkey
# Inside a container loopback is the container's own: here the ports are everybody's who can reach the container.
ENV PATH=/opt/latchkey/bin:$PATH \
  LATCHKEY_DATA_DIR=/var/lib/latchkey \
  LATCHKEY_GRPC_ADDR=0.0.0.0:50051 \
  LATCHKEY_HTTP_ADDR=0.0.0.0:8080 \
  LATCHKEY_OPS_ADDR=0.0.0.0:9464
WORKDIR /var/lib/latchkey
USER 10001:10001
VOLUME /var/lib/latchkey
EXPOSE 50051 8080 9464
STOPSIGNAL SIGTERM
# For people, and what waits for it: whoever spreads calls asks the operators' port itself, and more often.
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s CMD ["/opt/latchkey/bin/latchkey", "health"]
ENTRYPOINT ["/opt/latchkey/bin/latchkey"]
CMD ["serve"]
