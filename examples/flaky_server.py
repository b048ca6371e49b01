#!/usr/bin/python3
"""A transcription service that says 503 to every second request: for trying transcriber.py.

    examples/flaky_server.py [PORT]
"""

import argparse
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", metavar="PORT", type=int, nargs="?", default=0, help="default: any free one")
    port = parser.parse_args().port
    try:
        server = http.server.HTTPServer(("127.0.0.1", port), Handler)
    except (OSError, OverflowError) as e:
        sys.exit(f"flaky_server: cannot listen on port {port}: {e}")
    print("listening on", server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
