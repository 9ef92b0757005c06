"""Logins, helpers, challenges, mirrors, proxies: everything that is read before a byte is sent."""

from __future__ import annotations

import json
import os
import stat
import threading
import time
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from runtime.errors import RuntimeFault
from runtime.images.registry.auth import parse_challenges
from runtime.images.registry.client import seconds_until
from runtime.images.registry.credentials import Login, erase_login, find_login, store_login
from runtime.images.registry.pull import pull
from runtime.images.registry.settings import Endpoint, Settings, endpoints, is_insecure, read_settings, split_host
from runtime.images.registry.transport import Target, proxy_for, redirected
from runtime.paths import Roots
from tests.runtime.images.conftest import make_tar, member
from tests.runtime.images.registry.fake import Registry, basic

AUTH = basic("me", "wo:rd").removeprefix("Basic ")


def config(tmp_path: Path, plain: dict[str, Any]) -> dict[str, str]:
    (tmp_path / "config.json").write_text(json.dumps(plain))
    return {"DOCKER_CONFIG": str(tmp_path), "HOME": str(tmp_path)}


@pytest.mark.parametrize("key", ["r.io", "https://r.io", "https://r.io/v1/", "r.io/v2/", "http://r.io"])
def test_keys_of_logins_in_the_wild(tmp_path: Path, key: str) -> None:
    environ = config(tmp_path, {"auths": {key: {"auth": AUTH}}})
    assert find_login("r.io", "a/b", environ) == Login("me", "wo:rd")
    assert find_login("other.io", "a/b", environ) is None


def test_docker_hub_has_a_key_of_its_own(tmp_path: Path) -> None:
    environ = config(tmp_path, {"auths": {"https://index.docker.io/v1/": {"auth": AUTH, "identitytoken": "t"}}})
    assert find_login("docker.io", "library/x", environ) == Login("me", token="t")


def test_the_environment_goes_first(tmp_path: Path) -> None:
    environ = config(tmp_path, {"auths": {"r.io": {"auth": basic("file", "x")[6:]}}})
    environ["DOCKER_AUTH_CONFIG"] = json.dumps({"auths": {"r.io": {"auth": AUTH}}})
    assert find_login("r.io", "a", environ) == Login("me", "wo:rd")


def test_podman_s_longest_path_wins(tmp_path: Path) -> None:
    auths = {"r.io": {"auth": basic("all", "x")[6:]}, "r.io/team": {"auth": AUTH}}
    (tmp_path / "auth.json").write_text(json.dumps({"auths": auths}))
    environ = {"HOME": "/nonexistent", "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json")}
    assert find_login("r.io", "team/app", environ) == Login("me", "wo:rd")
    assert find_login("r.io", "other/app", environ) == Login("all", "x")


@pytest.fixture
def helper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper that keeps what it is given in a file, and says what it was called with."""
    program = tmp_path / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(
        f"""#!/bin/sh
echo "$@" >> {tmp_path}/calls
case $1 in
  store) cat > {tmp_path}/kept;;
  get) read server; [ -e {tmp_path}/kept ] && cat {tmp_path}/kept && exit 0
       echo "credentials not found in native keychain"; exit 1;;
  erase) rm {tmp_path}/kept;;
esac
"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


def test_a_credential_helper(helper: Path) -> None:
    environ = config(helper, {"credHelpers": {"r.io": "test"}})
    assert find_login("r.io", "a", environ) is None
    assert store_login("r.io", Login("me", "s3cret"), environ) == "docker-credential-test"
    assert find_login("r.io", "a", environ) == Login("me", "s3cret")
    assert "s3cret" not in (helper / "calls").read_text()
    assert "s3cret" not in (helper / "config.json").read_text()
    assert erase_login("r.io", environ)
    assert find_login("r.io", "a", environ) is None


def test_a_helper_with_an_identity_token(helper: Path) -> None:
    environ = config(helper, {"credsStore": "test"})
    (helper / "kept").write_text(json.dumps({"Username": "<token>", "Secret": "idtoken"}))
    assert find_login("any.io", "a", environ) == Login(token="idtoken")


def test_broken_files_and_helpers_are_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(RuntimeFault, match=r"cannot read .*config\.json"):
        find_login("r.io", "a", {"DOCKER_CONFIG": str(tmp_path)})
    environ = config(tmp_path, {"credsStore": "no-such-helper"})
    with pytest.raises(RuntimeFault, match="cannot run docker-credential-no-such-helper"):
        find_login("r.io", "a", environ)
    with pytest.raises(RuntimeFault, match="it is not a name"):
        find_login("r.io", "a", config(tmp_path, {"credsStore": "../../bin/sh"}))


def test_keeping_a_login_leaves_the_rest(tmp_path: Path) -> None:
    environ = config(tmp_path, {"auths": {"other.io": {"auth": "eDp5"}}, "proxies": {"default": {}}})
    store_login("r.io", Login("me", "x"), environ)
    plain = json.loads((tmp_path / "config.json").read_text())
    assert set(plain) == {"auths", "proxies"}
    assert set(plain["auths"]) == {"other.io", "r.io"}
    assert stat.S_IMODE(os.stat(tmp_path / "config.json").st_mode) == 0o600


def test_challenges() -> None:
    rows = parse_challenges(
        [
            'Bearer realm="https://a/t?x=1,2",service="s \\"q\\"",scope="repository:x:pull,push", Basic realm="b"',
            "Negotiate",
        ]
    )
    assert [(row.scheme, dict(row.values)) for row in rows] == [
        ("bearer", {"realm": "https://a/t?x=1,2", "service": 's "q"', "scope": "repository:x:pull,push"}),
        ("basic", {"realm": "b"}),
        ("negotiate", {}),
    ]


@pytest.mark.parametrize("text", ["", ",", "Bearer", 'Bearer realm="', "=", 'a="b', "Bearer realm=x,,service=y"])
def test_odd_challenges_end(text: str) -> None:
    parse_challenges([text])


def test_retry_after() -> None:
    assert seconds_until("7") == 7
    assert 50 < seconds_until(formatdate(time.time() + 60, usegmt=True)) <= 60
    assert seconds_until("soon") == 1


def test_mirrors_and_certificates(tmp_path: Path) -> None:
    daemon = {"registry-mirrors": ["https://mirror.io/hub/"], "insecure-registries": ["10.1.0.0/16", "plain.io:5000"]}
    (tmp_path / "daemon.json").write_text(json.dumps(daemon))
    directory = tmp_path / "certs" / "r.io:5000"
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_text("x")
    (directory / "hosts.toml").write_text('[host."http://near:80"]\ncapabilities = ["pull"]\n[host."https://far"]\n')
    settings = read_settings(
        {"PYCOMPOSE_DAEMON_FILE": str(tmp_path / "daemon.json"), "PYCOMPOSE_CERTS_DIR": str(tmp_path / "certs")}
    )
    hub = endpoints(settings, "docker.io")
    assert [(one.host, one.prefix, one.mirror) for one in hub] == [
        ("mirror.io", "/hub", True),
        ("registry-1.docker.io", "", False),
    ]
    assert [one.host for one in endpoints(settings, "docker.io", push=True)] == ["registry-1.docker.io"]
    own = endpoints(settings, "r.io:5000")
    assert [(one.host, one.scheme, one.resolves) for one in own] == [
        ("near:80", "http", False),
        ("far", "https", True),
        ("r.io:5000", "https", True),
    ]
    assert own[-1].certs == str(directory)
    assert endpoints(settings, "10.1.2.3:5000")[-1] == Endpoint("10.1.2.3:5000", "", verify=False)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [("127.0.0.1:5000", True), ("[::1]:5000", True), ("localhost", True), ("10.0.0.1", False), ("my.local", False)],
)
def test_only_loopback_is_insecure_by_itself(host: str, wanted: bool) -> None:
    assert is_insecure(host, ()) is wanted


def test_hosts_with_ports() -> None:
    assert split_host("[::1]:5000") == ("::1", 5000)
    assert split_host("r.io") == ("r.io", 0)


def test_proxies() -> None:
    environ = {"HTTPS_PROXY": "proxy:3128", "http_proxy": "http://u:p@other:80", "no_proxy": "inner.io,.corp,*.x"}
    found = proxy_for("https", "r.io", environ)
    assert (found.hostname, found.port) == ("proxy", 3128)
    assert proxy_for("http", "r.io", environ).username == "u"
    for name in ("inner.io", "a.inner.io", "b.corp", "localhost", "127.0.0.1"):
        assert proxy_for("https", name, environ) is None
    assert proxy_for("https", "r.io", {**environ, "no_proxy": "*"}) is None


@pytest.mark.parametrize(
    ("where", "host", "path", "moved"),
    [
        ("/v2/x?a=1", "r.io", "/v2/x?a=1", False),
        ("uploads/2", "r.io", "/v2/a/uploads/2", False),
        ("https://cdn.io/b?sig=1", "cdn.io", "/b?sig=1", True),
        ("https://u:p@cdn.io", "cdn.io", "/", True),
    ],
)
def test_redirects(where: str, host: str, path: str, moved: bool) -> None:
    target, place, gone = redirected(Target("https", "r.io"), "/v2/a/start", where)
    assert (target.host, place, gone) == (host, path, moved)


@pytest.mark.parametrize("where", ["http://cdn.io/x", "file:///etc/passwd", "ftp://x/y"])
def test_redirects_that_lead_out_of_https(where: str) -> None:
    with pytest.raises(RuntimeFault, match="it leads from https"):
        redirected(Target("https", "r.io"), "/", where)


class Proxy(BaseHTTPRequestHandler):
    """Passes GETs with absolute addresses on to the test's registry, whatever host they name."""

    seen: list[str] = []
    behind = ""

    def log_message(self, *_args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        import http.client

        self.seen.append(self.path)
        connection = http.client.HTTPConnection(self.behind)
        connection.request(
            "GET", self.path.split("/", 3)[3].join(("/", "")), headers={"Accept": self.headers.get("Accept", "")}
        )
        answer = connection.getresponse()
        data = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.getheader("Content-Type") or "")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.mark.root
def test_a_pull_through_a_proxy(roots: Roots, server: Registry) -> None:
    server.add_image(make_tar(member("a")))
    Proxy.behind = server.host
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, args=(0.01,), daemon=True).start()
    environ = {"HOME": "/nonexistent", "http_proxy": f"http://127.0.0.1:{proxy.server_port}"}
    settings = Settings(environ, insecure=("registry.test",), attempts=2, backoff=0.01, certs_dir="/nonexistent")
    try:
        assert pull(roots, "registry.test/x/y:1", settings=settings).changed
    finally:
        proxy.shutdown()
        proxy.server_close()
    assert all(path.startswith("http://registry.test/v2/") for path in Proxy.seen)
