"""Servers on loopback: S3 (rclone), Google's store (an emulator), SFTP (OpenSSH), HTTP."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

KEY, SECRET = "TESTKEYID", "very-secret-key"


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "the server has ended"
        with socket.socket() as knock:
            if knock.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the server does not start")


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, server)
        yield
    finally:
        server.terminate()
        server.wait()


def _program(name: str) -> str:
    """Return a program of this environment, or of the system; skips where it is missing."""
    places = (os.path.dirname(sys.executable), os.environ.get("PATH", ""), "/usr/sbin")
    found = shutil.which(name, path=":".join(places))
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextmanager
def gcs_server(root: Path, bucket: str) -> Iterator[dict[str, str]]:
    """Serve what is below ``root`` as a bucket; gives the environment that leads there."""
    from gcsfs.core import GCSFileSystem

    program, port = _program("gcp-storage-emulator"), free_port()
    command = [program, "start", "--host=127.0.0.1", f"--port={port}", "--in-memory"]
    with _running([*command, f"--default-bucket={bucket}"], port):
        url = f"http://127.0.0.1:{port}"
        fill = GCSFileSystem(endpoint_url=url, token="anon", skip_instance_cache=True)
        with warnings.catch_warnings(action="ignore"):  # large bodies, sent at once
            for path in root.rglob("*"):
                if path.is_file():
                    fill.pipe(f"{bucket}/{path.relative_to(root)}", path.read_bytes())
        yield {"STORAGE_EMULATOR_HOST": url, "NO_GCE_CHECK": "true"}


@contextmanager
def s3_server(root: Path) -> Iterator[dict[str, str]]:
    """Serve the folders of ``root`` as buckets; gives the environment that leads there."""
    program, port = _program("rclone"), free_port()
    command = [program, "serve", "s3", "--auth-key", f"{KEY},{SECRET}", "--config", ""]
    command += ["--addr", f"127.0.0.1:{port}", "--vfs-cache-mode", "off", "--dir-cache-time", "0"]
    with _running([*command, "--no-checksum", str(root)], port):
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def sftp_server(home: Path) -> Iterator[str]:
    """Run an SSH server whose host key and user's key lie in ``home``; gives user@host:port.

    ``home`` is laid out as the home folder of a client that may connect.
    """
    program, port = _program("sshd"), free_port()
    keys, ssh = home / "server", home / ".ssh"
    keys.mkdir(parents=True, mode=0o700)
    ssh.mkdir(mode=0o700)
    for key in (keys / "host", ssh / "id_ed25519"):
        generate = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)]
        subprocess.run(generate, check=True)
    host_key = (keys / "host.pub").read_text()
    (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}")
    (keys / "authorized").write_text((ssh / "id_ed25519.pub").read_text())
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    config = keys / "config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {keys / 'host'}\nPidFile none\n"
        f"AuthorizedKeysFile {keys / 'authorized'}\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nPermitRootLogin yes\nSubsystem sftp internal-sftp\n"
    )
    with _running([program, "-D", "-e", "-f", str(config)], port):
        yield f"{getpass.getuser()}@127.0.0.1:{port}"


class _Pages(SimpleHTTPRequestHandler):
    """Files with ETags; in ranges where the server gives them."""

    server: Web

    def do_GET(self) -> None:
        """Send a file, or the part of it that was asked for."""
        self.server.asked.append(f"{self.path} {self.headers.get('Range', 'all')}")
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send what is known of a file."""
        self._answer(body=False)

    def _answer(self, *, body: bool) -> None:
        wanted = self.headers.get("Authorization")
        if self.server.password is not None and wanted != self.server.password:
            self.send_error(401)
            return
        path = Path(self.translate_path(self.path))
        if self.server.status is not None:
            self.send_error(self.server.status)
        elif path.is_dir():
            page = self.list_directory(str(path))
            if page is not None and body:
                shutil.copyfileobj(page, self.wfile)
        elif not path.is_file():
            self.send_error(404)
        else:
            self._send(path, body)

    def _send(self, path: Path, body: bool) -> None:
        data = path.read_bytes()
        start, stop, size = 0, len(data), len(data)
        asked = self.headers.get("Range")
        partial = asked is not None and self.server.ranges
        if partial:
            first, _, last = str(asked).removeprefix("bytes=").partition("-")
            start, stop = int(first), min(int(last or size) + 1, size)
        self.send_response(206 if partial else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("ETag", f'"{hash(data) & 0xFFFFFFFF:x}"')
        if partial:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.end_headers()
        if body:
            try:
                self.wfile.write(data[start:stop])
            except ConnectionError:  # who only looks does not wait for all
                pass

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing."""


class Web(ThreadingHTTPServer):
    """An HTTP server over a folder. ``asked`` are the requests for content that came."""

    daemon_threads = True

    def __init__(self, root: Path, *, ranges: bool) -> None:
        self.ranges, self.root = ranges, root
        self.password: str | None = None
        self.status: int | None = None
        self.asked: list[str] = []
        super().__init__(("127.0.0.1", 0), self._handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def _handler(self, *arguments: object) -> _Pages:
        return _Pages(*arguments, directory=str(self.root))  # type: ignore[arg-type]


@contextmanager
def web_server(root: Path, *, ranges: bool = True) -> Iterator[Web]:
    """Serve a folder over HTTP."""
    with Web(root, ranges=ranges) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent_server() -> Iterator[int]:
    """Listen on a port and never answer; gives the port."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(64)
        yield int(server.getsockname()[1])
