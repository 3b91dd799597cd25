"""The official client library: fetch the metrics and have zabbix_utils send them.

Usage: library.py URL HOST; the answer is the time in milliseconds.
"""

import json
import sys
import time
import urllib.request

from zabbix_utils import ItemValue, Sender

url, host = sys.argv[1:]
start = time.monotonic()
with urllib.request.urlopen(url) as answer:
    metrics = json.load(answer)
values = [
    ItemValue(host, f"timer[{name}.{field}]", value)
    for name, timer in metrics["timers"].items()
    for field, value in timer.items()
    if not field.endswith("_units")
]
Sender(server="127.0.0.1", port=10051).send(values)
print(round((time.monotonic() - start) * 1000))
