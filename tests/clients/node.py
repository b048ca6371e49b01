"""A node whose calls fail as HTTP and gRPC clients fail: each with one answer of a server here."""

import asyncio
import http.server
import json
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import aiohttp
import botocore.config
import botocore.session
import google.genai
import grpc
import httpx
import openai
import requests

#: Longest that a client waits for an answer, in seconds.
PATIENCE = 0.5

#: What gRPC says where HTTP has these.
GRPC = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    500: grpc.StatusCode.INTERNAL,
    502: grpc.StatusCode.UNAVAILABLE,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers with the status that the path begins with, or not at all for `late`."""

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = self.path.split("/")[1]
        if asked == "late":
            # Until the client has hung up.
            self.connection.recv(1)
            self.close_connection = True
            return
        body = json.dumps({"error": {"code": int(asked), "message": "no", "status": "NO"}}).encode()
        self.send_response(int(asked))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Methods(grpc.GenericRpcHandler):
    """gRPC's side of `Answers`: the method is the status."""

    def __init__(self, over):
        self.over = over

    def service(self, details):
        asked = details.method.rsplit("/", 1)[-1]

        def handle(_request, context):
            if asked == "late":
                self.over.wait()
            context.abort(GRPC.get(int(asked), grpc.StatusCode.UNKNOWN) if asked != "late"
                          else grpc.StatusCode.CANCELLED, "no")

        return grpc.unary_unary_rpc_method_handler(handle)


def get_requests(url, _grpc):
    requests.get(url, timeout=PATIENCE).raise_for_status()


def get_httpx(url, _grpc):
    httpx.get(url, timeout=PATIENCE).raise_for_status()


def get_aiohttp(url, _grpc):
    async def get():
        limit = aiohttp.ClientTimeout(sock_read=PATIENCE)
        async with aiohttp.ClientSession(timeout=limit, raise_for_status=True) as session:
            async with session.get(url):
                pass

    asyncio.run(get())


def get_openai(url, _grpc):
    with openai.OpenAI(api_key="key", base_url=url, max_retries=0, timeout=PATIENCE) as client:
        client.models.list()


def get_urllib(url, _grpc):
    urllib.request.urlopen(url, timeout=PATIENCE).close()


def get_genai(url, _grpc):
    options = {"base_url": url, "timeout": int(PATIENCE * 1000)}
    client = google.genai.Client(api_key="key", http_options=options)
    client.models.generate_content(model="none", contents="hello")


def get_botocore(url, _grpc):
    settings = botocore.config.Config(
        retries={"total_max_attempts": 1}, read_timeout=PATIENCE, connect_timeout=PATIENCE)
    client = botocore.session.get_session().create_client(
        "dynamodb", region_name="none", endpoint_url=url, config=settings,
        aws_access_key_id="key", aws_secret_access_key="secret")
    client.list_tables()


def get_grpc(url, address):
    with grpc.insecure_channel(address) as channel:
        channel.unary_unary("/service/" + url.rsplit("/", 1)[-1])(b"", timeout=PATIENCE)


CLIENTS = {
    "requests": get_requests,
    "httpx": get_httpx,
    "aiohttp": get_aiohttp,
    "openai": get_openai,
    "urllib": get_urllib,
    "google-genai": get_genai,
    "botocore": get_botocore,
    "grpc": get_grpc,
}
TRANSIENT = [408, 429, 500, 502, 503, 504, "late", "refused"]
PERMANENT = [400, 401, 403, 404]
CASES = [(client, answer) for client in CLIENTS for answer in TRANSIENT + PERMANENT]


class Clients:
    """Call after call makes the requests of CASES, which all fail."""

    def __init__(self):
        self.cases = iter(CASES)
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.http.daemon_threads = True
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.over = threading.Event()
        self.grpc = grpc.server(ThreadPoolExecutor(2), handlers=[Methods(self.over)])
        self.grpc_port = self.grpc.add_insecure_port("127.0.0.1:0")
        self.grpc.start()
        # Bound, so that nobody else takes it, and not listening.
        self.nobody = socket.socket()
        self.nobody.bind(("127.0.0.1", 0))

    def process(self, audio, ctx):
        client, answer = next(self.cases)
        ctx.post("case", client=client, answer=str(answer))
        refused = self.nobody.getsockname()[1]
        port, grpc_port = self.http.server_port, self.grpc_port
        if answer == "refused":
            port = grpc_port = refused
        CLIENTS[client](f"http://127.0.0.1:{port}/{answer}", f"127.0.0.1:{grpc_port}")

    def stop(self):
        self.over.set()
        self.grpc.stop(None)
        self.http.shutdown()
        self.http.server_close()
        self.nobody.close()
