"""Sends each utterance to a transcription service; transient failures are retried by the element.

    examples/flaky_server.py 8089 &
    ... ! audio/x-raw,format=S16LE,rate=16000,channels=1 ! rustvad ! \
        pypipelinenode module=examples/nodes/transcriber.py class=Transcriber \
        'kwargs={"url": "http://127.0.0.1:8089/"}' chunk=utterance chunk-duration=30000000000 ! ...

Posts a `transcript` message per utterance. A refused connection, a time-out and the statuses 429,
502, 503 and 504 count as transient (see retry-on); any other status does not.
"""

import json
import urllib.request


class Transcriber:
    def __init__(self, url, timeout=10.0):
        self.url = url
        self.timeout = timeout

    def start(self, info):
        self.headers = {"Content-Type": f"audio/l16; rate={info.rate}; channels={info.channels}"}

    def process(self, audio, ctx):
        request = urllib.request.Request(self.url, audio.tobytes(), self.headers)
        # urllib's HTTPError carries its status, which the element looks at.
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            text = json.load(answer)["text"]
        ctx.post("transcript", text=text, timestamp=ctx.pts, duration=ctx.duration,
                 utterance=ctx.utterance, attempt=ctx.attempt)
