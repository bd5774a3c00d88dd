#!/usr/bin/env python3
"""kafka-python (`pip install kafka-python`), for `ottla-fuzz client`."""

import functools
import logging
import os
import signal
import sys
import time

from kafka import KafkaProducer
from kafka.errors import KafkaError

going = True


def stop(*_):
    global going
    going = False


def told(value, metadata):
    print(f"ack {metadata.partition} {metadata.offset} {value}", flush=True)


def failed(error):
    print(repr(error), file=sys.stderr)


logging.basicConfig(level=logging.ERROR)
signal.signal(signal.SIGTERM, stop)
topic = os.environ["OTTLA_FUZZ_TOPIC"]
producer = KafkaProducer(
    bootstrap_servers=os.environ["OTTLA_FUZZ_BOOTSTRAP"],
    enable_idempotence=True,
    linger_ms=5,
    request_timeout_ms=10_000,
    max_block_ms=5_000,
)
number = 0
while going:
    value = f"record-{number}"
    try:
        producer.send(topic, value=value.encode()).add_callback(functools.partial(told, value)).add_errback(failed)
        number += 1
    except KafkaError as error:
        print(repr(error), file=sys.stderr)
    time.sleep(0.003)
producer.close(timeout=3)
