#!/usr/bin/python3
"""A transcription service that says 503 to every second request: for trying transcriber.py.

    examples/flaky_server.py [PORT]
"""

import http.server
import json
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    count = 0

    def do_POST(self):
        size = len(self.rfile.read(int(self.headers["Content-Length"])))
        Handler.count += 1
        body = json.dumps({"text": f"{size // 32} ms of speech"}).encode()
        self.send_response(503 if Handler.count % 2 else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    print("listening on", server.server_port, flush=True)
    server.serve_forever()
