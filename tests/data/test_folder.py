import os
import shutil

import numpy
import pytest
from PIL import Image

from ablate.base.errors import AblateError, ConfigError
from ablate.base.image_folder import fingerprint, listing_key
from ablate.data.folder import load_folder
from ablate.data.load import load


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


@pytest.fixture
def dataset(tmp_path):
    """Two classes, three images each to train and one to test, of 9x8 pixels in colour; and their arrays."""
    generator, arrays = numpy.random.default_rng(0), {}
    for split, count in (("train", 3), ("test", 1)):
        for name in ("ant", "bee"):
            for index in range(count):
                array = generator.integers(0, 256, (9, 8, 3), dtype=numpy.uint8)
                save(tmp_path / "set" / split / name / f"{index}.png", array)
                arrays[split, name, index] = array
    return tmp_path / "set", arrays


def test_images_are_read_exactly_and_labelled_by_their_folders(dataset):
    root, arrays = dataset
    loaded = load_folder(root)
    assert loaded.classes == ("ant", "bee")
    for split, x, y in (("train", loaded.train_x, loaded.train_y), ("test", loaded.test_x, loaded.test_y)):
        wanted = [(array, name) for (where, name, _), array in arrays.items() if where == split]
        assert y.tolist() == [("ant", "bee").index(name) for _, name in wanted]
        assert numpy.array_equal(x.numpy(), numpy.stack([array.transpose(2, 0, 1) for array, _ in wanted]))
        assert x.numpy().dtype == numpy.uint8


def test_second_load_reads_the_cache(dataset, monkeypatch):
    root, _ = dataset
    first = load_folder(root)

    def refuse(*_):
        raise AssertionError("decoded again")

    monkeypatch.setattr(Image, "open", refuse)
    second = load_folder(root)
    for key in ("train_x", "train_y", "test_x", "test_y"):
        assert getattr(second, key).equal(getattr(first, key))


def test_changed_file_is_read_again(dataset):
    root, arrays = dataset
    load_folder(root)
    changed = 255 - arrays["train", "bee", 1]
    file = root / "train" / "bee" / "1.png"
    before = file.stat()
    save(file, changed)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert numpy.array_equal(load_folder(root).train_x[4].numpy(), changed.transpose(2, 0, 1))


def test_added_and_removed_files_are_noticed(dataset):
    root, arrays = dataset
    load_folder(root)
    save(root / "train" / "ant" / "9.png", arrays["test", "ant", 0])
    assert load_folder(root).train_y.tolist() == [0] * 4 + [1] * 3
    (root / "train" / "ant" / "0.png").unlink()
    assert load_folder(root).train_y.tolist() == [0] * 3 + [1] * 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # numpy leaves a torn file open
def test_torn_cache_is_ignored(dataset, cache):
    root, _ = dataset
    first = load_folder(root)
    (stored,) = cache.rglob("*.npz")
    stored.write_bytes(stored.read_bytes()[:200])
    assert load_folder(root).train_x.equal(first.train_x)


def test_unwritable_cache_is_ignored(dataset, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(load_folder(dataset[0]).train_y) == 6


def test_greyscale_images_have_one_channel_and_among_coloured_ones_three(dataset):
    root, _ = dataset
    grey = numpy.arange(72, dtype=numpy.uint8).reshape(9, 8)
    save(root / "train" / "ant" / "0.png", grey)
    assert numpy.array_equal(load_folder(root).train_x[0].numpy(), numpy.stack([grey] * 3))
    for file in (root / "test").rglob("*.png"):
        save(file, grey)
    assert load_folder(root).shape[0] == 3
    for file in root.rglob("*.png"):
        save(file, grey)
    loaded = load_folder(root)
    assert loaded.shape[0] == 1
    assert numpy.array_equal(loaded.test_x[0, 0].numpy(), grey)


@pytest.mark.parametrize(("kind", "ending"), [("uint16", "png"), ("int32", "tif"), ("float32", "tif")])
def test_image_of_more_than_8_bits_is_refused_and_its_old_cache_not_read(dataset, cache, kind, ending):
    root, _ = dataset
    load_folder(root)
    (stored,) = cache.rglob("*.npz")
    deep = root / "train" / "ant" / f"9.{ending}"
    save(deep, numpy.full((9, 8), 300, dtype=kind))
    stored.rename(cache / "ablate" / f"folder-{listing_key(root)}.npz")  # as version 1 named it
    with pytest.raises(AblateError, match=rf"ant/9\.{ending} has more than 8 bits .* save it as an 8-bit image$"):
        load_folder(root)


def test_palette_with_transparency_is_read_without_a_warning(dataset):
    root, _ = dataset
    file = root / "train" / "ant" / "0.png"
    colours = numpy.arange(72, dtype=numpy.uint8).reshape(9, 8)
    image = Image.fromarray(colours).convert("P")
    image.putpalette([channel for n in range(256) for channel in (n, 255 - n, n // 2)])
    image.save(file, transparency=bytes(range(256)))  # pytest makes an error of Pillow's warning
    expected = numpy.stack([colours, 255 - colours, colours // 2])
    assert numpy.array_equal(load_folder(root).train_x[0].numpy(), expected)


def test_hidden_files_and_desktop_files_are_skipped(dataset):
    root, _ = dataset
    (root / "train" / "ant" / ".DS_Store").write_text("x")
    (root / "train" / "ant" / "Thumbs.db").write_text("x")
    (root / "train" / ".git").mkdir()
    assert len(load_folder(root).train_y) == 6


def test_image_of_another_size_is_named(dataset):
    root, _ = dataset
    save(root / "train" / "bee" / "2.png", numpy.zeros((8, 9, 3), dtype=numpy.uint8))
    with pytest.raises(AblateError, match=r"bee/2\.png is 8x9 pixels \(height x width\) where 0\.png is 9x8"):
        load_folder(root)


def test_single_class_is_refused(dataset):
    root, _ = dataset
    for split in ("train", "test"):
        for file in (root / split / "bee").iterdir():
            file.unlink()
    with pytest.raises(AblateError, match="has 1 class"):
        load_folder(root)


def test_images_too_small_for_three_stages_are_refused(tmp_path, resolve):
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            save(tmp_path / "small" / split / name / "0.png", numpy.zeros((7, 20), dtype=numpy.uint8))
    data = resolve("data=folder", f"data.root={tmp_path / 'small'}").data
    with pytest.raises(ConfigError, match="7x20: the network needs 8x8"):
        load(data)


def test_cache_is_in_the_cache_folder(dataset, cache):
    load_folder(dataset[0])
    assert len(list(cache.rglob("folder-*.npz"))) == 1


def test_class_in_one_part_only_is_named(dataset):
    root, _ = dataset
    save(root / "train" / "cat" / "0.png", numpy.zeros((9, 8, 3), dtype=numpy.uint8))
    with pytest.raises(AblateError, match=r"class 'cat' has images in only one of train/ and test/: it needs both$"):
        load_folder(root)


def test_fingerprint_does_not_depend_on_the_path(dataset, tmp_path):
    root, _ = dataset
    first = fingerprint(root)
    root.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == first


@pytest.fixture
def plain(tmp_path):
    """Files in whose order a move to the next class or part, or a longer name, changes nothing."""
    for name in ("train/ant/1", "train/bee/2", "train/bee/3", "test/bee/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("train/ant/1", "train/bee/1", id="class"),
        pytest.param("train/bee/3", "test/bee/3", id="part"),
        pytest.param("train/bee/3", "train/bee/33", id="name"),
    ],
)
def test_fingerprint_and_listing_change_with_part_class_and_name(plain, before, after):
    first = fingerprint(plain), listing_key(plain)
    (plain / before).rename(plain / after)
    assert fingerprint(plain) != first[0]
    assert listing_key(plain) != first[1]


def test_listing_changes_with_size_time_and_path(plain, tmp_path):
    file = plain / "train" / "ant" / "1"
    before, keys = file.stat(), {listing_key(plain)}
    file.write_text("of another size")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    keys.add(listing_key(plain))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    keys.add(listing_key(plain))
    shutil.copytree(plain, tmp_path / "copy", copy_function=shutil.copy2, ignore=shutil.ignore_patterns("copy"))
    keys.add(listing_key(tmp_path / "copy"))
    assert len(keys) == 4


def test_fingerprint_is_of_the_bytes(tmp_path):
    found = []
    for number in (0, 200):  # BMP is not compressed: files of one size
        root = tmp_path / str(number)
        for path in ("train/ant", "train/bee", "test/ant", "test/bee"):
            save(root / path / "0.bmp", numpy.full((8, 8), number, numpy.uint8))
        found.append(fingerprint(root))
    assert found[0] != found[1]


def test_fingerprint_is_in_the_configuration(dataset, resolve):
    root, _ = dataset
    assert resolve("data=folder", f"data.root={root}").data.fingerprint == fingerprint(root)
