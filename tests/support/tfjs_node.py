"""TensorFlow.js in a Node process: JavaScript in, arrays out."""

from __future__ import annotations

import base64
import json
import queue
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
SERVER = Path(__file__).with_name("tfjs_server.mjs")
MISSING = (
    "Node or its packages are missing, so nothing was compared with TensorFlow.js: install Node 20, then 'npm ci'."
)


class NodeError(Exception):
    """What JavaScript threw."""


def available() -> bool:
    """Whether Node and TensorFlow.js are installed."""
    return shutil.which("node") is not None and (ROOT / "node_modules" / "@tensorflow" / "tfjs").is_dir()


class Node:
    """A Node process with TensorFlow.js on one backend; it is started by the first call.

    ``node(code, name=value, ...)`` runs the body of an async function with `tf`, `given` (the values; arrays become
    tensors), `load(path of model.json)`, `save(model, directory, options)` and `require`, and returns what it returns
    (tensors become arrays).
    """

    def __init__(self, backend: str = "cpu") -> None:
        self.backend = backend
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str] = queue.Queue()

    def __call__(self, code: str, *, timeout: float = 120, **given: Any) -> Any:
        """Run JavaScript.

        Raises
        ------
        NodeError
            It threw, or gave no answer in so many seconds (the process is ended then, and the next call starts anew).
        """
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"code": code, "given": _sent(given)}) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            self.close()
            raise NodeError(f"no answer in {timeout} s") from None
        if not line:
            self.close()
            raise NodeError("Node ended")
        answer = json.loads(line)
        if "error" in answer:
            raise NodeError(answer["error"])
        return _received(answer["result"])

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None
            self._lines = queue.Queue()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            ["node", str(SERVER), self.backend], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        threading.Thread(target=self._read, args=(self._process, self._lines), daemon=True).start()

    @staticmethod
    def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.put(line)
        except ValueError:  # closed while it was read
            pass
        lines.put("")


def _sent(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value, _dtype(value))
        data = base64.b64encode(plain.tobytes()).decode()
        return {"shape": list(value.shape), "dtype": str(plain.dtype), "data": data}
    if isinstance(value, dict):
        return {key: _sent(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sent(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _dtype(value: np.ndarray) -> str:
    return "int32" if value.dtype.kind in "iu" else "float32"


def _received(value: Any) -> Any:
    if isinstance(value, dict) and value.keys() == {"shape", "dtype", "data"}:
        dtype = "uint8" if value["dtype"] == "bool" else value["dtype"]
        return np.frombuffer(base64.b64decode(value["data"]), dtype).reshape(value["shape"])
    if isinstance(value, dict):
        return {key: _received(item) for key, item in value.items()}
    return [_received(item) for item in value] if isinstance(value, list) else value
