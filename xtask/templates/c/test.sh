#!/bin/sh
# Builds the plugin, serves the example with it, and asks. SALVER says where the server's program is, PORT where it listens.
set -eu
cd "$(dirname "$0")"
salver=${SALVER:-salver}
port=${PORT:-18599}
wanted='{"predictions":[3.0,5.0,11.0]}'

@COMPILE@
"$salver" plugin inspect lib@NAME@.so
mkdir -p plugins
cp lib@NAME@.so plugins/

"$salver" serve --plugin-dir plugins --model-repository models --host 127.0.0.1 --port "$port" --log-level warn &
server=$!
trap 'kill $server' EXIT
# Until it listens, and the example is loaded.
answer=$(curl --silent --fail --retry 60 --retry-delay 1 --retry-connrefused --retry-all-errors \
    --data '{"instances": [1, 2, 5]}' "http://127.0.0.1:$port/v1/models/example:predict")
if [ "$answer" != "$wanted" ]; then
    echo "answered $answer, wanted $wanted" >&2
    exit 1
fi
echo "answered $answer"
