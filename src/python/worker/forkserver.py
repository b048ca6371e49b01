# SPDX-License-Identifier: MIT
"""Forks workers: Python and numpy are started once for all nodes that want the same.

Started with `python -c`, with the descriptor of a socket, the time for which workers watch for
requests, and the texts of worker.py and node.py as arguments. Requests and answers are packets of
that socket (see forkserver.rs); the server ends with its other end.
"""

import sys

# `-c` puts the current directory first: a json.py there must not be taken for the library's.
sys.path[:] = [folder for folder in sys.path if folder]

import array
import gc
import os
import signal
import socket
import struct
import time
import warnings

REQUEST = struct.Struct("<cI")
# Longest that a process which hangs may take to write its stack, and one to be ended, in seconds.
STACK, END = 0.5, 2.0

server = socket.socket(fileno=int(sys.argv[1]))
server.set_inheritable(False)
watch_ns, worker_source, node_source = int(sys.argv[2]), sys.argv[3], sys.argv[4]
sys.argv[:] = [""]
# The workers are in groups of their own: Ctrl-C is for the pipeline, which then ends them.
signal.signal(signal.SIGINT, signal.SIG_IGN)
# A program that ignores its children's ends hands that down, and nobody could be waited for.
signal.signal(signal.SIGCHLD, signal.SIG_DFL)

worker = {"__name__": "_rustaudio_worker"}
exec(compile(worker_source, "<rustaudio>/worker.py", "exec"), worker)
try:
    worker["load_helper"](node_source)
except BaseException:
    # The worker tries it again, and tells.
    pass


def is_alone():
    """Whether a fork copies all that runs here. Threads of a site's own would be missing in a worker,
    with the locks that they hold; those of OpenBLAS end before a fork and are made anew after it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


def receive():
    """A packet and the descriptors with it, which a program that is started does not get."""
    space = socket.CMSG_SPACE(8 * array.array("i").itemsize)
    packet, ancillary, _, _ = server.recvmsg(64, space, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for _, _, data in ancillary:
        fds.frombytes(data)
    return packet, list(fds)


def settle(pid):
    """A process leads a group of its own, whoever comes first."""
    try:
        os.setpgid(pid, 0)
    except OSError:
        pass


def become_worker(streams):
    """In the fork: what differs from one worker to the next."""
    try:
        settle(0)
        server.close()
        for number, fd in streams:
            os.dup2(fd, number)
            os.close(fd)
        if "numpy.random" in sys.modules:
            # Or all workers would draw the same numbers.
            sys.modules["numpy.random"].seed()
    except BaseException:
        # There must not be a second server.
        os._exit(1)


def spawn(fds, streams):
    """A worker that shares nothing with this process."""
    for fd in fds:
        os.set_inheritable(fd, True)
    arguments = [str(n) for n in (*fds, os.getpid(), watch_ns)]
    return os.posix_spawn(
        sys.executable, [sys.executable, "-c", worker_source, *arguments, node_source], os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in streams], setpgroup=0)


def has_ended(pid):
    # It stays a zombie until it is asked for: its number is nobody else's till then.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def waits(pid, seconds):
    until = time.monotonic() + seconds
    while not has_ended(pid):
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def end(pid, dump):
    """Ends a worker and what it started; its wait status."""
    try:
        if dump:
            os.kill(pid, worker["DUMP"])
            waits(pid, STACK)
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    return b"S" + struct.pack("<i", os.waitpid(pid, 0)[1]) if waits(pid, END) else b"?"


def serve():
    """Answers requests; returns in each fork, with the descriptors of its worker."""
    forks = is_alone()
    if sys.version_info >= (3, 10):
        # What is there now is not looked at again, so that its pages stay shared. (The worker tells
        # that an older one is not supported.)
        gc.collect()
        gc.freeze()
    me = os.getpid()
    while True:
        packet, fds = receive()
        if not packet:
            sys.exit()
        kind, number = REQUEST.unpack(packet)
        try:
            if kind == b"F":
                # Standard streams as they are now, where there are any: bits 1 and 2 of the number.
                given = iter(fds[3:])
                streams = [(n, next(given)) for n in (1, 2) if number & 1 << n]
                if forks:
                    pid = os.fork()
                    if not pid:
                        become_worker(streams)
                        return (*fds[:3], me)
                    settle(pid)
                else:
                    pid = spawn(fds[:3], streams)
                answer = b"P" + struct.pack("<I", pid)
            elif kind == b"E":
                answer = b"1" if has_ended(number) else b"0"
            else:
                answer = end(number, kind == b"D")
        except OSError as error:
            answer = b"!" + str(error).encode("utf-8", "replace")[:1000]
        for fd in fds:
            os.close(fd)
        server.send(answer)


mine = serve()
worker["main"](*mine, watch_ns, node_source)
