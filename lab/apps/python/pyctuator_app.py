"""A Flask application with a Spring Boot Actuator API by pyctuator, on 127.0.0.1 at the port given."""

import sys

from flask import Flask
from pyctuator.pyctuator import Pyctuator

port = int(sys.argv[1])
app = Flask("shop")
Pyctuator(
    app,
    "shop",
    app_url=f"http://127.0.0.1:{port}",
    pyctuator_endpoint_url=f"http://127.0.0.1:{port}/actuator",
    registration_url=None,
)
app.run(host="127.0.0.1", port=port, threaded=True)
