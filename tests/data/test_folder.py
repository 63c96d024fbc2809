import contextlib
import errno
import itertools
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy
import pytest
import torch
import torchvision
from PIL import ExifTags, Image

from ablate.base.errors import AblateError
from ablate.base.image_folder import class_of, fingerprint, listing, listing_key
from ablate.data.folder import load_folder
from ablate.data.load import load, prepare


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


def test_prepared_folder_is_not_decoded_again(dataset, monkeypatch, resolve):
    root, arrays = dataset
    data = resolve("data=folder", f"data.root={root}").data
    prepare(data)
    monkeypatch.setattr(Image, "open", None)
    assert numpy.array_equal(load(data).train_x[0].numpy(), arrays["train", "ant", 0].transpose(2, 0, 1))


@pytest.mark.parametrize("ending", ["bmp", "jpg", "ppm"])
def test_image_of_a_format_with_one_frame_is_read_without_a_warning(ending, dataset, capsys):
    root, arrays = dataset
    save(root / "train" / "ant" / f"9.{ending}", arrays["train", "ant", 0])
    assert len(load_folder(root).train_y) == 7
    assert capsys.readouterr().err == ""


def test_arrays_that_this_version_cached_are_read(dataset, cache):
    """If the same files come to be decoded into other arrays, raise FORM, so that these are not read."""
    root, _ = dataset
    x = numpy.arange(3 * 64, dtype=numpy.uint8).reshape(3, 1, 8, 8)
    arrays = {"x": x, "y": numpy.array([0, 1, 0]), "train": numpy.array(2), "classes": numpy.array(["ant", "bee"])}
    (cache / "ablate").mkdir(parents=True)
    numpy.savez(cache / "ablate" / f"folder-4-{listing_key(root)}.npz", **arrays)
    loaded = load_folder(root)
    assert numpy.array_equal(torch.cat([loaded.train_x, loaded.test_x]).numpy(), x)
    assert (loaded.train_y.tolist(), loaded.test_y.tolist(), loaded.classes) == ([0, 1], [0], ("ant", "bee"))


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
    Image.fromarray(grey).convert("LA").save(file)
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


def test_deep_colour_is_refused(dataset):
    """Pillow would read the high bytes only."""
    root, _ = dataset
    deep = root / "train" / "ant" / "9.png"
    deep.write_bytes(png(16, colour=2, rows=bytes(9 * (1 + 8 * 6))))
    with pytest.raises(AblateError, match=r"ant/9\.png has more than 8 bits a channel: save it as an 8-bit image$"):
        load_folder(root)
    deep.write_bytes(png(8, colour=2, rows=bytes(9 * (1 + 8 * 3))))
    assert len(load_folder(root).train_y) == 7


def png(depth, colour, rows):
    """A PNG of 9x8 pixels, which Pillow cannot write with 16 bits in colour."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 8, 9, depth, colour, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("largest", [15, 255, 256, 65535])
@pytest.mark.parametrize(("kind", "channels"), [("P5", 1), ("P6", 3)])
def test_netpbm_of_more_than_8_bits_is_refused(kind, channels, largest, dataset):
    root, _ = dataset
    file = root / "train" / "ant" / "9.ppm"
    deep = largest > 255
    file.write_bytes(f"{kind}\n8 9\n{largest}\n".encode() + bytes(72 * channels * (1 + deep)))
    with pytest.raises(AblateError, match="more than 8 bits") if deep else contextlib.nullcontext():
        load_folder(root)


def test_tiff_of_16_bits_in_colour_is_refused(dataset):
    root, _ = dataset
    file = root / "train" / "ant" / "9.tif"
    fields = [(256, 8), (257, 9), (259, 1), (262, 2), (273, 512), (277, 3), (278, 9), (279, 432)]
    entries = [struct.pack("<HHIHH", tag, 3, 1, value, 0) for tag, value in fields]
    entries.insert(2, struct.pack("<HHII", 258, 3, 3, 256))  # BitsPerSample: three values at byte 256
    content = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)
    file.write_bytes(content.ljust(256, b"\0") + struct.pack("<HHH", 16, 16, 16).ljust(256, b"\0") + bytes(432))
    with Image.open(file) as image:
        assert (image.mode, image.size) == ("RGB", (8, 9))  # as Pillow sees it
    with pytest.raises(AblateError, match=r"ant/9\.tif has more than 8 bits a channel"):
        load_folder(root)


def test_file_of_another_format_is_refused(dataset):
    root, _ = dataset
    file = root / "train" / "ant" / "9.png"
    Image.new("RGB", (8, 9)).save(file, "JPEG2000")
    with pytest.raises(AblateError, match=r"ant/9\.png cannot be read as an image \(BMP, .*\): convert, "):
        load_folder(root)


def test_image_of_too_many_pixels_is_refused(dataset, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 35)  # half of 9x8 less one: Pillow warns above it
    with pytest.raises(
        AblateError, match=r"0\.png has too many pixels: scale it down \(Image size \(72 pixels\) exceeds"
    ):
        load_folder(dataset[0])


@pytest.mark.parametrize("kind", ["jpg", "png", "tif", "webp"])
def test_images_are_turned_as_their_orientation_says(kind, dataset):
    """The eight orientations of one photograph are one image."""
    root, _ = dataset
    upright = numpy.kron(numpy.arange(72).reshape(9, 8) // 9 * 30, numpy.ones((16, 16))).astype(numpy.uint8)
    shutil.rmtree(root)
    # Orientation 6 is to be turned clockwise, so it is stored turned the other way; 5 and 7 are mirrored as well.
    stored = (
        *(upright, upright[:, ::-1], upright[::-1, ::-1], upright[::-1]),
        *(upright.T, numpy.rot90(upright), upright[::-1, ::-1].T, numpy.rot90(upright, -1)),
    )
    for split, name in itertools.product(("train", "test"), ("ant", "bee")):
        for number, array in enumerate(stored, 1):
            path = root / split / name / f"{number}.{kind}"
            path.parent.mkdir(parents=True, exist_ok=True)
            exif = Image.Exif()
            exif[ExifTags.Base.Orientation] = number
            Image.fromarray(array).save(path, exif=exif, quality=100)
    images = load_folder(root).train_x[:8, 0].numpy().astype(int)
    assert images.shape == (8, 144, 128)
    assert abs(images - upright).max() <= 8  # JPEG and WebP are lossy


def test_opaque_images_with_an_alpha_channel_are_read_as_they_are(dataset, capsys):
    root, arrays = dataset
    file = root / "train" / "ant" / "0.png"
    Image.fromarray(arrays["train", "ant", 0]).convert("RGBA").save(file)
    assert numpy.array_equal(load_folder(root).train_x[0].numpy(), arrays["train", "ant", 0].transpose(2, 0, 1))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", ["colour", "grey", "palette"])
def test_transparent_images_are_put_on_white_with_one_warning(kind, dataset, capsys):
    root, _ = dataset
    colours = numpy.arange(72, dtype=numpy.uint8).reshape(9, 8)
    alpha = 3 * colours
    if kind == "palette":
        image = Image.fromarray(colours).convert("P")
        image.putpalette([channel for n in range(256) for channel in (n, 255 - n, n // 2)])
        kept, options = [colours, 255 - colours, colours // 2], {"transparency": bytes(3 * n % 256 for n in range(256))}
    else:
        kept, options = [colours] * 3, {}
        image = Image.fromarray(colours).convert("LA" if kind == "grey" else "RGBA")
        image.putalpha(Image.fromarray(alpha))
    for name in ("0", "1"):
        image.save(root / "train" / "ant" / f"{name}.png", **options)
    expected = [255 - alpha / 255 * (255 - channel.astype(float)) for channel in kept]
    assert abs(load_folder(root).train_x[0].numpy() - numpy.stack(expected)).max() <= 1
    warning = "2 images have transparent pixels, which are put on white, as train/ant/0.png"
    assert capsys.readouterr().err == f"ablate: warning: {root}: {warning}\n"


def test_first_of_several_frames_is_read_with_one_warning(dataset, capsys):
    root, arrays = dataset
    frames = [Image.fromarray(arrays["train", "ant", number]) for number in range(3)]
    for ending in ("tif", "png"):
        (root / "train" / "ant" / f"0.{ending}").unlink(missing_ok=True)
        frames[0].save(root / "train" / "ant" / f"0.{ending}", save_all=True, append_images=frames[1:])
    images = load_folder(root).train_x.numpy()
    assert all(numpy.array_equal(image, arrays["train", "ant", 0].transpose(2, 0, 1)) for image in images[:2])
    assert capsys.readouterr().err == (
        f"ablate: warning: {root}: 2 images have several frames, of which the first is read, as train/ant/0.png\n"
    )


def test_files_and_labels_are_those_of_torchvision(dataset):
    root, _ = dataset
    for name in ("ant/b/1.png", "ant/b-c/1.png", "ant/a/x/2.png", "bee/B/1.PNG", "ant/.hidden/1.png", "bee/Z.png"):
        save(root / "train" / name, numpy.zeros((9, 8, 3), dtype=numpy.uint8))
    (root / "train" / "ant" / "linked").symlink_to(root / "test" / "ant")
    theirs = torchvision.datasets.ImageFolder(str(root / "train"), is_valid_file=lambda path: "/." not in path)
    ours = [path for path in listing(root) if path.is_relative_to(root / "train")]
    assert [(str(path), theirs.class_to_idx[class_of(root, path)]) for path in ours] == theirs.samples
    assert load_folder(root).train_y.tolist() == theirs.targets


def dangle(path):
    path.symlink_to("nowhere")


def loop(path):
    path.symlink_to(path.parent)


@pytest.mark.parametrize(
    ("make", "name", "reason"),
    [
        (Path.touch, "train/0.png", "is not the folder of a class: move images to .*/train/CLASS/"),
        (dangle, "test/cat", "is not the folder of a class"),
        (dangle, "train/ant/9.png", "links to a missing one: remove it"),
        (os.mkfifo, "train/ant/9.png", "is neither a file nor a folder"),
        (loop, "train/ant/again", "links to a folder that it is in: remove the link"),
        (Path.mkdir, "train/cat", "has no images: add some, or remove the folder"),
    ],
)
def test_what_is_not_a_file_of_a_class_is_named(make, name, reason, dataset):
    root, _ = dataset
    make(root / name)
    for read in (listing, fingerprint, load_folder):
        with pytest.raises(AblateError, match=rf"{name}.* {reason}"):
            read(root)


def test_unreadable_folders_and_files_are_named(dataset, monkeypatch):
    root, _ = dataset

    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    reads = ((Path, "read_bytes", "0.png", fingerprint), (os, "scandir", "train", listing_key))
    for where, method, name, read in reads:
        monkeypatch.setattr(where, method, refuse)
        with pytest.raises(AblateError, match=f"{name} cannot be read: Permission denied$"):
            read(root)


def test_hidden_files_and_desktop_files_are_skipped(dataset):
    root, _ = dataset
    for name in ("ant/.DS_Store", "ant/Thumbs.db", "ant/thumbs.db", "bee/DESKTOP.INI", "Desktop.ini", "__MACOSX/0.png"):
        (root / "train" / name).parent.mkdir(exist_ok=True)
        (root / "train" / name).write_text("x")
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
        shutil.rmtree(root / split / "bee")
    with pytest.raises(AblateError, match="has 1 class"):
        load_folder(root)


def test_cache_is_in_the_cache_folder(dataset, cache):
    load_folder(dataset[0])
    assert len(list(cache.rglob("folder-*.npz"))) == 1


def test_class_in_one_part_only_is_named(dataset):
    root, _ = dataset
    save(root / "train" / "cat" / "0.png", numpy.zeros((9, 8, 3), dtype=numpy.uint8))
    with pytest.raises(AblateError, match=r"class 'cat' has images in train/ only: it needs both train/ and test/$"):
        load_folder(root)


def test_fingerprint_does_not_depend_on_the_path(dataset, tmp_path):
    root, _ = dataset
    first = fingerprint(root)
    root.rename(tmp_path / "moved")
    assert fingerprint(tmp_path / "moved") == first


@pytest.fixture
def plain(tmp_path):
    """Files in whose order a move to the next class or part, or a longer name, changes nothing."""
    for name in ("train/ant/0", "train/ant/1", "train/bee/2", "train/bee/3", "test/ant/4", "test/bee/4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param("train/ant/1", "train/bee/1", id="class"),
        pytest.param("test/bee/4", "test/bee/44", id="name"),
        pytest.param("train/bee/3", "test/ant/3", id="part"),
        pytest.param("train/bee/3", "train/bee/more/3", id="folder"),
    ],
)
def test_fingerprint_and_listing_change_with_part_class_folder_and_name(plain, before, after):
    first = fingerprint(plain), listing_key(plain)
    (plain / after).parent.mkdir(exist_ok=True)
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


def test_class_that_a_record_cannot_name_is_refused(dataset):
    root, _ = dataset
    folder = os.fsdecode(os.fsencode(root / "train") + b"/caf\xe9")
    try:
        os.mkdir(folder)
    except OSError:  # macOS
        pytest.skip("the file system takes UTF-8 only")
    with pytest.raises(AblateError, match=r"caf\\udce9': the name of the class is not UTF-8: rename the folder$"):
        listing(root)
