"""An endpoint that costs the measured process nothing: nginx, answering as Target does."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BODY = "<response><success>true</success><pcId></pcId><message>Request successfully submitted</message></response>"
_CONFIG = """\
daemon off; master_process off; pid nginx.pid; error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off; client_body_temp_path .; proxy_temp_path .; fastcgi_temp_path .; uwsgi_temp_path .; scgi_temp_path .;
  large_client_header_buffers 4 64k; keepalive_requests 10000000;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/xml; return 200 '{body}'; }} }}
}}
"""
START_SECONDS = 10.0


@contextmanager
def endpoint(folder: Path) -> Iterator[str]:
    """Give its base URL; RuntimeError says how to get nginx where there is none."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        msg = "the benchmarks need nginx on the PATH (Debian: apt-get install nginx-light, macOS: brew install nginx)"
        raise RuntimeError(msg)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "nginx.conf").write_text(_CONFIG.format(port=port, body=_BODY))
    process = subprocess.Popen([program, "-p", str(folder), "-c", "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if time.monotonic() > deadline or process.poll() is not None:
                    msg = "nginx did not start"
                    raise RuntimeError(msg) from None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
