# The image of a release. The build context has the binaries of the release as ocibundle-linux-amd64 and
# ocibundle-linux-arm64.
FROM gcr.io/distroless/base-debian12:nonroot
ARG TARGETARCH
COPY LICENSE THIRD-PARTY-NOTICES.txt /usr/share/doc/ocibundle/
COPY ocibundle-linux-${TARGETARCH} /usr/local/bin/ocibundle
ENTRYPOINT ["/usr/local/bin/ocibundle"]
