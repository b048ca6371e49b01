"""Which failures of HTTP and gRPC clients are transient: real exceptions of the real libraries,
raised in a node. PYTHON_HOME names the virtualenv that scripts/test.sh makes of requirements.txt."""

import os
import pathlib
import subprocess
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "python"))

from gstrustaudio.messages import NodeFailure  # noqa: E402
from gstrustaudio.text import parse_structure  # noqa: E402

PATIENCE = 300


def play(isolation):
    """Exception and retryable of each case, by client and answer."""
    line = ["gst-launch-1.0", "-m", "audiotestsrc", "num-buffers=96", "samplesperbuffer=160", "!",
            "audio/x-raw,format=F32LE,rate=16000,channels=1", "!", "pypipelinenode",
            f"module={HERE / 'node.py'}", "class=Clients", f"python-home={os.environ['PYTHON_HOME']}",
            f"isolation={isolation}", "max-retries=0", "breaker-threshold=0", "!", "fakesink"]
    environment = {**os.environ, "NO_PROXY": "127.0.0.1"}
    out = subprocess.run(line, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    if out.returncode:
        raise AssertionError(out.stdout + out.stderr)
    found, case = {}, None
    for text in out.stdout.splitlines():
        body = text.partition(" (element): ")[2]
        if body.startswith("case,"):
            fields = parse_structure(body)[1]
            case = (fields["client"], fields["answer"])
        elif body.startswith("pypipelinenode-failure,"):
            failure = NodeFailure.from_fields(parse_structure(body)[1])
            found[case] = (failure.exception, failure.retryable)
    return found


#: End of the class of what each client raises: for a status, for no answer in time, for no connection.
RAISES = {
    "requests": ("HTTPError", "ReadTimeout", "ConnectionError"),
    "httpx": ("HTTPStatusError", "ReadTimeout", "ConnectError"),
    "aiohttp": ("ClientResponseError", "SocketTimeoutError", "ClientConnectorError"),
    "openai": ("Error", "APITimeoutError", "APIConnectionError"),
    "urllib": ("HTTPError", "TimeoutError", "URLError"),
    "google-genai": ("Error", "ReadTimeout", "ConnectError"),
    "botocore": ("ClientError", "ReadTimeoutError", "EndpointConnectionError"),
    "grpc": ("_InactiveRpcError", "_InactiveRpcError", "_InactiveRpcError"),
}
TRANSIENT = ["408", "429", "500", "502", "503", "504", "late", "refused"]
PERMANENT = ["400", "401", "403", "404"]


class Clients(unittest.TestCase):
    maxDiff = None

    def check(self, isolation):
        found = play(isolation)
        told = {case: retryable for case, (_, retryable) in found.items()}
        expected = {(client, answer): answer in TRANSIENT
                    for client in RAISES for answer in TRANSIENT + PERMANENT}
        self.assertEqual(told, expected)
        for (client, answer), (exception, _) in found.items():
            status, late, refused = RAISES[client]
            ends = {"late": late, "refused": refused}.get(answer, status)
            self.assertTrue(exception.endswith(ends), f"{client} {answer}: {exception}")

    def test_of_nodes_in_this_process(self):
        self.check("inprocess")

    def test_of_nodes_in_a_process_of_their_own(self):
        self.check("process")


if __name__ == "__main__":
    unittest.main()
