#!/bin/sh
# ottla's command, for `ottla-fuzz client`: ottla.sh PATH-OF-OTTLA [driver]
seq 1000000000 |
    "$1" produce --bootstrap "$OTTLA_FUZZ_BOOTSTRAP" --topic "$OTTLA_FUZZ_TOPIC" --driver "${2:-tokio}" \
        --rate 300 --outcomes - --quiet |
    sed -un 's/.*"line":\([0-9]*\),"verdict":"delivered".*"partition":\([0-9]*\),"offset":\([0-9]*\).*/ack \2 \3 \1/p'
