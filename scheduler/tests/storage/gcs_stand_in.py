"""A stand-in for Google Cloud Storage's XML API: moto's S3, behind a changed Authorization header. Takes a port."""

import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

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


class Handler(WSGIRequestHandler):
    def get_environ(self):
        # Without it, moto decodes the path of a request a second time.
        return super().get_environ() | {"RAW_URI": self.path}


make_server("127.0.0.1", int(sys.argv[1]), application, Server, Handler).serve_forever()
