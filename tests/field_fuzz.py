"""Well-formed files whose fields are wrong: the cases of test_field_fuzz.py, and a campaign of any number of them.

    python tests/field_fuzz.py 5000 [FIRST]     cases FIRST, FIRST + 1 …, a summary line for each kind

A case is a number: it decides the kind of file, and what is done to it. What may come of it is an answer, or an error
that says what is wrong. A failure is any other exception, a case that takes longer than SECONDS, a changed file where
nothing should have been written, a message of several lines or with control characters, and more than MEMORY.
"""

import contextlib
import io
import json
import logging
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

import minunet
from minunet import UNet
from minunet.cli.predict import command as predict_command
from minunet.cli.train import command as train_command
from minunet.cli.train import recipes
from minunet.cli.train.datasets import read_names
from minunet.data import DataError, cache
from minunet.data.classes import Classes, read_classes
from minunet.data.coco import CocoPanoptic
from minunet.data.drawn_scenes import write_scenes
from minunet.data.pets import Pets
from minunet.inputs import log, parse_json
from minunet.tasks import Binary, Panoptic, from_metadata
from minunet.training import plots
from minunet.weights import io as weights_io

SECONDS, MEMORY = 20, 4 << 30
NASTY = [
    *(None, True, False, 0, 1, -1, 2, 255, 65536, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), -float("inf"), "", " ", "0", "x", "=1+1", "@a", "\tx", "\x1b[31mred", "\u202ea"),
    *("\x9bm", "a\nb", "a\0b", "\ud800", "é" * 3000, "../../x", "/dev/zero", "~nobody/x", "$\\frac$", "NaN", "1e400"),
    *([], {}, [[]], {"a": 1}, [0] * 2000, ["x", 0, None], [[1, 2], [3]], {"": ""}),
]
NASTY.append(json.loads("[" * 60 + "]" * 60))


# ---- what is done to a value ----


def places(value, path=()):
    """All paths into nested lists and dicts, the whole included."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    inside = inside if len(path) < 40 else ()
    for key, each in list(inside)[:40]:
        yield from places(each, (*path, key))


def mutated_json(chance, value):
    """Returns the JSON text of the value with one to three changes."""
    value = json.loads(json.dumps(value))
    for _ in range(chance.choice([1, 1, 1, 2, 3])):
        *path, last = chance.choice(list(places([value]))[1:])
        holder = [value]
        for key in path:
            holder = holder[key]
        how = chance.choice("value value value number gone more rename".split())
        if how == "number" and type(holder[last]) in (int, float):
            holder[last] = chance.choice([-holder[last], holder[last] + 1, holder[last] * 2**40, str(holder[last])])
        elif how == "gone" and path:
            del holder[last]
        elif how == "more" and isinstance(holder, list):
            holder += [holder[last]] * chance.choice([1, 3, 300])
        elif how == "rename" and isinstance(holder, dict):
            holder[chance.choice(["", "x", "id", "epoch", "\x1b", "ü"])] = holder.pop(last)
        else:
            holder[last] = chance.choice(NASTY)
        if not path:
            value = holder[0]
    text = json.dumps(value)
    how = chance.randrange(40)
    if how == 0 and text.startswith("{") and len(text) > 2:  # a key twice
        text = text[:-1] + ", " + text[1:]
    elif how == 1:
        text = text.replace(":", ":" + "[" * 50_000, 1)
    elif how == 2:
        text = text[: chance.randrange(len(text) + 1)]
    return text


def mutated_array(chance, array):
    """Returns an array with another dtype, shape, or other numbers."""
    array = np.asarray(array)
    how = chance.randrange(11)
    if how < 3 and array.dtype.kind != "U":
        return array.astype(chance.choice(["f2", "f8", "i1", "u8", "?", "c8", "S3", "U5", "M8[s]", ">f4"]), copy=True)
    if how < 5:
        return np.resize(array, chance.choice([(), (0,), (1,), (2, 2), (1,) * 30, (*array.shape, 1), array.shape[:-1]]))
    if how < 7:
        return np.full(array.shape, chance.choice([0, -1, 1e30, np.nan, np.inf, 2**40]))
    if how == 7:
        return np.array(chance.choice(["", "x", "[" * 1000, "=1", "-5", "\x1b"]))
    if how == 8:
        return np.array([{"a": 1}], object)
    if how == 9:
        return np.zeros(3, [("a", "f4"), ("b", "O" if chance.random() < 0.5 else "i4")])
    return np.array(chance.choice([-1, 0, 7, 2**62, 0.5, -np.inf]))


def mutated_text(chance, text):
    """Returns a text of lines with some of them changed."""
    lines = text.split("\n")
    for _ in range(chance.choice([1, 1, 2, 5])):
        i = chance.randrange(len(lines))
        words = lines[i].split(" ")
        word = chance.randrange(len(words))
        how = chance.randrange(6)
        if how == 0:
            lines[i] = ""
        elif how == 1:
            lines += [lines[i]] * chance.choice([1, 300])
        elif how == 2:
            words[word] = str(chance.choice(NASTY[:41])).encode("utf-8", "replace").decode()
        elif how == 3:
            del words[word]
        elif how == 4:
            words.insert(word, chance.choice(["thing", "#ff00zz", "-1", "999999999", "255", "=", "ignore", "\ufeff"]))
        else:
            words[word] = words[word] * chance.choice([2, 500])
        if how > 1:
            lines[i] = " ".join(words)
    return chance.choice(["\n", "\n", "\n", "\r\n", "\r", "\x0b"]).join(lines)


# ---- what the cases begin with ----


class Place:
    """A folder with intact files of every kind, made once; each case works on a copy of what it needs."""

    def __init__(self, folder):
        self.folder = folder
        recipes.UNet = lambda **options: UNet(**{**options, "depth": 1, "width": 1})
        plots.save_curves = plots.save_panels = plots.save_confusion = lambda path, *arguments: None
        os.environ["MINUNET_CACHE"] = str(folder / "cache")
        noise = np.random.default_rng(0)
        for name in ("images", "annotations/trimaps", "masks"):
            (folder / "pets" / name).mkdir(parents=True)
        for name in ("pug_1", "pug_2", "Bengal_3"):
            image = Image.fromarray(noise.integers(0, 256, (16, 16, 3), dtype=np.uint8))
            image.save(folder / "pets" / "images" / f"{name}.jpg")
            trimap = noise.integers(1, 4, (16, 16), dtype=np.uint8)
            Image.fromarray(trimap).save(folder / "pets" / "annotations" / "trimaps" / f"{name}.png")
            Image.fromarray((trimap == 1).astype(np.uint8)).save(folder / "pets" / "masks" / f"{name}.png")
        self.list = "#Image CLASS-ID SPECIES BREED-ID\npug_1 1 2 1\npug_2 1 2 1\nBengal_3 1 1 2\n"
        for name in ("trainval", "test"):
            (folder / "pets" / "annotations" / f"{name}.txt").write_text(self.list)
        write_scenes(folder / "scenes", 2, 1, 32)
        self.metadata = {"image_size": 16, "border": "pet", "threshold": 0.5}
        self.metadata |= Binary().metadata()
        self.model = UNet(depth=1, width=1)
        for name in ("model.npz", "model.safetensors", "model.weights.h5", "model.keras"):
            minunet.save(folder / name, self.model, metadata=self.metadata)
            assert loaded(folder / name, metadata=True)
        pets = folder / "pets"
        self.train = ["--images", str(pets / "images"), "--masks", str(pets / "masks"), "--image-size", "64"]
        words = [*self.train, "--epochs", "1", "--batch-size", "2", "--schedule", "plateau", "--early-stop", "3"]
        self.command(train_command, [*words, "--device", "cpu", "--out", str(folder / "run")])
        self.outside = {path: path.read_bytes() for path in self.inputs()}

    def inputs(self):
        return [path for path in self.folder.rglob("*") if path.is_file() and not {"cache", "case"} & {*path.parts}]

    def command(self, program, arguments):
        """Runs a command; returns its exit code. AssertionError for messages that are none."""
        out, err, logged = io.StringIO(), io.StringIO(), io.StringIO()
        handler = logging.StreamHandler(logged)
        log.addHandler(handler)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = program.main(list(map(str, arguments)))
            except SystemExit as end:
                code = end.code
            finally:
                log.removeHandler(handler)
        lines = [line for line in err.getvalue().splitlines() if not line.startswith("warning: ")]
        assert code in (0, 1, 2), code
        assert code != 2 or len(lines) == 1, err.getvalue()
        text = (out.getvalue() + err.getvalue() + logged.getvalue()).replace("\n", "")
        assert text.isprintable() and "Traceback" not in text, text
        return code


# ---- the kinds; each returns whether the file was taken ----


def loaded(path, metadata=False):
    try:
        weights = weights_io.read(path)
        model = weights_io.build(weights)
        assert sum(p.size for p in model.parameters()) < 10**7
        if metadata:
            from_metadata(weights.metadata)
    except (ValueError, FileNotFoundError) as error:
        assert str(error)
        return False
    return True


def npz_metadata(place, case, chance):
    """The metadata of a weights file, with a prediction of it."""
    text = mutated_json(chance, {**place.metadata, **weights_io.describe(place.model)})
    if chance.random() < 0.3:
        text = mutated_json(chance, {**Panoptic(place.classes()).metadata(), **weights_io.describe(place.model)})
    np.savez(case / "model.npz", **place.model.state_dict(), about=np.array(text))
    image = place.folder / "pets" / "images" / "pug_1.jpg"
    arguments = [case / "model.npz", image, "--out", case / "out", "--device", "cpu"]
    loaded(case / "model.npz", metadata=True)
    return place.command(predict_command, arguments) == 0


def npz_arrays(place, case, chance):
    """Names, shapes, dtypes and the number of the arrays."""
    arrays = dict(place.model.state_dict())
    for _ in range(chance.choice([1, 1, 2])):
        name = chance.choice(list(arrays))
        how = chance.randrange(5)
        if how == 0:
            del arrays[name]
        elif how == 1:
            arrays[chance.choice([name + "x", "../../x", "\x1b[31m", "about2", "", "Conv_Down_9_1/kernel"])] = arrays[
                name
            ]
        elif how == 2:
            for level in range(chance.choice([3, 30, 300])):
                arrays[f"Conv_Down_{level}_1/kernel"] = np.zeros((3, 3, 2, 2), np.float32)
        else:
            arrays[name] = mutated_array(chance, arrays[name])
    save = chance.choice([np.savez, np.savez_compressed])
    with (case / "model.npz").open("wb") as file:
        save(file, **{name or "empty": array for name, array in arrays.items()}, about=np.array("{}"))
    return loaded(case / "model.npz")


def npz_headers(place, case, chance):
    """The text at the head of an array, and the entries of the zip file."""
    source = zipfile.ZipFile(place.folder / "model.npz")
    with (
        source,
        zipfile.ZipFile(case / "model.npz", "w", chance.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as file,
    ):
        names = source.namelist()
        hit = chance.choice(names)
        for name in names:
            content = source.read(name)
            if name == hit:
                old, new = chance.choice(
                    [
                        (b"(3, 3, ", b"(9**9, "),
                        (b"'shape': (", b"'shape': (10000000000, "),
                        (b"False", b"True "),
                        (b"<f4", b"|O8"),
                        (b"<f4", b"<U9"),
                        (b"{'descr'", b"[[[[[[[["),
                        (b"\x93NUMPY\x01", b"\x93NUMPY\x02"),
                        (b"\x93NUMPY\x01", b"\x93NUMPY\x09"),
                        (content[-200:], b""),
                        (content, content + bytes(chance.choice([1, 10**6]))),
                        (content, chance.randbytes(50)),
                    ]
                )
                content = content.replace(old, new)
            file.writestr(name, content)
        how = chance.randrange(6)
        if how == 0:
            with contextlib.suppress(Exception):
                file.writestr(hit, content)
        elif how == 1:
            file.writestr("zeros.npy", bytes(chance.choice([10**6, 80 * 10**6])), zipfile.ZIP_DEFLATED)
        elif how == 2:
            for number in range(2000):
                file.writestr(f"{number}.npy", b"")
    return loaded(case / "model.npz")


def safetensors_header(place, case, chance):
    """The JSON header of a safetensors file."""
    content = (place.folder / "model.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    if chance.random() < 0.5:
        header["__metadata__"]["about"] = mutated_json(chance, json.loads(header["__metadata__"]["about"]))
        text = json.dumps(header).encode()
    else:
        text = mutated_json(chance, header).encode("utf-8", "replace")
    length = chance.choice([len(text)] * 9 + [2**40])
    (case / "model.safetensors").write_bytes(length.to_bytes(8, "little") + text + content[8 + size :])
    return loaded(case / "model.safetensors", metadata=True)


def h5_fields(place, case, chance):
    """Attributes, groups, datasets and links of an HDF5 file, also inside a .keras file."""
    import h5py

    path = case / "model.weights.h5"
    shutil.copy(place.folder / path.name, path)
    with h5py.File(path, "a") as file:
        variables = file[chance.choice(["layers/conv2d/vars", "layers/conv2d_1/vars", "layers/conv2d_transpose/vars"])]
        group, name = variables, chance.choice(list(variables))
        how = chance.randrange(12)
        if how < 3:
            holder, key = chance.choice([(file, "minunet"), (variables, "name")])
            values = [np.zeros(5000), "x" * 60000, b"\xff\xfe", ["a"] * 50, 5, h5py.Empty("f"), "", "\x1b[31m", "about"]
            values += [mutated_json(chance, place.metadata).encode("utf-8", "replace").decode()] * 5
            with contextlib.suppress(Exception):
                holder.attrs[key] = chance.choice(values)
        elif how < 6:
            array = mutated_array(chance, group[name][()])
            del group[name]
            with contextlib.suppress(TypeError, ValueError):
                group[name] = array
        elif how == 6:
            with contextlib.suppress(OSError):
                group[chance.choice(["7", "x", "²", "-1", "name"])] = np.zeros(3)
        elif how == 7:
            del group[name]
            group.create_dataset(name, (10**5, 10**5), "f4", chunks=(1000, 1000), compression="gzip", fillvalue=1)
        elif how == 8:
            del group[name]
            group[name] = chance.choice(
                [h5py.SoftLink("/layers"), h5py.ExternalLink("/etc/hostname", "/"), file["layers"]]
            )
        elif how == 9:
            del group[name]
            texts = group.create_dataset(name, (1000,), h5py.string_dtype())
            texts[:] = ["x" * 1000] * 1000
        elif how == 10:
            file.move("layers/conv2d", chance.choice(["layers/Conv", "layers/conv2d_x", "layers/²", "conv2d"]))
        else:
            del group[name]
            group.create_dataset(name, (4,), "f4", external=[("/etc/hostname", 0, 16)])
    if chance.random() < 0.3:
        with zipfile.ZipFile(case / "model.keras", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("config.json", mutated_json(chance, {"config": {"layers": [1]}}).encode("utf-8", "replace"))
            file.write(path, chance.choice(["model.weights.h5"] * 9 + ["other.h5"]))
        path = case / "model.keras"
    return loaded(path, metadata=True)


def class_lines(place, case, chance):
    """A file of classes, and classes that were kept as JSON."""
    lines = "0 road stuff 128 64 128\n1 traffic light thing #00008e\n2 sky\n255 ignore\n# comment\n"
    path = case / "classes.txt"
    path.write_bytes(mutated_text(chance, lines).encode("utf-8", "replace"))
    try:
        if chance.random() < 0.5:
            classes = read_classes(path)
        else:
            kept = parse_json(mutated_json(chance, place.classes().to_json()))
            classes = Classes.from_json(kept if isinstance(kept, dict) else {"names": kept})
        assert all(name.isprintable() for name in classes.names)
    except ValueError as error:
        assert str(error)
        return False
    return True


def coco_document(place, case, chance):
    """The JSON file of panoptic segments."""
    scenes = place.folder / "scenes"
    text = mutated_json(chance, json.loads((scenes / "panoptic.json").read_text()))
    (case / "panoptic.json").write_bytes(text.encode("utf-8", "replace"))
    try:
        coco = CocoPanoptic(
            scenes / "images", scenes / "panoptic", case / "panoptic.json", size=8, cache=chance.random() < 0.3
        )
        assert all(labels.dtype == np.uint16 for _, labels in coco)
    except DataError as error:
        assert str(error)
        return False
    return True


def name_lists(place, case, chance):
    """The lists of the pets, and lists of names."""
    shutil.copytree(place.folder / "pets", case / "pets")
    content = mutated_text(chance, place.list).encode("utf-8", "replace")
    for name in ("trainval", "test"):
        (case / "pets" / "annotations" / f"{name}.txt").write_bytes(content)
    try:
        assert len(Pets(case / "pets", chance.choice(["trainval", "all"]), size=8, cache=False))
        (case / "names.txt").write_bytes(mutated_text(chance, "pug_1\npug_2\n").encode("utf-8", "replace"))
        names = read_names(case / "names.txt")
        if chance.random() < 0.2:
            words = [
                *place.train,
                "--names",
                case / "names.txt",
                "--epochs",
                "1",
                "--device",
                "cpu",
                "--out",
                case / "o",
            ]
            return place.command(train_command, words) == 0
    except DataError as error:
        assert str(error)
        return False
    return bool(names)


def resumed(place, case, chance):
    """Resumes the run in case/run. Returns whether it could be; if not, nothing in it was changed."""
    folder = case / "run"
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code = place.command(train_command, ["--resume", folder, *chance.choice([[], ["--epochs", "2"]])])
    if code == 2:
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "the folder has changed"
    cells = (folder / "history.csv").read_text().replace("\n", ",").split(",")
    assert not any(cell.startswith(tuple("=@+\t")) for cell in cells), "a cell that a spreadsheet would run"
    return code == 0


def run_json(place, case, chance):
    """What a run says about itself."""
    shutil.copytree(place.folder / "run", case / "run")
    content = json.loads((case / "run" / "run.json").read_text())
    if chance.random() < 0.5:
        part = {name: content[name] for name in ("command", "task", "resumed", "best", "pictures") if name in content}
        text = json.dumps(content)
        with contextlib.suppress(ValueError, TypeError, AttributeError, RecursionError):
            text = json.dumps({**content, **json.loads(mutated_json(chance, part))})
    else:
        text = mutated_json(chance, content)
    (case / "run" / "run.json").write_bytes(text.encode("utf-8", "replace"))
    return resumed(place, case, chance)


def checkpoint_fields(place, case, chance):
    """The state of a run in last.npz: progress, optimizer, schedule, patience, history, weights."""
    shutil.copytree(place.folder / "run", case / "run")
    with np.load(case / "run" / "last.npz") as file:
        arrays = dict(file)
    state = [name for name in arrays if name.startswith("training/")]
    small = [name for name in state if not name.startswith("training/optimizer/")]
    if chance.random() < 0.4:  # in the middle of an epoch
        counts = np.array([[5, 9, 7, 4096, 4096]] * 2)
        of_step = {"step": np.array(1), "losses": np.array([0.5]), "images": np.array([2]), "counts": counts}
        arrays |= {f"training/progress/{name}": array for name, array in of_step.items()}
        small = [f"training/progress/{name}" for name in of_step]
    for _ in range(chance.choice([1, 1, 2])):
        name = chance.choice(chance.choice([state, small, small, list(arrays)]))
        how = chance.randrange(5)
        if how == 0:
            arrays.pop(name, None)
        elif how == 1:
            arrays[chance.choice([name + "x", "training/x/y", "training/", "training/progress/", "x"])] = arrays.get(
                name, 0
            )
        elif name in arrays:
            arrays[name] = mutated_array(chance, arrays[name])
    np.savez(case / "run" / "last.npz", **arrays)
    return resumed(place, case, chance)


def history_rows(place, case, chance):
    """The rows of scores in last.npz."""
    shutil.copytree(place.folder / "run", case / "run")
    with np.load(case / "run" / "last.npz") as file:
        arrays = dict(file)
    rows = json.loads(str(arrays["training/run/history"]))
    arrays["training/run/history"] = np.array(mutated_json(chance, rows))
    np.savez(case / "run" / "last.npz", **arrays)
    return resumed(place, case, chance)


def cache_metadata(place, case, chance):
    """What a cache says about itself: it is used, or built anew, and the images are right in any case."""
    os.environ["MINUNET_CACHE"] = str(case / "cache")

    def read(source):
        return np.full((4, 4, 3), int(source[0].stem[-1]), np.uint8), np.ones((4, 4, 1), np.uint8)

    try:
        sources = [(place.folder / "pets" / "images" / f"{name}.jpg",) for name in ("pug_1", "pug_2")]
        cache.decode_all(read, sources, (4, 4))
        (path,) = (case / "cache").glob("*/metadata.json")
        content = json.loads(path.read_text())
        path.write_bytes(mutated_json(chance, content).encode("utf-8", "replace"))
        found = cache.decode_all(read, sources, (4, 4))
        assert [int(image[0, 0, 0]) for image in found.images] == [1, 2]
    finally:
        os.environ["MINUNET_CACHE"] = str(place.folder / "cache")
    return True


Place.classes = lambda self: read_classes(self.folder / "scenes" / "classes.txt")
KINDS = [npz_metadata, npz_arrays, npz_headers, safetensors_header, h5_fields, class_lines, coco_document, name_lists]
KINDS += [run_json, checkpoint_fields, history_rows, cache_metadata]


def run_case(place, number):
    """Runs one case. Returns its kind and whether the file was taken; raises whatever goes wrong."""
    chance = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    case = place.folder / "case"
    shutil.rmtree(case, ignore_errors=True)
    case.mkdir()
    taken = kind(place, case, chance)
    assert {path: path.read_bytes() for path in place.inputs()} == place.outside, "an input has changed"
    return kind.__name__, taken


# ---- the campaign ----


def chunk(first, count):
    """Runs some cases in this process, with limits, and prints what came of each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, lambda *arguments: (_ for _ in ()).throw(TimeoutError("a hang")))
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        for number in range(first, first + count):
            print("case", number, KINDS[number % len(KINDS)].__name__, flush=True)
            signal.alarm(SECONDS)
            try:
                print("taken" if run_case(place, number)[1] else "refused", flush=True)
            except Exception:
                print("FAILED", json.dumps(traceback.format_exc()[-1500:]), flush=True)
            signal.alarm(0)
    print("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)


def campaign(count, first=0, size=250):
    """Runs cases in processes of `size` each. Returns the number of failures."""
    results, failures, memory = Counter(), [], 0
    for start in range(first, first + count, size):
        command = [sys.executable, __file__, "chunk", str(start), str(min(size, first + count - start))]
        done = subprocess.run(command, capture_output=True, text=True, errors="replace")
        case = ("case", "none", "none")
        for line in done.stdout.splitlines():
            word, _, rest = line.partition(" ")
            if word == "case":
                case = tuple(line.split(" "))
            elif word == "memory":
                memory = max(memory, int(rest))
            elif word in ("taken", "refused", "FAILED"):
                results[case[2], word] += 1
                if word == "FAILED":
                    failures.append((case, json.loads(rest)))
        if done.returncode:
            failures.append((case, f"the process ended with {done.returncode}: {done.stderr[-800:]}"))
    for kind in (kind.__name__ for kind in KINDS):
        print(f"{kind:<20}", *(f"{word} {results[kind, word]:>5}" for word in ("taken", "refused", "FAILED")))
    for case, text in failures[:40]:
        print("\n", *case, "\n", text)
    print(f"{sum(results.values())} cases, {len(failures)} failures, at most {memory / 1024:.0f} MiB resident")
    return len(failures)


if __name__ == "__main__":
    if sys.argv[1] == "chunk":
        chunk(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(campaign(*map(int, sys.argv[1:])) > 0)
