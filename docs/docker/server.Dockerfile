# The server alone, without a platform: the layer that a new version of Salver replaces.
#
#     cargo xtask bundle --layers --out target/layers --platform onnxruntime --platform libtorch
#     docker build --file docs/docker/server.Dockerfile --tag salver target/layers
FROM debian:bookworm-slim
COPY server/ /opt/salver/
ENV PATH=/opt/salver/bin:$PATH
EXPOSE 8500
# Models are mounted here.
VOLUME /models
# What the health checks of an orchestrator ask: /v2/health/live and /v2/health/ready.
ENTRYPOINT ["salver", "serve", "--model-repository", "/models"]
