"""Every type that Prometheus' own client library has, served on 127.0.0.1 at the port given."""

import sys
import threading

from prometheus_client import Counter, Enum, Gauge, Histogram, Info, Summary, start_http_server

Counter("shop_orders", "Orders placed.", ["path"]).labels(path="/cart").inc(3, exemplar={"trace_id": "abc"})
Gauge("shop_carts_open", "Carts open now.", unit="carts").set(7)
latency = Histogram("shop_checkout_seconds", "How long a checkout took.", ["path"], buckets=(0.1, 0.5, 1.0))
for seconds in (0.05, 0.3, 0.7, 2.0):
    latency.labels(path="/cart").observe(seconds, exemplar={"trace_id": "def"})
Summary("shop_basket_items", "Items in a basket.").observe(4)
Info("shop_build", "What runs.").info({"release": "2026.11-rc1"})
Enum("shop_state", "What it does.", states=["open", "closed"]).state("open")

start_http_server(int(sys.argv[1]), addr="127.0.0.1")
threading.Event().wait()
