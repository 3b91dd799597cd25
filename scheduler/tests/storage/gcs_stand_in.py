"""A stand-in for Google Cloud Storage's XML API: moto's S3, behind a changed Authorization header. Takes a port."""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

from moto.server import DomainDispatcherApplication, create_backend_app

AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/s3/aws4_request, "
    "SignedHeaders=host, Signature=0"
)
s3 = DomainDispatcherApplication(create_backend_app)


def application(environ, start_response):
    environ["HTTP_AUTHORIZATION"] = AUTHORIZATION
    return s3(environ, start_response)


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


make_server("127.0.0.1", int(sys.argv[1]), application, server_class=Server).serve_forever()
