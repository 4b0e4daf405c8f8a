"""HTTP/1.1 for daemons: a server and a client on asyncio and httptools' C parser.

Why our own and not uvicorn and aiohttp: measured on this project's machine, the two add 15 MB of
memory to each daemon and cost two to three times the CPU per call. What is left to do around the
parser is small: connections, keep-alive, streams, limits.
"""

from headrace.kernel.http.client import ClientResponse, ClientStream, HttpClient
from headrace.kernel.http.connection import Handler
from headrace.kernel.http.messages import EventStream, FileBody, HttpError, Request, Response, decode_json
from headrace.kernel.http.request_stream import BrokenOffError, RequestStream
from headrace.kernel.http.router import Router
from headrace.kernel.http.server import HttpServer
from headrace.kernel.http.target import HttpClientError, HttpTimeoutError, HttpUnreachableError
from headrace.kernel.http.upload import ClientUpload

__all__ = [
    "BrokenOffError",
    "ClientResponse",
    "ClientStream",
    "ClientUpload",
    "EventStream",
    "FileBody",
    "Handler",
    "HttpClient",
    "HttpClientError",
    "HttpError",
    "HttpServer",
    "HttpTimeoutError",
    "HttpUnreachableError",
    "Request",
    "RequestStream",
    "Response",
    "Router",
    "decode_json",
]
