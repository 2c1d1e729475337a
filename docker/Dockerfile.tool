# The program alone: one static file, for `docker run` and for `COPY --from` into another image.
# scripts/release/build-tool-image makes the build context, with one folder for each machine.
FROM scratch
ARG TARGETARCH
COPY ${TARGETARCH}/nmoe-gates /nmoe-gates
USER 65532:65532
WORKDIR /work
ENTRYPOINT ["/nmoe-gates"]
CMD ["--help"]
