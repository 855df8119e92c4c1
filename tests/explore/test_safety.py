"""Attacks on the page's server: each is refused before any route runs, and the page itself gets through."""

import io
import json
import socket
import struct
import zlib

import pytest
from PIL import Image
from starlette.testclient import TestClient

from genrev_cli.explore import safety
from genrev_cli.explore.app import PAGE, make_app
from genrev_cli.explore.safety import Guard, Hosts

TOKEN, PORT = "the-right-token", 8123
OWN = f"http://127.0.0.1:{PORT}"


@pytest.fixture(scope="module")
def client(session):
    app = Guard(make_app(session), token=TOKEN, hosts=Hosts("127.0.0.1", PORT))
    return TestClient(app, base_url=OWN, headers={"x-genrev-token": TOKEN, "origin": OWN})


def told(answer):
    return answer.status_code, answer.json()["error"]


def told_frame(answer):
    assert answer.status_code == 200, answer.text
    length = int.from_bytes(answer.content[:4], "big")
    return json.loads(answer.content[4 : 4 + length]), answer.content[4 + length :]


def a_png(size=(8, 8)):
    buffer = io.BytesIO()
    Image.new("L", size, 130).save(buffer, "PNG")
    return buffer.getvalue()


def test_the_page_and_its_requests_get_through(client):
    for path, (_, kind) in PAGE.items():
        answer = client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert client.get("/api/about").json()["active"] == 4
    photo, pixels = told_frame(client.post("/api/photo", content=a_png(), headers={"x-name": "me%20too.png"}))
    assert (photo["name"], photo["pictures"], len(pixels)) == ("me too.png", [3, 8, 8, 1], 192)
    edited, pixels = told_frame(client.post("/api/edit", json={"photo": photo["photo"], "changes": {"move": {"7": 2}}}))
    assert edited["pictures"] == [1, 8, 8, 1]
    assert "genrev edit 'me too.png'" in edited["command"]
    assert edited["changed"] > 0
    path = {"first": {"kind": "map", "number": 1}, "last": {"kind": "data", "number": 2}, "frames": 4}
    assert told_frame(client.post("/api/path", json=path))[0]["pictures"] == [4, 8, 8, 1]
    for what, magic, name in (
        ("png", b"\x89PNG", "me%20too-edited.png"),
        ("code", b"\x89HDF", "me%20too-edited.h5"),
        ("original", b"\x89PNG", "me%20too.png"),
    ):
        answer = client.post("/api/save", json={"photo": photo["photo"], "changes": {"dims": {"1": 1}}, "what": what})
        assert answer.content.startswith(magic)
        assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{name}"


def test_the_map_comes_when_it_is_ready(client, session):
    session.maps.wait("pca")
    found = client.get("/api/map?kind=pca").json()
    assert (found["ready"], len(found["points"]), len(found["labels"])) == (True, 60, 60)


def test_every_answer_forbids_what_the_page_does_not_need(client):
    for answer in (client.get("/"), client.get("/api/about"), client.get("/", headers={"host": "evil.example"}), client.get("/none")):
        assert {name: answer.headers[name] for name in safety.HEADERS} == safety.HEADERS
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_the_page_has_no_inline_script_style_or_foreign_address(client):
    page = client.get("/").text
    assert page.count("<script") == 1
    assert '<script type="module" src="app.js"></script>' in page
    for path in PAGE:
        text = client.get(path).text
        assert "style=" not in text
        assert "://" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize("token", [None, "", "the-right-toke", TOKEN + "x", "Ü"])
def test_a_wrong_token(client, token):
    headers = {} if token is None else {"x-genrev-token": token.encode()}
    bare = TestClient(client.app, base_url=OWN, headers=headers)
    for answer in (bare.get("/api/about"), bare.post("/api/photo", content=a_png()), bare.get(f"/api/about?token={TOKEN}")):
        status, reason = told(answer)
        assert status == 401
        assert "use the whole address" in reason


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", f"10.0.0.1:{PORT}", "", f"127.0.0.1.evil.example:{PORT}"]
)
def test_a_wrong_host(client, host):
    """DNS rebinding: the name of another site that points to this machine."""
    for path in ("/", "/api/about"):
        assert told(client.get(path, headers={"host": host}))[0] == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", "http://127.0.0.1:9999", f"http://127.0.0.1:{PORT}@evil.example"]
)
def test_a_foreign_origin(client, origin):
    for answer in (
        client.post("/api/draw", json={"kind": "prior"}, headers={"origin": origin}),
        client.get("/api/about", headers={"origin": origin}),
    ):
        assert told(answer) == (403, "requests of other pages are refused")


def test_a_request_that_the_browser_calls_cross_site(client):
    assert told(client.get("/api/about", headers={"sec-fetch-site": "cross-site"}))[0] == 403
    assert client.get("/api/about", headers={"sec-fetch-site": "same-origin"}).status_code == 200


def test_a_question_whether_another_origin_may_send_the_token(client):
    """The preflight of a browser: it is refused, so the browser never sends the request."""
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST", "access-control-request-headers": "x-genrev-token"}
    answer = client.options("/api/draw", headers=asked)
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


def test_too_large_a_body(client, monkeypatch):
    answer = client.post("/api/edit", content=b"x" * (safety.MOST_BYTES + 1))
    assert told(answer)[0] == 413
    monkeypatch.setattr(safety, "MOST_PHOTO_BYTES", 1000)
    assert told(client.post("/api/photo", content=b"x" * 1001))[0] == 413
    assert told(client.post("/api/photo", content=iter([b"x" * 10])))[0] == 411
    for length in ("-1", "1e3", "9" * 40, "٣"):
        assert told(client.post("/api/edit", content=b"{}", headers={"content-length": length.encode()}))[0] in (411, 413)


def test_a_body_that_is_longer_than_it_says(client):
    """The length is believed only as long as the body keeps it."""
    answer = client.post("/api/edit", content=b"x" * (safety.MOST_BYTES + 1), headers={"content-length": "10"})
    assert told(answer)[0] == 413


def bomb(width=60_000, height=60_000):
    """A PNG of a few hundred bytes that claims 3.6 billion pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [bomb(), b"", b"GIF89a", b"<svg onload=alert(1)>", b"%!PS-Adobe-3.0\n", a_png()[:40]],
    ids=["bomb", "empty", "gif", "svg", "ps", "cut"],
)
def test_a_picture_that_is_none(client, data):
    status, reason = told(client.post("/api/photo", content=data, headers={"x-name": "x.png"}))
    assert status == 400
    assert reason.startswith("x.png: not a usable picture (")


@pytest.mark.parametrize(
    "path",
    [
        "/../pyproject.toml",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/app.py",
        "//etc/passwd",
        "/page/app.js",
        "/api/../about",
    ],
)
def test_other_files_cannot_be_asked_for(client, path):
    assert client.get(OWN + path).status_code == 404


def test_a_name_is_never_a_path(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photo, _ = told_frame(client.post("/api/photo", content=a_png(), headers={"x-name": "..%2F..%2F%2Ftmp%2Fevil.png"}))
    assert photo["name"] == "evil.png"
    client.post("/api/save", json={"photo": photo["photo"], "what": "code"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 60_000, b'"x"', b"\xff\xfe"])
def test_a_body_that_is_no_object(client, body):
    for path in ("edit", "draw", "path", "save"):
        assert told(client.post(f"/api/{path}", content=body))[0] == 400


def test_wrong_values_get_a_sentence(client):
    for path, table in (
        ("edit", {"photo": 10**6}),
        ("edit", {"photo": "1"}),
        ("draw", {"kind": "x"}),
        ("path", {"first": 1}),
        ("save", {"photo": 1, "what": "x"}),
    ):
        status, reason = told(client.post(f"/api/{path}", json=table))
        assert status == 400
        assert reason
    assert client.post("/").status_code == 405
    assert client.get("/api/draw").status_code == 405
    assert told(client.get("/api/map?kind=x"))[0] == 400


def test_requests_that_no_browser_sends(session, served):
    """Over a real connection: the answer comes before the body, and the connection is closed."""
    with served(session) as address:
        base, token = address.split("/#")
        port = int(base.rpartition(":")[2])
        host, own = f"Host: 127.0.0.1:{port}\r\n", f"X-Genrev-Token: {token}\r\n"
        for head, status in (
            (f"POST /api/photo HTTP/1.1\r\n{host}{own}Content-Length: 1000000000\r\n", b"413"),
            (f"POST /api/photo HTTP/1.1\r\n{host}{own}Transfer-Encoding: chunked\r\n", b"411"),
            (f"GET /api/about HTTP/1.1\r\n{host}Host: evil.example\r\n{own}", b"400"),
            (f"GET /api/about HTTP/1.1\r\n{own}", b"400"),
            (f"GET /api/about HTTP/1.0\r\n{own}", b"421"),
            (f"GET /api/about HTTP/1.1\r\n{host}{own}{own}", b"401"),
        ):
            with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
                connection.sendall(f"{head}\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(4096), b""))
            assert answer.split()[1] == status, (head, answer)


@pytest.mark.parametrize(
    ("bound", "host", "allowed"),
    [
        ("127.0.0.1", "localhost:5", True), ("127.0.0.1", "[::1]:5", True), ("::1", "[::1]:5", True), ("localhost", "localhost:5", True),
        ("0.0.0.0", "192.168.1.7:5", True), ("0.0.0.0", "evil.example:5", False), ("192.168.1.7", "192.168.1.7:5", True),
        ("192.168.1.7", "192.168.1.8:5", False), ("127.0.0.1", "192.168.1.7:5", False), ("127.0.0.1", "[::1]", False),
        ("127.0.0.1", ":5", False),
    ],
)  # fmt: skip
def test_the_names_of_the_server(bound, host, allowed):
    assert Hosts(bound, 5).allows(host) == allowed
