# Spadework in a container. Targets:
#   cpu       (default)  docker build --target cpu -t spadework:cpu .
#   cuda                 docker build --target cuda --build-arg CUDA_COMPUTE_CAP=90 -t spadework:cuda .
#   train                docker build --target train -t spadework-train .      the training job, on processors
#
# The runtime runs as nobody (65532), writes nothing and needs no network: run it with --read-only. Models from a store need a
# volume that it may write, at SPADEWORK_CACHE_DIR.
# Health checks are part of the Docker image format: with buildah and podman, build with --format docker.
ARG RUST=1.95
ARG CUDA=13.0.2

# ---- What the dependencies are built from: manifests and empty sources, so that their layer outlives every edit.
FROM docker.io/library/debian:12-slim AS manifests
WORKDIR /src
COPY . .
RUN find . -type f ! -name Cargo.toml ! -name Cargo.lock -delete \
    && for manifest in service/Cargo.toml crates/*/Cargo.toml; do \
        package=$(dirname "$manifest"); mkdir -p "$package/src"; \
        touch "$package/src/lib.rs"; echo 'fn main() {}' > "$package/src/main.rs"; \
    done \
    && find . -type d -empty -delete

# ---- CPU
FROM docker.io/library/rust:${RUST}-bookworm AS build-cpu
# Names of functions are 5 MB, and of use only to a debugger.
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --release --locked -p spadework-service \
    && rm -rf service crates
COPY . .
ARG REVISION=unknown
# Cargo goes by modification times, and the real sources may be older than the empty ones just built.
RUN find service crates -name '*.rs' -exec touch {} + \
    && SPADEWORK_REVISION=${REVISION} cargo build --release --locked -p spadework-service

# ---- The training job
FROM build-cpu AS build-train
RUN cargo build --release --locked -p spadework-training

# ---- CUDA: the same, on NVIDIA's image with cuDNN, for one compute capability and later ones (80 A100, 89 L4, 90 H100)
FROM docker.io/library/rust:${RUST}-bookworm AS rust
FROM docker.io/nvidia/cuda:${CUDA}-cudnn-devel-ubuntu24.04 AS build-cuda
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ARG CUDA_COMPUTE_CAP=90
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH \
    CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP}
WORKDIR /src
COPY --from=manifests /src .
RUN cargo build --release --locked -p spadework-service --features cuda \
    && rm -rf service crates
COPY . .
ARG REVISION=unknown
RUN find service crates -name '*.rs' -exec touch {} + \
    && SPADEWORK_REVISION=${REVISION} cargo build --release --locked -p spadework-service --features cuda

# ---- What runs
FROM docker.io/nvidia/cuda:${CUDA}-cudnn-runtime-ubuntu24.04 AS cuda
COPY --from=build-cuda /src/target/release/spadework /usr/local/bin/spadework
# Whom to trust where models come from https:// or a cloud's store.
COPY --from=rust /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Spadework (CUDA)" \
      org.opencontainers.image.description="Turns label maps into pictures with the SPADE generator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
ENV SPADEWORK_LISTEN=0.0.0.0:8080 SPADEWORK_DEVICE=cuda
EXPOSE 8080
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=2s --start-period=120s --retries=3 CMD ["spadework", "health"]
ENTRYPOINT ["spadework"]
CMD ["serve"]

FROM docker.io/library/debian:12-slim AS train
COPY --from=build-train /src/target/release/spadework-train /usr/local/bin/spadework-train
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Spadework training" \
      org.opencontainers.image.description="Trains SPADE generators from label maps and photographs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
USER 65532:65532
ENTRYPOINT ["spadework-train"]
CMD ["fit", "--help"]

# Last, so that it is what a build without --target makes.
FROM docker.io/library/debian:12-slim AS cpu
COPY --from=build-cpu /src/target/release/spadework /usr/local/bin/spadework
# Whom to trust where models come from https:// or a cloud's store.
COPY --from=build-cpu /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Spadework" \
      org.opencontainers.image.description="Turns label maps into pictures with the SPADE generator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.revision="${REVISION}"
ENV SPADEWORK_LISTEN=0.0.0.0:8080
EXPOSE 8080
USER 65532:65532
HEALTHCHECK --interval=10s --timeout=2s --start-period=60s --retries=3 CMD ["spadework", "health"]
ENTRYPOINT ["spadework"]
CMD ["serve"]
