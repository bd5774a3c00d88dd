#!/usr/bin/env python3
"""librdkafka through confluent-kafka (`pip install confluent-kafka`), for `ottla-fuzz client`."""

import os
import signal
import sys
import time

from confluent_kafka import Producer

going = True


def stop(*_):
    global going
    going = False


def told(error, message):
    if error is None:
        value = message.value().decode()
        print(f"ack {message.partition()} {message.offset()} {value}", flush=True)


def failed(error):
    print(f"{time.time():.3f} {error} fatal={error.fatal()}", file=sys.stderr)


signal.signal(signal.SIGTERM, stop)
producer = Producer(
    {
        "bootstrap.servers": os.environ["OTTLA_FUZZ_BOOTSTRAP"],
        "enable.idempotence": True,
        "linger.ms": 5,
        "error_cb": failed,
        # As in production, but for what would only make an episode longer.
        "socket.timeout.ms": 10_000,
        "log_level": 0,
    }
)
number = 0
while going:
    try:
        producer.produce(os.environ["OTTLA_FUZZ_TOPIC"], value=f"record-{number}", callback=told)
        number += 1
    except BufferError:
        pass
    producer.poll(0.003)
producer.flush(3)
