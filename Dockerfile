# One of Muster's images, for hosts that have Docker:
#   docker build --build-arg PACKAGE=operator --tag muster/operator:0.1.0 .
#   docker build --build-arg PACKAGE=gameserver --build-arg BINARY=simple-server --tag muster/simple-server:0.1.0 .
#   docker build --build-arg PACKAGE=auth --tag muster/auth:0.1.0 .
# And the one that makes backups of accounts, with pg_dump of the server's major version:
#   docker build --build-arg PACKAGE=auth --build-arg POSTGRES_VERSION=17 --target auth-backup --tag muster/auth-backup:0.1.0 .
# Not exercised by the repository's own checks, which run where no Docker is: there,
# `cargo xtask images` packs the same static binaries the same way.
ARG RUST_VERSION=1.95.0
ARG POSTGRES_VERSION=17

FROM rust:${RUST_VERSION}-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends cmake libprotobuf-dev protobuf-compiler \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
ARG PACKAGE=operator
ARG BINARY=${PACKAGE}
# Another binary of the package, such as arena-replay beside arena-server.
ARG ALSO=
# An explicit target keeps the static C runtime away from build scripts and procedural macros.
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/source/target \
    target="$(rustc --version --verbose | sed -n 's/^host: //p')" \
    && RUSTFLAGS="-C target-feature=+crt-static" cargo build --locked --release \
        --target "$target" --package "$PACKAGE" --bin "$BINARY" ${ALSO:+--bin "$ALSO"} \
    && mkdir -p /image/etc /image/tmp \
    && chmod 1777 /image/tmp \
    && cp "target/$target/release/$BINARY" /image/entrypoint \
    && if [ -n "$ALSO" ]; then cp "target/$target/release/$ALSO" /image/; fi \
    && if [ "$PACKAGE" = auth ] || [ "$PACKAGE" = lobby ]; then \
        mkdir -p /image/etc/ssl/certs && cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/; \
    fi \
    && printf 'root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532::/:/sbin/nologin\n' > /image/etc/passwd \
    && printf 'root:x:0:\nnonroot:x:65532:\n' > /image/etc/group

FROM postgres:${POSTGRES_VERSION}-bookworm AS auth-backup
COPY --from=build /image/entrypoint /usr/local/bin/auth
USER 65532:65532
ENTRYPOINT ["auth"]

FROM scratch
COPY --from=build /image /
USER 65532:65532
ENTRYPOINT ["/entrypoint"]
