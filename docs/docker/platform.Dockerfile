# A platform on top of the server, or of another platform: each in a layer of its own, which is replaced when its framework is.
#
#     docker build --file docs/docker/platform.Dockerfile --build-arg PLATFORM=onnxruntime --tag salver:onnxruntime target/layers
#     docker build --file docs/docker/platform.Dockerfile --build-arg PLATFORM=libtorch --build-arg FROM=salver:onnxruntime \
#         --tag salver:onnxruntime-libtorch target/layers
#     docker run --publish 8500:8500 --volume "$PWD/examples/models:/models:ro" salver:onnxruntime
ARG FROM=salver
FROM $FROM
ARG PLATFORM
COPY ${PLATFORM}/ /opt/salver/
