"""Creates the container "box" in an Azurite at a port, with Azurite's own public development key."""

import base64
import hashlib
import hmac
import sys
import urllib.request
from datetime import datetime, timezone

ACCOUNT, KEY, PORT = sys.argv[1:]
VERSION = "2021-12-02"
date = datetime.now(timezone.utc).strftime("%a, %d %b %Y %H:%M:%S GMT")
text = (
    "PUT" + "\n" * 12 + f"x-ms-date:{date}\nx-ms-version:{VERSION}\n"
    f"/{ACCOUNT}/{ACCOUNT}/box\nrestype:container"
)
digest = hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()
signature = base64.b64encode(digest).decode()
request = urllib.request.Request(
    f"http://127.0.0.1:{PORT}/{ACCOUNT}/box?restype=container",
    method="PUT",
    headers={
        "x-ms-date": date,
        "x-ms-version": VERSION,
        "Authorization": f"SharedKey {ACCOUNT}:{signature}",
        "Content-Length": "0",
    },
)
urllib.request.urlopen(request)
