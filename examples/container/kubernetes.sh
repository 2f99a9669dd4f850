#!/bin/sh
# NOT RUN: written for a cluster (Kubernetes or OpenShift) and never tried on one. In study.yaml it takes
# the place of measure.sh: kubernetes.sh CPUS MEMORY_MB WORKERS.
set -eu
name="hpo-example-${HPO_TRIAL:-0}"
if [ "$1" = remove ]; then
    exec kubectl delete pod "$name" --ignore-not-found --now
fi
limits="{\"cpu\":\"$1\",\"memory\":\"${2}Mi\"}"
container="{\"name\":\"server\",\"image\":\"${HPO_IMAGE:-python:3.12-slim}\",\"stdin\":true,\
\"command\":[\"python3\",\"-\",\"$3\"],\"resources\":{\"limits\":$limits,\"requests\":$limits}}"
exec kubectl run "$name" --rm --stdin --quiet --restart=Never --image="${HPO_IMAGE:-python:3.12-slim}" \
    --overrides="{\"spec\":{\"containers\":[$container]}}" <server.py
