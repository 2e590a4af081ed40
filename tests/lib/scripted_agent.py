# SPDX-License-Identifier: LGPL-2.1-or-later
"""An agent's control socket whose answers the test chooses: a real UNIX socket, served by a thread."""

import json
import socket
import threading


class ScriptedAgent:
    """
    Serves PATH until stop(). SCRIPT is called for each connection with (connection, request line) and sends what it
    likes; the connection is closed when it returns. Every whole line received is kept in `requests`.
    """

    def __init__(self, path, script):
        self.path, self.script, self.requests = path, script, []
        self.ending = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen(8)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                if self.ending.is_set():
                    return
                try:
                    line = connection.makefile("rb").readline()
                    if line.endswith(b"\n"):
                        self.requests.append(line[:-1])
                        self.script(connection, line)
                except OSError:
                    pass  # the peer went away first, which is its right

    def objects(self):
        return [json.loads(line) for line in self.requests]

    def stop(self):
        self.ending.set()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as wake:
            wake.connect(self.path)
            self.thread.join()
        self.listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def reply(**members):
    """A script that answers every request with one object."""
    return lines(json.dumps(members).encode() + b"\n")


def lines(data):
    """A script that sends these bytes, whatever they are, and closes."""
    return lambda connection, _: connection.sendall(data)


def until_peer_leaves(connection):
    """Returns once the peer has closed its end."""
    while connection.recv(4096):
        pass


def silent(connection, _):
    """A script that never answers."""
    until_peer_leaves(connection)
