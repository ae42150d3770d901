"""Guards of the server: who may ask and how much may be sent, over raw connections."""

import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

Uploads = Callable[[httpx.Client], list[str]]


def talk(client: httpx.Client, head: str, body: Iterable[bytes] = ()) -> tuple[bytes, int]:
    """Send a request until it is answered, and return the answer and how much was sent."""
    address = urlsplit(str(client.base_url))
    sent = 0
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode())
        connection.settimeout(0.001)
        answer = b""
        for piece in body:
            try:
                answer = connection.recv(65536)
                break
            except TimeoutError:
                pass
            connection.settimeout(20)
            try:
                connection.sendall(piece)
            except OSError:
                break
            sent += len(piece)
            connection.settimeout(0.001)
        connection.settimeout(20)
        try:
            while piece := connection.recv(65536):
                answer += piece
        except OSError:
            pass
    return answer, sent


def host_of(client: httpx.Client) -> str:
    """Return host and port."""
    return urlsplit(str(client.base_url)).netloc


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "localhost.evil.example"])
def test_a_name_that_was_pointed_here_is_refused(app: httpx.Client, host: str) -> None:
    """A site that lets its name lead to this machine can read nothing (DNS rebinding)."""
    for path in ("/", "/api/images", "/api/info"):
        answer = app.get(path, headers={"host": host})
        assert answer.status_code == 403
        assert "classes" not in answer.text


def test_this_machine_s_names_are_known(app: httpx.Client, serve: Callable) -> None:
    """So are its addresses and the names that were given."""
    port = urlsplit(str(app.base_url)).port
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", f"[::1]:{port}", "LOCALHOST"):
        assert app.get("/api/info", headers={"host": host}).status_code == 200
    assert app.get("/api/info", headers={"host": "192.0.2.7"}).status_code == 403
    assert app.get("/api/info", headers={"host": "my.machine"}).status_code == 403
    with serve(names=("my.machine",)) as client:
        assert client.get("/api/info", headers={"host": "my.machine:80"}).status_code == 200


def test_a_request_without_a_name_or_with_two_is_refused(app: httpx.Client) -> None:
    """Neither says for whom it is."""
    answer, _ = talk(app, "GET /api/info HTTP/1.0\n\n")
    assert b" 403 " in answer.splitlines()[0]
    answer, _ = talk(app, f"GET / HTTP/1.1\nHost: {host_of(app)}\nHost: evil.example\n\n")
    assert re.search(rb" 40[03] ", answer.splitlines()[0])


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "file://"])
def test_other_sites_may_send_nothing(
    empty: httpx.Client, origin: str, photos: list[Path], uploads: Uploads
) -> None:
    """A form on another site cannot leave an image here (CSRF)."""
    files = [("files", ("a.png", photos[0].read_bytes()))]
    answer = empty.post("/api/images", files=files, headers={"origin": origin})
    assert answer.status_code == 403
    assert not uploads(empty)
    own = {"origin": f"http://{host_of(empty)}"}
    assert empty.post("/api/images", files=files, headers=own).status_code == 200


def test_every_answer_has_its_headers(app: httpx.Client) -> None:
    """Pages, data and errors alike."""
    for path, headers in (
        ("/", {}),
        ("/api/info", {}),
        ("/nothing", {}),
        ("/", {"host": "evil.example"}),
    ):
        found = app.get(path, headers=headers).headers
        policy = found["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "no-referrer"
        assert found["cross-origin-resource-policy"] == "same-origin"
        assert found["cross-origin-opener-policy"] == "same-origin"
        assert found["cache-control"] == "no-store"
        assert "server" not in found
        assert "access-control-allow-origin" not in found


def upload_head(client: httpx.Client, length: str) -> str:
    """Return the start of an upload."""
    return (
        f"POST /api/images HTTP/1.1\nHost: {host_of(client)}\n"
        f"Content-Type: multipart/form-data; boundary=x\n{length}\n\n"
    )


def part(name: str) -> bytes:
    """Return the start of a file."""
    return f'--x\r\nContent-Disposition: form-data; name=f; filename="{name}"\r\n\r\n'.encode()


def test_a_length_that_is_too_much_is_refused_unread(empty: httpx.Client, uploads: Uploads) -> None:
    """The answer comes before a byte of the body is sent."""
    started = time.monotonic()
    answer, _ = talk(empty, upload_head(empty, "Content-Length: 9999999999"))
    assert b" 413 " in answer.splitlines()[0]
    assert b"connection: close" in answer.lower()
    assert time.monotonic() - started < 5
    assert not uploads(empty)


def test_an_endless_body_is_cut_off(empty: httpx.Client, uploads: Uploads) -> None:
    """Chunks without a length are counted while they come, and what was kept is removed."""

    def chunks() -> Iterator[bytes]:
        start = part("a.png")
        yield b"%x\r\n%s\r\n" % (len(start), start)
        for _ in range(1000):
            yield b"10000\r\n" + bytes(1 << 16) + b"\r\n"

    answer, sent = talk(empty, upload_head(empty, "Transfer-Encoding: chunked"), chunks())
    assert sent < 12 << 20, "no more than the limit and what buffers hold"
    assert not answer or b" 413 " in answer.splitlines()[0]
    assert not uploads(empty)


def test_nothing_stays_of_a_sender_that_goes_away(empty: httpx.Client, uploads: Uploads) -> None:
    """Neither while an upload comes nor afterwards does a file lie in the folder."""
    address = urlsplit(str(empty.base_url))
    body = part("a.png") + bytes(5 << 19)
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        head = upload_head(empty, f"Content-Length: {3 << 20}")
        connection.sendall(head.replace("\n", "\r\n").encode() + body)
        for _ in range(10):
            time.sleep(0.02)
            assert not uploads(empty)
    time.sleep(0.2)
    assert not uploads(empty)
    assert empty.get("/api/images").json() == {"images": []}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nothing of a form",
        part("a.png") + b"no end",
        b"--x\r\n" + b"X: " + bytes(100_000).replace(b"\0", b"a") + b"\r\n\r\n",
    ],
)
def test_a_broken_form_is_one_line(empty: httpx.Client, body: bytes, uploads: Uploads) -> None:
    """Nothing of it is kept."""
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = empty.post("/api/images", content=body, headers=kind)
    assert answer.status_code == 400
    assert "form" in answer.json()["error"]
    assert not uploads(empty)


def test_what_is_no_form_or_no_json_is_refused(empty: httpx.Client, photos: list[Path]) -> None:
    """Another type of content, text that is no JSON, too much of it, and numbers without end."""
    assert empty.post("/api/images", json={}).status_code == 400
    files = [("files", ("a.png", photos[0].read_bytes()))]
    (row,) = empty.post("/api/images", files=files).json()["images"]
    preprocessing = f"/api/images/{row['id']}/localize"
    for content, status in (
        (b"{", 400),
        (b"[]", 400),
        (b"[" * 100_000, 400),
        (b"\xff", 400),
        (b" " * ((1 << 20) + 1), 413),
    ):
        assert empty.post(preprocessing, content=content).status_code == status


def test_a_form_of_many_parts_is_refused(empty: httpx.Client, uploads: Uploads) -> None:
    """Thousands of empty files would cost more than their bytes."""
    body = b"".join(part("a") + b"\r\n" for _ in range(1001)) + b"--x--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = empty.post("/api/images", content=body, headers=kind)
    assert answer.status_code == 400
    assert "1000" in answer.json()["error"]
    assert not uploads(empty)
