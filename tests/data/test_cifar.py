"""CIFAR from a server on this machine, with twenty images in each file."""

import hashlib
import http.server
import io
import pickle
import tarfile
import threading
from functools import partial

import numpy
import pytest
from torchvision import datasets

from ablate.base.errors import AblateError
from ablate.data.cifar import fetch_cifar, load_cifar
from ablate.data.load import load, prepare

FOLDER, ARCHIVE = "cifar-10-batches-py", "cifar-10-python.tar.gz"
BATCHES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]


class Server:
    """Serves a folder, and lists what was asked for."""

    def __init__(self, folder):
        self.asked = asked = []

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_):
                asked.append(self.path)

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
        self.url = f"http://127.0.0.1:{self.server.server_port}/{ARCHIVE}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def archive():
    """The files of a small CIFAR-10 by name, and a tar archive of them."""
    generator = numpy.random.default_rng(0)
    files = {"batches.meta": pickle.dumps({"label_names": [f"class {n}" for n in range(10)]})}
    for name in BATCHES:
        images = generator.integers(0, 256, (20, 3072), dtype=numpy.uint8)
        files[name] = pickle.dumps({"data": images, "labels": generator.integers(0, 10, 20).tolist()})
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return files, stream.getvalue()


@pytest.fixture
def server(archive, tmp_path, monkeypatch):
    """Where cifar10 is fetched from; `server_folder/ARCHIVE` is what it serves."""
    files, content = archive
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / ARCHIVE).write_bytes(content)
    started = Server(tmp_path / "server")
    sums = {name: hashlib.md5(content).hexdigest() for name, content in files.items()}

    monkeypatch.setattr(datasets.CIFAR10, "url", started.url)
    monkeypatch.setattr(datasets.CIFAR10, "train_list", [[name, sums[name]] for name in BATCHES[:5]])
    monkeypatch.setattr(datasets.CIFAR10, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(datasets.CIFAR10, "meta", {**datasets.CIFAR10.meta, "md5": sums["batches.meta"]})
    yield started
    started.close()


def content(root):
    return {path.name: path.read_bytes() for path in (root / FOLDER).iterdir()}


def test_fetched_images_and_labels_are_those_of_the_files(archive, server, tmp_path, resolve):
    root = tmp_path / "data"
    dataset = load(resolve("data=cifar10", "data.download=true", f"data.root={root}").data)
    batches = [pickle.loads(archive[0][name]) for name in BATCHES]
    images = numpy.concatenate([batch["data"] for batch in batches[:5]]).reshape(100, 3, 32, 32)
    assert numpy.array_equal(dataset.train_x.numpy(), images)
    assert dataset.train_y.tolist() == [label for batch in batches[:5] for label in batch["labels"]]
    assert dataset.test_y.tolist() == batches[5]["labels"]
    assert dataset.classes[3] == "class 3"
    assert [path.name for path in root.iterdir()] == [FOLDER]
    prepare(resolve("data=cifar10", "data.download=true", f"data.root={root}").data)
    assert len(server.asked) == 1


def test_files_appear_whole_while_several_fetch_them(archive, server, tmp_path):
    files, _ = archive
    root, errors, done = tmp_path / "data", [], threading.Event()
    (root / FOLDER).mkdir(parents=True)
    start = threading.Barrier(8)

    def fetch():
        start.wait()
        try:
            fetch_cifar("cifar10", root)
            load_cifar("cifar10", root)
        except Exception as error:
            errors.append(error)

    def watch():
        while not done.is_set():
            for path in (root / FOLDER).iterdir():
                if path.name in files and path.read_bytes() != files[path.name]:
                    errors.append(path)

    watcher, *fetchers = (threading.Thread(target=target) for target in (watch, *[fetch] * 8))
    for thread in (watcher, *fetchers):
        thread.start()
    for thread in fetchers:
        thread.join()
    done.set()
    watcher.join()
    assert errors == []
    assert content(root) == files


@pytest.mark.parametrize("name", ["data_batch_3", "batches.meta"])
def test_missing_or_damaged_file_is_fetched(name, archive, server, tmp_path):
    for damage in (lambda path: path.unlink(), lambda path: path.write_bytes(b"")):
        fetch_cifar("cifar10", tmp_path)
        damage(tmp_path / FOLDER / name)
        with pytest.raises(AblateError, match=r"cifar10 is missing or incomplete: add data\.download=true") as caught:
            load_cifar("cifar10", tmp_path)
        assert f", put {', '.join(BATCHES)} into {tmp_path / FOLDER}, " in str(caught.value)
        fetch_cifar("cifar10", tmp_path)
        assert content(tmp_path) == archive[0]


def test_archive_in_the_folder_is_used(archive, server, tmp_path):
    (tmp_path / ARCHIVE).write_bytes(archive[1])
    fetch_cifar("cifar10", tmp_path)
    assert content(tmp_path) == archive[0]
    assert server.asked == []


@pytest.mark.parametrize("where", ["server", "."])
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole, files: whole[:-3000], "EOFError: Compressed file ended"),
        (lambda whole, files: whole[:2000] + b"x" + whole[2001:], "(error|damaged)"),
        (lambda whole, files: b"<html>moved</html>", "ReadError: file could not be opened"),
    ],
)
def test_damaged_archive_is_refused_and_no_file_written(damage, reason, where, archive, server, tmp_path):
    files, whole = archive
    (tmp_path / where / ARCHIVE).write_bytes(damage(whole, files))
    advice = "try again" if where == "server" else f"remove {tmp_path / ARCHIVE}"
    with pytest.raises(AblateError, match=rf"^cifar10 could not be fetched \(.*{reason}.*\): {advice}, put data_"):
        fetch_cifar("cifar10", tmp_path)
    assert all(found == files[name] for name, found in content(tmp_path).items())


def test_errors_of_a_download_are_named(server, tmp_path):
    (tmp_path / "server" / ARCHIVE).unlink()
    with pytest.raises(AblateError, match=r"could not be fetched \(HTTPError: HTTP Error 404: .*\): try again"):
        fetch_cifar("cifar10", tmp_path)
    server.close()
    with pytest.raises(AblateError, match=r"could not be fetched \(URLError: .*refused.*\): try again"):
        fetch_cifar("cifar10", tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(AblateError, match=r"could not be fetched \(NotADirectoryError: .*\)"):
        fetch_cifar("cifar10", tmp_path / "file")


def test_unreadable_files_are_not_called_missing(server, tmp_path, monkeypatch):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(datasets.CIFAR10, "_check_integrity", refuse)
    with pytest.raises(AblateError, match=r"^cifar10 cannot be read \(PermissionError: .*\): correct that, put"):
        load_cifar("cifar10", tmp_path)
