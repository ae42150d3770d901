"""Archives are read to their end or refused with one error, and only plain files come out."""

import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from wsol.data.archives import read_archive
from wsol.data.preparation.extract import State, unpack
from wsol.errors import DataError


def content(path: Path) -> dict[str, bytes]:
    """Return all that an archive holds."""
    return {member.name: member.read() for member in read_archive(path)}


def tar_of(path: Path, *infos: tarfile.TarInfo, mode: str = "w") -> Path:
    """Write a tar archive of members with four bytes each, links without."""
    with tarfile.open(path, mode) as tar:
        for info in infos:
            info.size = 4 if info.isreg() else 0
            tar.addfile(info, io.BytesIO(b"evil"))
    return path


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar_plain_and_compressed(tmp_path: Path, mode: str) -> None:
    """Every compression is told by content; sizes on the edges of blocks are no matter."""
    files = {f"a/{size}": bytes([size % 251]) * size for size in (0, 1, 511, 512, 513, 1024, 10240)}
    with tarfile.open(tmp_path / "x", mode) as tar:
        tar.addfile(_folder("a"))
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    assert content(tmp_path / "x") == files


def _folder(name: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = tarfile.DIRTYPE
    return info


@pytest.mark.parametrize("cut", [1, 600, 1024, 1500, 2048, 2600])
def test_a_tar_that_is_cut_short_is_an_error(tmp_path: Path, cut: int) -> None:
    """Also where the cut is between two members, which tarfile takes for the end."""
    path = tar_of(tmp_path / "a.tar", *(tarfile.TarInfo(name) for name in "abc"))
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"a\.tar.*(truncated|get the archive again)"):
        content(path)


def test_a_damaged_header_is_an_error(tmp_path: Path) -> None:
    """One flipped byte in the second header does not end the archive quietly."""
    path = tar_of(tmp_path / "a.tar", *(tarfile.TarInfo(name) for name in "abc"))
    data = bytearray(path.read_bytes())
    data[1024 + 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"byte 1,024: .*damaged"):
        content(path)


@pytest.mark.parametrize("suffix", [".tgz", ".zip"])
def test_damaged_compression_is_an_error(tmp_path: Path, suffix: str) -> None:
    """A compressed archive that is cut or changed is refused."""
    path = tmp_path / f"a{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", bytes(range(256)) * 20)
    else:
        tar_of(path, *(tarfile.TarInfo(str(i)) for i in range(40)), mode="w:gz")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="get the archive again"):
        content(path)
    path.write_bytes(whole[:60] + bytes(20) + whole[80:])
    with pytest.raises(DataError):
        content(path)


HOSTILE = ["../evil", "a/../../evil", "/tmp/evil", "C:/evil", "..\\evil", "a\nb", "x" * 300, "."]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_lead_out_write_nothing(
    tmp_path: Path, state: State, kind: str, name: str
) -> None:
    """What came before is there, the hostile member and what follows are not."""
    path = tmp_path / f"a.{kind}"
    if kind == "tar":
        tar_of(path, *(tarfile.TarInfo(member) for member in ("good", name, "later")))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            for member in ("good", name, "later"):
                info = zipfile.ZipInfo("x")
                info.filename = member
                archive.writestr(info, b"evil")
    # Whoever takes the check out of the code leaves it there.
    Path("/tmp/evil").unlink(missing_ok=True)
    before = everything(tmp_path)
    with pytest.raises(DataError, match="refused") as caught:
        unpack(path, tmp_path / "out", lambda member: member.name, state)
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) - before == {"out/good", "out/.prepare.json"}
    assert not Path("/tmp/evil").exists()


def everything(root: Path) -> set[str]:
    """Return all files below a folder."""
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "kind",
    [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE],
)
def test_links_and_devices_write_nothing(tmp_path: Path, state: State, kind: bytes) -> None:
    """A link is refused, so that no later member is written through it."""
    link = tarfile.TarInfo("images")
    link.type, link.linkname = kind, str(tmp_path)
    path = tar_of(tmp_path / "a.tar", link, tarfile.TarInfo("images/evil"))
    with pytest.raises(DataError, match="'images' is a link or a device"):
        unpack(path, tmp_path / "out", lambda member: member.name, state)
    assert not (tmp_path / "evil").exists()
    assert [file.name for file in (tmp_path / "out").iterdir() if file.name[0] != "."] == []


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    """A zip file keeps the kind in the attributes of Unix."""
    info = zipfile.ZipInfo("images")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(DataError, match="'images' is a link or a device"):
        content(tmp_path / "a.zip")


def test_a_nul_in_a_zip_is_refused(tmp_path: Path) -> None:
    """Zipfile would cut the name there."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpgXevil", b"")
    data = (tmp_path / "a.zip").read_bytes().replace(b"jpgX", b"jpg\0")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match="control characters"):
        content(tmp_path / "a.zip")


def test_two_members_for_one_place_are_refused(tmp_path: Path, state: State) -> None:
    """The second one does not replace the first."""
    path = tar_of(tmp_path / "a.tar", tarfile.TarInfo("a"), tarfile.TarInfo("./a"))
    with pytest.raises(DataError, match="duplicate of a"):
        unpack(path, tmp_path / "out", lambda member: member.name.lstrip("./"), state)


def test_enormous_sizes_are_refused_before_they_are_read(tmp_path: Path) -> None:
    """Neither a member's size nor that of a long name asks for memory."""
    huge = tarfile.TarInfo("a")
    huge.size = 2**40
    (tmp_path / "a.tar").write_bytes(huge.tobuf() + bytes(1024))
    with pytest.raises(DataError, match="1,099,511,627,776 bytes exceed"):
        content(tmp_path / "a.tar")
    name = tarfile.TarInfo("././@LongLink")
    name.type, name.size = tarfile.GNUTYPE_LONGNAME, 2**40
    (tmp_path / "b.tar").write_bytes(name.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    with pytest.raises(DataError, match="requests too much memory"):
        content(tmp_path / "b.tar")


def test_a_zip_that_states_too_little_is_an_error(tmp_path: Path) -> None:
    """A bomb that claims one byte is read no further than that."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", bytes(10**6))
    data = (tmp_path / "a.zip").read_bytes().replace((10**6).to_bytes(4, "little"), b"\1\0\0\0")
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.zip: a"):
        content(tmp_path / "a.zip")


def test_what_is_no_archive(tmp_path: Path) -> None:
    """A text, nothing, and a missing file are each named."""
    for name, data in (("text", b"words " * 300), ("empty", b"")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=rf"{name}: "):
            content(tmp_path / name)
    with pytest.raises(DataError, match="lost: No such file"):
        content(tmp_path / "lost")
