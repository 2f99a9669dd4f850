#!/bin/sh
# measure.sh CPUS MEMORY_MB WORKERS: the server in a container with these limits.
# measure.sh remove: what a killed trial left. HPO_IMAGE names an image with python3.
set -eu
name="hpo-example-container-${HPO_TRIAL:-0}"
if [ "$1" = remove ]; then
    docker rm --force "$name" >/dev/null 2>&1 || true
    exit 0
fi
# A container that runs out of memory ends with 137, which the study calls a failure.
exec docker run --rm --interactive --name "$name" --network none \
    --cpus "$1" --memory "${2}m" --memory-swap "${2}m" \
    "${HPO_IMAGE:-python:3.12-slim}" python3 - "$3" <server.py
