"""How many requests for files one second of a core answers: ours beside nginx, over the same files, in turns.

    python -m benchmarks.media [seconds]

It needs nginx and wrk (on Debian: apt-get install nginx-light wrk) and says so when they are missing. Each case is
asked of one server and then of the other, several times; what is compared is the processor time of the server's
process, kernel included, because wrk shares the cores with it.
"""

import base64
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path

from loaders.pages import Seal
from media.kinds import GROUPS
from media.placeholders import of
from media.tickets import Addresses
from ops.local import free_port

ROOT = Path(__file__).parents[1]
ROUNDS = 5
SECONDS = 2
CONNECTIONS = 16
ICON_BYTES, PDF_BYTES = 700, 100_000
HEADERS = {"icon, if changed": ("-H", 'If-None-Match: "another"')}
"""What is asked with a condition goes the long way here: as an ordinary ASGI application answers it."""

TICKS = os.sysconf("SC_CLK_TCK")
SECRET = "a secret for the time of a benchmark"
NAME = "0192f3c4a1b27c3d9e8f001122334455.pdf"

NGINX = """
worker_processes 1; daemon off; pid {home}/nginx.pid; error_log {home}/nginx.log;
{user}
events {{ worker_connections 1024; }}
http {{
    access_log off; sendfile on; tcp_nopush on; etag on; keepalive_requests 100000000;
    open_file_cache max=1000; types {{ image/png png; application/pdf pdf; }}
    client_body_temp_path {home}/b; proxy_temp_path {home}/p; fastcgi_temp_path {home}/f;
    uwsgi_temp_path {home}/u; scgi_temp_path {home}/s;
    server {{
        listen 127.0.0.1:{port};
        add_header X-Content-Type-Options nosniff always;
        add_header Content-Security-Policy sandbox always;
        root {home};
        location /static/icons/ {{ try_files $uri /none.png; expires 5m; }}
        location /static/resume/ {{ try_files $uri /none.pdf; }}
    }}
}}
"""


@dataclass
class Server:
    """One of the two, and what was measured of it."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    worker: int
    paths: dict[str, str]
    requests: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)

    def cpu(self) -> float:
        """Processor seconds of the process that answers."""
        stat = Path(f"/proc/{self.worker}/stat").read_text().rpartition(")")[2].split()
        return (int(stat[11]) + int(stat[12])) / TICKS

    def ask(self, case: str, seconds: int) -> None:
        """Ask one thing as fast as it can be answered."""
        address = f"http://127.0.0.1:{self.port}{self.paths[case]}"
        before, began = self.cpu(), time.monotonic()
        command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", *HEADERS.get(case, ()), address]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert "Non-2xx" not in said, said
        self.seconds[case] = self.seconds.get(case, 0.0) + self.cpu() - before
        self.wall[case] = self.wall.get(case, 0.0) + time.monotonic() - began
        count = int(next(line for line in said.splitlines() if "requests in" in line).split()[0])
        self.requests[case] = self.requests.get(case, 0) + count


def _wait(port: int, path: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            line = HTTPConnection("127.0.0.1", port, timeout=5)
            line.request("GET", path)
            if line.getresponse().status == 200:
                return
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing answers at {port}")
        time.sleep(0.05)


@contextmanager
def _running(command: list[str], **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment})
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _ours(files: Path, paths: dict[str, str]) -> Iterator[Server]:
    port = free_port()
    seed = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
    told = {
        # Reading asks neither of them anything.
        "DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/none",
        "REDIS_URL": "redis://127.0.0.1:1/0",
        "WORKUP_SECRET": SECRET,
        "WORKUP_SIGNING_KEYS": f"bench:{seed}",
        "WORKUP_MEDIA_URL": files.as_uri(),
        "WORKUP_LOG_LEVEL": "WARNING",
        "PORT": str(port),
    }
    with _running([sys.executable, "-m", "ops", "serve", "--only", "media"], **told) as process:
        _wait(port, "/describe")
        yield Server("WorkUp", process, port, process.pid, paths)


@contextmanager
def _nginx(home: Path, paths: dict[str, str]) -> Iterator[Server]:
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    conf = home / "nginx.conf"
    conf.write_text(NGINX.format(home=home, port=port, user=user))
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    with _running([binary, "-c", str(conf), "-e", str(home / "nginx.log")]) as process:
        _wait(port, paths["icon"])
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield Server("nginx", process, port, int(children[0]), paths)


def _files(home: Path) -> Path:
    files = home / "static"
    for group in ("icons", "resume"):
        (files / group).mkdir(parents=True)
    (files / "icons" / "home.png").write_bytes(b"\x89PNG\r\n\x1a\n" + os.urandom(ICON_BYTES))
    (files / "resume" / NAME).write_bytes(b"%PDF-1.4\n" + os.urandom(PDF_BYTES))
    (home / "none.png").write_bytes(of(GROUPS["icons"]).body)
    (home / "none.pdf").write_bytes(of(GROUPS["resume"]).body)
    return files


def main() -> None:
    """Measure, and print a table."""
    missing = [name for name in ("nginx", "wrk") if not (shutil.which(name) or Path(f"/usr/sbin/{name}").exists())]
    if missing:
        print(f"Skipped: {' and '.join(missing)} missing (on Debian: apt-get install nginx-light wrk).")
        return
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    with tempfile.TemporaryDirectory(prefix="workup-bench-") as directory:
        home = Path(directory)
        files = _files(home)
        plain = {
            "icon": "/static/icons/home.png",
            "icon, none": "/static/icons/away.png",
            "icon, if changed": "/static/icons/home.png",
            "100 KB PDF": f"/static/resume/{NAME}",
            "PDF, none": f"/static/resume/{NAME.replace('0', 'f')}",
        }
        # Private files are read through links here; nginx is not asked to check any.
        addresses = Addresses(Seal(SECRET.encode()))
        until = datetime.now(UTC) + timedelta(hours=1)
        linked = {
            case: path
            if "icon" in case
            else addresses.private("resume", path.rpartition("/")[2], save_as="cv.pdf", expires_at=until)
            for case, path in plain.items()
        }
        with _ours(files, linked) as ours, _nginx(home, plain) as nginx:
            for _ in range(ROUNDS):
                for case in plain:
                    for server in (ours, nginx):
                        server.ask(case, seconds)
        _print(ours, nginx)


def _print(ours: Server, nginx: Server) -> None:
    print("| asked for | server | requests/s | CPU s per 1 000 | requests per CPU s | of nginx's |")
    print("|---|---|---|---|---|---|")
    for case in ours.paths:
        per_cpu = {server.name: server.requests[case] / server.seconds[case] for server in (ours, nginx)}
        for server in (ours, nginx):
            share = f"{per_cpu[ours.name] / per_cpu[nginx.name]:.2f}" if server is ours else ""
            print(
                f"| {case} | {server.name} | {server.requests[case] / server.wall[case]:,.0f} "
                f"| {1000 / per_cpu[server.name]:.4f} | {per_cpu[server.name]:,.0f} | {share} |"
            )


if __name__ == "__main__":
    main()
