# Switchboard's images: one target for each binary, and `symbols` with what was stripped from them.
#
#   docker build --target api -t switchboard-api .        (or worker, scheduler, …)
#   dev/images build                                       all of them with podman, also where no registry answers
#
# No shell and no package manager in any of them, uid 65532, nothing is written outside /tmp. The worker and the simulator
# are combined works under AGPL-3.0-only terms: docs/licence.md.

# Of the version that rust-toolchain.toml names.
ARG RUST_IMAGE=docker.io/library/rust:1.95.0-bookworm
# Only moving tags exist of it: a release resolves it to a digest first and passes that (.github/workflows/release.yaml).
ARG RUNTIME_IMAGE=gcr.io/distroless/cc-debian12:nonroot

# ---- The dependencies, from manifests alone: built again only when those change.
FROM ${RUST_IMAGE} AS dependencies
ARG PROFILE=release
# One set of packages in each step, so that cargo unites their features once.
ENV CARGO_TARGET_DIR=/target CARGO_INCREMENTAL=0 CARGO_TERM_COLOR=never SQLX_OFFLINE=true \
    PACKAGES="-p api -p worker -p scheduler -p simulator -p demo"
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY api/Cargo.toml api/
COPY common/domain/Cargo.toml common/domain/
COPY common/posting/Cargo.toml common/posting/
COPY common/process/Cargo.toml common/process/
COPY common/bells/Cargo.toml common/bells/
COPY common/schedule/Cargo.toml common/schedule/
COPY common/store/Cargo.toml common/store/
COPY scheduler/Cargo.toml scheduler/
COPY simulator/Cargo.toml simulator/
COPY testing/bench/Cargo.toml testing/bench/
COPY testing/chaos/Cargo.toml testing/chaos/
COPY testing/demo/Cargo.toml testing/demo/
COPY testing/e2e/Cargo.toml testing/e2e/
COPY testing/kit/Cargo.toml testing/kit/
COPY worker/Cargo.toml worker/
COPY dev/images.d/skeleton.sh dev/images.d/
# The build script of waproto watches a file that it writes itself; an old date on it says that nothing has changed since,
# else the largest of all packages would be compiled again and again.
RUN sh dev/images.d/skeleton.sh \
 && cargo build --locked --profile "$PROFILE" $PACKAGES \
 && touch -t 200607240000 /target/*/build/waproto-*/out/whatsapp.local.desc \
 && cargo build --locked --profile "$PROFILE" $PACKAGES --features worker/simulator

# ---- Our own code. Cargo goes by times of files: what is new here must be newer than the skeleton that it replaces.
FROM dependencies AS build
# An argument is not handed on from stage to stage by every builder.
ARG PROFILE=release
COPY dev/images.d/collect.sh dev/images.d/
COPY .sqlx .sqlx
COPY migrations migrations
COPY common common
COPY api api
COPY scheduler scheduler
COPY worker worker
COPY simulator simulator
COPY testing/demo testing/demo
COPY testing/kit testing/kit
ARG REVISION=unknown
ENV SWITCHBOARD_REVISION=${REVISION}
RUN find api common testing/demo testing/kit scheduler simulator worker -name '*.rs' -exec touch {} + \
 && cargo build --locked --profile "$PROFILE" $PACKAGES \
 && sh dev/images.d/collect.sh api worker scheduler simulator demo

# ---- What all images share.
FROM ${RUNTIME_IMAGE} AS runtime
ARG SOURCE=https://github.com/switchboard/switchboard
ARG VERSION=0.0.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.documentation="${SOURCE}/blob/${REVISION}/README.md" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
COPY LICENSE NOTICE /licenses/
USER 65532:65532
STOPSIGNAL SIGTERM

FROM runtime AS api
LABEL org.opencontainers.image.title="switchboard-api" \
      org.opencontainers.image.description="The REST API of Switchboard, its migrations and its keys" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/licenses/api /licenses/third-party.txt
COPY --from=build /out/bin/switchboard-api /usr/local/bin/
ARG SOURCE=https://github.com/switchboard/switchboard
ENV SOURCE_URL=${SOURCE}
EXPOSE 8080 9090
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/switchboard-api", "probe"]
ENTRYPOINT ["/usr/local/bin/switchboard-api"]

FROM runtime AS worker
LABEL org.opencontainers.image.title="switchboard-worker" \
      org.opencontainers.image.description="Holds the WhatsApp connections of Switchboard" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only"
COPY LICENSES /licenses/
COPY --from=build /out/licenses/worker /licenses/third-party.txt
COPY --from=build /out/bin/switchboard-worker /usr/local/bin/
EXPOSE 9091
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/switchboard-worker", "probe"]
ENTRYPOINT ["/usr/local/bin/switchboard-worker"]

FROM runtime AS scheduler
LABEL org.opencontainers.image.title="switchboard-scheduler" \
      org.opencontainers.image.description="Fires the reminders of Switchboard and rings again for rows that wait" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/licenses/scheduler /licenses/third-party.txt
COPY --from=build /out/bin/switchboard-scheduler /usr/local/bin/
EXPOSE 9092
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/switchboard-scheduler", "probe"]
ENTRYPOINT ["/usr/local/bin/switchboard-scheduler"]

# ---- For trials: a WhatsApp server with virtual phones.
FROM runtime AS simulator
LABEL org.opencontainers.image.title="switchboard-simulator" \
      org.opencontainers.image.description="A WhatsApp server and virtual phones, for trials of Switchboard" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only"
COPY LICENSES /licenses/
COPY --from=build /out/licenses/simulator /licenses/third-party.txt
COPY --from=build /out/bin/switchboard-simulator /usr/local/bin/
ENV SIMULATOR_LISTEN=0.0.0.0:7700
EXPOSE 7700
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/switchboard-simulator", "probe"]
ENTRYPOINT ["/usr/local/bin/switchboard-simulator"]

# ---- For trials: virtual people who use the cluster, so that dashboards move.
FROM runtime AS demo
LABEL org.opencontainers.image.title="switchboard-demo" \
      org.opencontainers.image.description="Virtual people who use a trial of Switchboard" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/licenses/demo /licenses/third-party.txt
COPY --from=build /out/bin/switchboard-demo /out/bin/switchboard-api /usr/local/bin/
HEALTHCHECK NONE
ENTRYPOINT ["/usr/local/bin/switchboard-demo"]

# ---- What was stripped: /symbols/switchboard-X.debug, found by gdb through the debug link.
FROM runtime AS symbols
LABEL org.opencontainers.image.title="switchboard-symbols" \
      org.opencontainers.image.description="Debug symbols of Switchboard's binaries of the same revision" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only"
COPY LICENSES /licenses/
COPY --from=build /out/symbols /symbols/
HEALTHCHECK NONE

# ---- For trials: the worker that speaks to the simulator. Never for the real WhatsApp: it checks no certificate chain.
FROM build AS build-simulator
ARG PROFILE=release
RUN cargo build --locked --profile "$PROFILE" $PACKAGES --features worker/simulator \
 && sh dev/images.d/collect.sh worker

FROM runtime AS worker-simulator
LABEL org.opencontainers.image.title="switchboard-worker-simulator" \
      org.opencontainers.image.description="The worker of Switchboard built for trials with its simulator; not for the real WhatsApp" \
      org.opencontainers.image.licenses="Apache-2.0 AND AGPL-3.0-only"
COPY LICENSES /licenses/
COPY --from=build-simulator /out/licenses/worker /licenses/third-party.txt
COPY --from=build-simulator /out/bin/switchboard-worker /usr/local/bin/
ENV WHATSAPP_URL=ws://simulator:7700/ws/chat
EXPOSE 9091
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["/usr/local/bin/switchboard-worker", "probe"]
ENTRYPOINT ["/usr/local/bin/switchboard-worker"]
