"""An application that answers over HTTP while a test runs."""

import threading
import time

import uvicorn
from fastapi import FastAPI


class Served(uvicorn.Server):
    """An application in a thread, on a free port."""

    def __init__(self, app: FastAPI) -> None:
        super().__init__(uvicorn.Config(app, port=0, log_level="warning"))
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self) -> str:
        self.thread.start()
        until = time.monotonic() + 60
        while not self.started and self.thread.is_alive() and time.monotonic() < until:
            time.sleep(0.02)
        return f"http://127.0.0.1:{self.servers[0].sockets[0].getsockname()[1]}"

    def __exit__(self, *reason: object) -> None:
        self.should_exit = True
        self.thread.join(30)
