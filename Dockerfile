# The shipped image, out of a folder that holds the static program, as `cargo xtask image` leaves it:
#
#   cargo xtask image
#   docker build --file Dockerfile --tag enmesh:0.1.0 target/image/x86_64
#
# The same as the archive target/image/enmesh-x86_64.tar, which needs no docker; a test compares them.
FROM scratch
LABEL org.opencontainers.image.title="enmesh" \
      org.opencontainers.image.description="Discovers, joins and watches clusters of Erlang and Elixir nodes" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.source="https://github.com/enmesh/enmesh" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY enmesh /enmesh
USER 65532:65532
ENTRYPOINT ["/enmesh"]
