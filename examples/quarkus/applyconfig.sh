#!/bin/sh
# Gets the 31 values in the order of study.yaml. A real one applies them to the deployment (the cpu and
# memory of the container, the JVM's options, the application's properties), loads it (three runs to
# warm up and to measure), and leaves the CSV that follows. Put yours here; nothing else changes.
set -eu
[ "$#" -eq 31 ] || { echo "31 values are needed and there are $#" >&2; exit 2; }
echo "stand-in: no server was deployed and no load was made; these numbers are computed" >&2
exec python3 stand_in.py "$@" >result.csv
