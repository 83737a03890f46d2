"""The cache of decoded images: built once, complete or not at all, and never trusted when it does not fit."""

import errno
import hashlib
import json
import logging
import os
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minunet.data import DataError, cache
from minunet.files import FolderLock

SIZE = (4, 5)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "the cache"))
    return tmp_path / "the cache"


@pytest.fixture
def sources(tmp_path):
    """Six pairs of files, each with a number in it; the fourth cannot be used."""
    (tmp_path / "data").mkdir()
    pairs = [(tmp_path / "data" / f"{n}.a", tmp_path / "data" / f"{n}.b") for n in range(6)]
    for number, (a, b) in enumerate(pairs):
        a.write_text(f"{10 * number}")
        b.write_text("bad" if number == 3 else f"{number}")
    return pairs


class Reader:
    """Fills an image with the number in file a, its mask with that in b; counts how often it is called."""

    def __init__(self, pause=0.0):
        self.calls, self.pause = 0, pause

    def __call__(self, source):
        self.calls += 1
        time.sleep(random.random() * self.pause)
        a, b = (path.read_text() for path in source)
        if b == "bad":
            raise DataError(f"{source[1].name}: is bad")
        return np.full((*SIZE, 3), int(a), np.uint8), np.full((*SIZE, 1), int(b), np.uint8)


def check(decoded, images=(0, 10, 20, 0, 40, 50), problems=None):
    """All values of a row, and the problem of the fourth."""
    assert decoded.images.shape == (6, *SIZE, 3) and decoded.masks.shape == (6, *SIZE, 1)
    assert [sorted(set(row.ravel().tolist())) for row in decoded.images] == [[n] for n in images]
    assert [sorted(set(row.ravel().tolist())) for row in decoded.masks] == [[n] for n in (0, 1, 2, 0, 4, 5)]
    assert decoded.skipped == ({3: "3.b: is bad"} if problems is None else problems)


def folders(own_cache):
    return sorted(path.name for path in own_cache.iterdir())


def test_a_second_call_decodes_nothing_and_remembers_what_was_skipped(sources, own_cache):
    first, second = Reader(), Reader()
    check(cache.decode_all(first, sources, SIZE))
    check(cache.decode_all(second, sources, SIZE))
    assert (first.calls, second.calls) == (6, 0)
    assert len(folders(own_cache)) == 1
    assert folders(own_cache / folders(own_cache)[0]) == ["images.npy", "masks.npy", "metadata.json"]


def test_what_is_mapped_cannot_be_written_to(sources):
    decoded = cache.decode_all(Reader(), sources, SIZE)
    assert isinstance(decoded.images, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        decoded.images[0] = 1


def test_rows_keep_their_order_whatever_the_threads_do(sources, monkeypatch):
    monkeypatch.setattr(cache, "BLOCK", 4)
    check(cache.decode_all(Reader(pause=0.02), sources, SIZE))


def test_memory_alone_on_request(sources, own_cache):
    check(cache.decode_all(Reader(), sources, SIZE, on_disk=False))
    assert not own_cache.exists()


@pytest.mark.skipif(os.name != "posix", reason="Windows has no time of the last change")
def test_other_content_of_the_same_size_and_time_is_noticed(sources):
    check(cache.decode_all(Reader(), sources, SIZE))
    path = sources[1][0]
    status = path.stat()
    path.write_text("99")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    check(cache.decode_all(Reader(), sources, SIZE), (0, 99, 20, 0, 40, 50))


@pytest.mark.parametrize("change", ["content", "time only", "repaired"])
def test_a_changed_file_makes_it_decode_again(sources, change):
    check(cache.decode_all(Reader(), sources, SIZE))
    reader, images, problems = Reader(), (0, 10, 20, 0, 40, 50), None
    path = sources[1][0]
    status = path.stat()
    if change == "content":
        path.write_text("111")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))  # another size, the same time
        images = (0, 111, 20, 0, 40, 50)
    elif change == "time only":
        path.write_text("99")
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
        images = (0, 99, 20, 0, 40, 50)
    else:
        sources[3][1].write_text("0")
        images, problems = (0, 10, 20, 30, 40, 50), {}
    check(cache.decode_all(reader, sources, SIZE), images, problems)
    assert reader.calls == 6
    check(cache.decode_all(reader, sources, SIZE), images, problems)
    assert reader.calls == 6


def test_another_key_size_selection_or_version_has_a_cache_of_its_own(sources, own_cache, monkeypatch):
    reader = Reader()
    check(cache.decode_all(reader, sources, SIZE))
    cache.decode_all(reader, sources, SIZE, key="another")
    assert reader.calls == 12
    cache.decode_all(reader, sources[:3], SIZE)
    assert reader.calls == 15
    monkeypatch.setattr(cache, "FORMAT", cache.FORMAT + 1)
    cache.decode_all(reader, sources, SIZE)
    assert reader.calls == 21
    assert len(folders(own_cache)) == 4


def read_objects(source):
    """Labels with 16 bits and two channels: the number in file b, and 1000 times that."""
    number = int(source[1].read_text().replace("bad", "0"))
    labels = np.full((*SIZE, 2), number, np.uint16)
    labels[..., 1] *= 1000
    return np.full((*SIZE, 3), number, np.uint8), labels


def test_labels_of_other_dtypes_and_with_more_channels(sources, own_cache):
    for on_disk in (True, True, False):
        decoded = cache.decode_all(read_objects, sources, SIZE, on_disk=on_disk, channels=2, dtype=np.uint16)
        assert decoded.masks.dtype == np.uint16 and decoded.masks.shape == (6, *SIZE, 2)
        assert decoded.masks[5, 3, 4].tolist() == [5, 5000] and decoded.masks[0].max() == 0
        assert (decoded.masks == decoded.masks[:, :1, :1]).all() and decoded.images[5].max() == 5
    folder = own_cache / folders(own_cache)[0]
    stored = np.load(folder / "masks.npy")
    assert stored.dtype == np.uint16 and stored.shape == (6, *SIZE, 2)


def test_each_dtype_and_number_of_channels_has_a_cache_of_its_own(sources, own_cache):
    reader = Reader()
    check(cache.decode_all(reader, sources, SIZE))
    check(cache.decode_all(reader, sources, SIZE, channels=1, dtype="u1"))
    assert reader.calls == 6  # said or not, that is what masks are
    for channels, dtype in ((2, np.uint16), (1, np.uint16), (2, np.uint8)):

        def read(source, channels=channels, dtype=dtype):
            image, labels = read_objects(source)
            return image, labels[..., :channels].astype(dtype)

        decoded = cache.decode_all(read, sources, SIZE, channels=channels, dtype=dtype)
        assert decoded.masks.dtype == dtype and decoded.masks.shape[3] == channels
    assert len(folders(own_cache)) == 4


def test_caches_of_masks_from_earlier_versions_are_found(sources, own_cache):
    """The name of a cache's folder, computed here: SHA-256 of the format, the key, the shape and the paths, as JSON."""
    check(cache.decode_all(Reader(), sources, SIZE, key="k"))
    content = [2, "k", [6, 4, 5], [[str(path) for path in source] for source in sources]]
    assert folders(own_cache) == [hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]]


def test_a_damaged_cache_of_wide_labels_is_built_anew(sources, own_cache):
    def decoded():
        return cache.decode_all(read_objects, sources, SIZE, channels=2, dtype=np.uint16)

    expected = decoded().masks.copy()
    folder = own_cache / folders(own_cache)[0]
    whole = (folder / "masks.npy").read_bytes()
    narrow = np.zeros((6, *SIZE, 2), np.uint8)
    for damage in (whole[:-3], whole[:-1] + b"\x55", whole.replace(b"<u2", b"<i2")):
        (folder / "masks.npy").write_bytes(damage)
        assert np.array_equal(decoded().masks, expected) and decoded().masks.dtype == np.uint16
    np.save(folder / "masks.npy", narrow)
    assert np.array_equal(decoded().masks, expected)


def damage_byte(folder):
    with open(folder / "images.npy", "r+b") as file:
        file.seek(-7, os.SEEK_END)
        file.write(b"\x55")


def damage_header(folder):
    with open(folder / "masks.npy", "r+b") as file:
        file.seek(20)
        file.write(b"\xff\x00{")


def claim_another_shape(folder):
    np.save(folder / "images.npy", np.zeros((6, 5, 4, 3), np.uint8))


@pytest.mark.parametrize(
    "damage",
    [
        damage_byte,
        damage_header,
        claim_another_shape,
        lambda folder: os.truncate(folder / "images.npy", 200),
        lambda folder: (folder / "masks.npy").write_bytes(b""),
        lambda folder: (folder / "images.npy").unlink(),
        lambda folder: (folder / "metadata.json").write_text('{"made_from":'),
        lambda folder: (folder / "metadata.json").write_text("[]"),
        lambda folder: (folder / "metadata.json").write_bytes(b"\xff\xfe\x00"),
        lambda folder: (folder / "metadata.json").unlink(),
    ],
)
def test_a_damaged_cache_is_built_anew(sources, own_cache, damage, caplog):
    check(cache.decode_all(Reader(), sources, SIZE))
    damage(own_cache / folders(own_cache)[0])
    reader = Reader()
    check(cache.decode_all(reader, sources, SIZE))
    assert reader.calls == 6
    check(cache.decode_all(reader, sources, SIZE))
    assert reader.calls == 6
    assert len(folders(own_cache)) == 1 and not caplog.records


def test_no_pickle_is_ever_loaded(sources, own_cache, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "executed",))

    check(cache.decode_all(Reader(), sources, SIZE))
    np.save(own_cache / folders(own_cache)[0] / "images.npy", np.array([Evil()], object), allow_pickle=True)
    check(cache.decode_all(Reader(), sources, SIZE))
    assert not (tmp_path / "executed").exists()


# ---- where, and when it cannot be written ----


def test_which_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache.cache_folder() == tmp_path / "the cache"
    monkeypatch.setenv("MINUNET_CACHE", "")
    assert cache.cache_folder() == tmp_path / "xdg" / "minunet"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/not/allowed")
    assert cache.cache_folder() == Path.home() / ".cache" / "minunet"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.cache_folder() == Path.home() / ".cache" / "minunet"


def test_without_a_cache_folder_the_images_stay_in_memory(sources, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MINUNET_CACHE", str(tmp_path / "file" / "cache"))
    with caplog.at_level(logging.INFO, "minunet"):
        check(cache.decode_all(Reader(), sources, SIZE))
    assert len(caplog.records) == 1 and "kept in memory" in caplog.text


PROGRAM = """
import os, sys, time
from pathlib import Path
import numpy as np
from minunet.data import cache

seconds, folder = float(sys.argv[1]), Path(sys.argv[2])
cache.BLOCK = 2

def read(source):
    time.sleep(seconds)
    os.write(1, b".")
    return np.full((64, 64, 3), int(source[0].stem), np.uint8), np.full((64, 64, 1), 1, np.uint8)

decoded = cache.decode_all(read, [(folder / f"{n}.a",) for n in range(16)], (64, 64))
print("sum", int(decoded.images.sum()), type(decoded.images).__name__, flush=True)
"""
SUM = sum(range(16)) * 64 * 64 * 3


def start(folder, seconds, before=""):
    """Runs PROGRAM in a process of its own; communicate() ends and cleans up after it."""
    command = [sys.executable, "-c", before + PROGRAM, str(seconds), str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(Path(cache.__file__).parents[2])}
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX resource limits")
def test_on_a_full_disk_the_images_stay_in_memory(tmp_path, own_cache):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))\n"
    output, errors = start(tmp_path, 0, limit).communicate(timeout=60)
    assert output.endswith(f"sum {SUM} ndarray\n"), errors
    assert len(errors.splitlines()) == 1 and "kept in memory" in errors
    assert folders(own_cache) == []


def test_what_a_killed_build_leaves_is_never_taken_for_a_cache(tmp_path, own_cache):
    process = start(tmp_path, 0.2)
    assert process.stdout.read(6) == "......"
    process.kill()
    process.communicate(timeout=60)
    (left,) = folders(own_cache)
    assert left.startswith(".") and left.endswith(".part") and (own_cache / left / "images.npy").exists()

    output, errors = start(tmp_path, 0).communicate(timeout=60)
    assert output == "." * 16 + f"sum {SUM} memmap\n", errors
    assert left in folders(own_cache)  # it could belong to a program that is still running

    two_hours_ago = time.time() - 7200
    for path in [own_cache / left, *(own_cache / left).iterdir()]:
        os.utime(path, (two_hours_ago, two_hours_ago))
    os.truncate(own_cache / left.split(".")[1] / "images.npy", 100)
    output, errors = start(tmp_path, 0).communicate(timeout=60)
    assert output == "." * 16 + f"sum {SUM} memmap\n", errors
    assert folders(own_cache) == [left.split(".")[1]]


def test_programs_that_build_at_the_same_time_all_end_up_with_a_complete_cache(tmp_path, own_cache):
    processes = [start(tmp_path, 0.02) for _ in range(4)]
    for process in processes:
        output, errors = process.communicate(timeout=60)
        assert output.endswith(f"sum {SUM} memmap\n"), errors
        assert errors == ""
    assert len(folders(own_cache)) == 1
    output, errors = start(tmp_path, 0).communicate(timeout=60)
    assert output == f"sum {SUM} memmap\n", errors


def test_an_error_in_the_reader_is_raised_and_leaves_nothing_behind(sources, own_cache):
    def read(source):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cache.decode_all(read, sources, SIZE)
    assert folders(own_cache) == []


def test_what_is_written_about_it_is_plain_json(sources, own_cache):
    cache.decode_all(Reader(), sources, SIZE)
    metadata = json.loads((own_cache / folders(own_cache)[0] / "metadata.json").read_text())
    assert metadata["skipped"] == [[3, "3.b: is bad"]]


def test_the_cache_of_a_faster_program_is_used(sources, own_cache):
    """While this one reads its last image, the other builds the whole cache."""

    class Slower(Reader):
        def __call__(self, source):
            if source == sources[-1]:
                check(cache.decode_all(Reader(), sources, SIZE))
            return super().__call__(source)

    check(cache.decode_all(Slower(), sources, SIZE))
    assert len(folders(own_cache)) == 1


@pytest.mark.parametrize("faster", [True, False])
def test_a_cache_that_cannot_be_put_in_place(sources, own_cache, monkeypatch, caplog, faster):
    """Either because another program has put its own there in that very moment, or because of the disk."""
    rename = os.rename

    def refuse(old, new):
        if not str(old).endswith(".part"):
            rename(old, new)
            return
        if faster:
            monkeypatch.setattr(os, "rename", rename)
            cache.decode_all(Reader(), sources, SIZE)
            raise OSError(errno.ENOTEMPTY, "Directory not empty")
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "rename", refuse)
    check(cache.decode_all(Reader(), sources, SIZE))
    assert len(folders(own_cache)) == faster and len(caplog.records) == (not faster)


@pytest.mark.skipif(os.name != "posix", reason="Windows does not rename a folder whose files are open")
def test_a_cache_that_another_program_is_just_replacing_is_used_all_the_same(sources, own_cache, monkeypatch, caplog):
    """Its folder has been moved aside, and the other one is not in its place yet."""
    rename = os.rename

    def rename_and_move_aside(old, new):
        rename(old, new)
        if str(old).endswith(".part"):
            rename(new, own_cache / "aside")

    monkeypatch.setattr(os, "rename", rename_and_move_aside)
    check(cache.decode_all(Reader(), sources, SIZE))
    assert folders(own_cache) == ["aside"] and not caplog.records


def test_a_cache_that_another_program_keeps_changing_is_not_used(sources, monkeypatch, caplog):
    monkeypatch.setattr(cache, "_open", lambda *arguments: None)
    check(cache.decode_all(Reader(), sources, SIZE))
    assert "another program has changed it" in caplog.text and len(caplog.records) == 1


def test_what_was_left_an_hour_ago_is_removed(sources, own_cache):
    old, new = own_cache / f".{'a' * 32}.x1_abcde.part", own_cache / f".{'b' * 32}.abcdefg8.part"
    for folder, age in ((old, 3700), (new, 3500)):
        folder.mkdir(parents=True)
        (folder / "images.npy").touch()
        for path in (folder / "images.npy", folder):
            os.utime(path, (time.time() - age,) * 2)
    cache.decode_all(Reader(), sources, SIZE)
    assert not old.exists() and new.exists()


def test_only_what_a_cache_has_left_is_removed(sources, own_cache):
    """Neither a folder that holds anything else, nor one that a program is still filling, however long ago."""
    ours, other, link, held = (own_cache / f".{letter * 32}.x1_abcde.part" for letter in "abcd")
    elsewhere = own_cache.parent / "elsewhere"
    for folder in (ours, other, elsewhere, held, own_cache / "photos.building-1"):
        folder.mkdir(parents=True, mode=0o700)
        (folder / "images.npy").touch()
    own_cache.chmod(0o700)
    link.symlink_to(elsewhere)
    (other / "thesis.tex").write_text("years of work")
    with FolderLock(held):
        for folder in (ours, other, elsewhere, held):
            for path in (*folder.iterdir(), folder):
                os.utime(path, (0, 0))
        cache.decode_all(Reader(), sources, SIZE)
        assert not ours.exists()
        assert (other / "thesis.tex").exists() and (elsewhere / "images.npy").exists()
        assert (held / "images.npy").exists() and (own_cache / "photos.building-1" / "images.npy").exists()


def test_a_folder_of_something_else_is_not_replaced(sources, own_cache, caplog):
    check(cache.decode_all(Reader(), sources, SIZE))
    (name,) = folders(own_cache)
    (own_cache / name / "metadata.json").unlink()
    (own_cache / name / "thesis.tex").write_text("years of work")
    check(cache.decode_all(Reader(), sources, SIZE))
    assert "holds something else, and is not replaced" in caplog.text
    assert (own_cache / name / "thesis.tex").read_text() == "years of work"


@pytest.mark.skipif(os.name != "posix", reason="Windows has other access rights")
@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
def test_a_cache_that_others_can_write_is_not_used(sources, own_cache, caplog, mode):
    check(cache.decode_all(Reader(), sources, SIZE))
    assert own_cache.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in own_cache.iterdir()} == {0o700}
    own_cache.chmod(mode)
    reader = Reader()
    check(cache.decode_all(reader, sources, SIZE))
    assert reader.calls == 6 and len(caplog.records) == 1
    assert "others can write into" in caplog.text and "chmod 700" in caplog.text


@pytest.mark.skipif(os.name != "posix", reason="Windows has other owners")
def test_a_cache_of_another_user_is_not_used(sources, own_cache, monkeypatch):
    check(cache.decode_all(Reader(), sources, SIZE))
    monkeypatch.setattr(os, "geteuid", lambda: own_cache.stat().st_uid + 1)
    reader = Reader()
    check(cache.decode_all(reader, sources, SIZE))
    assert reader.calls == 6
