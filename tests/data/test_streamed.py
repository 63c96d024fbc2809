"""Images that are read as they are needed."""

import multiprocessing
import os
import shutil
import subprocess

import pytest
import torch
from PIL import ExifTags, Image, ImageOps
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from ablate.base.errors import AblateError, ConfigError
from ablate.base.signals import SIGNALS
from ablate.data.batches import training_batches
from ablate.data.load import load, shape
from ablate.data.views import random_view
from tests.data.images import KINDS, write_images, write_varied
from tests.waiting import LIMIT

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture
def streamed(root, resolve):
    """The dataset and the batches of a configuration with these words."""

    def made(*words):
        config = resolve(
            "data=imagenet", f"data.root={root}", "data.size=32", "data.workers=0", "recipe.batch=5", *words
        )
        dataset = load(config.data)
        return dataset, training_batches(dataset, config, CPU)

    return made


def epoch(batches, number=0, index=0):
    batches.begin_epoch(number, index)
    found = []
    for _ in range(index, batches.per_epoch):
        found.append(batches.next())
        batches.index += 1
    return found


def same(one, other):
    return all(a.equal(b) for pair in zip(one, other, strict=True) for a, b in zip(*pair, strict=True))


def test_files_and_labels_are_those_of_torchvision(streamed, root):
    dataset, batches = streamed()
    for split, files, labels in (("train", dataset.train, dataset.train_y), ("val", dataset.test, dataset.test_y)):
        theirs = ImageFolder(root / split)
        assert [str(root / bytes(file).decode()) for file in files] == [path for path, _ in theirs.samples]
        assert labels.tolist() == theirs.targets
        assert dataset.classes == tuple(theirs.classes)
    assert (dataset.shape, batches.per_epoch, batches.size) == ((3, 32, 32), 4, 5)


@pytest.mark.parametrize(("size", "side"), [("32", 32), ("null", 224)])
def test_shape_is_known_without_reading(size, side, root, resolve):
    data = resolve("data=imagenet", f"data.root={root}", f"data.size={size}").data
    assert shape(data) == load(data).shape == (3, side, side)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_draw_none_of_the_numbers_that_a_network_draws(workers, streamed):
    _, batches = streamed(f"data.workers={workers}")
    before = torch.get_rng_state()
    epoch(batches), epoch(batches, 1, index=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_batches_do_not_depend_on_workers_or_on_where_a_run_resumes(streamed):
    (_, alone), (_, helped) = streamed(), streamed("data.workers=2")
    first, second = epoch(alone), epoch(alone, 1)
    assert same(first, epoch(helped))
    assert same(second[2:], epoch(helped, 1, index=2))
    assert same(second, epoch(helped, 1))  # a begun epoch is given up
    assert not same(first, second)
    assert not same(first, epoch(streamed("seed=1")[1]))
    x, y = first[0]
    assert (x.shape, x.dtype, y.dtype) == ((5, 3, 32, 32), torch.float32, torch.int64)
    assert x.is_contiguous(memory_format=torch.channels_last)


def test_every_image_is_read_at_most_once_in_an_epoch_with_its_label(streamed):
    dataset, batches = streamed("recipe.batch=24", "data.colour=false")
    ((_, labels),) = epoch(batches)
    assert sorted(labels.tolist()) == sorted(dataset.train_y.tolist())
    batches.begin_epoch(0)
    order = [place for place, _ in batches.keys[0]]
    assert sorted(order) == [*range(24)]
    assert labels.tolist() == dataset.train_y[order].tolist()


def test_training_images_are_the_views_of_their_seeds(streamed, root):
    """The shorter side has 256 to 480 pixels of 224, which are 37 to 69 of 32."""
    _, batches = streamed("data.colour=false", "recipe.batch=8")
    images, _ = epoch(batches)[0]
    batches.begin_epoch(0)
    for image, (place, seed) in zip(images, batches.keys[0], strict=True):
        file = Image.open(ImageFolder(root / "train").samples[place][0])
        wanted = random_view(file, seed, shortest=range(37, 70), side=32, flip=True)
        torch.testing.assert_close((image + batches.mean[0]) * 255, torch.from_numpy(wanted).permute(2, 0, 1).float())
    seeds = [seed for keys in batches.keys for _, seed in keys]
    assert len({*seeds}) == 24


def test_colour_is_shifted_along_the_principal_components(streamed):
    (_, plain), (_, coloured) = streamed("data.colour=false"), streamed()
    first, second = epoch(plain)[0][0], epoch(coloured)[0][0]
    coloured.begin_epoch(0)
    torch.testing.assert_close(second, first + next(coloured.shifts)[:, :, None, None])
    shifts = []
    for number in range(200):
        coloured.begin_epoch(number)
        shifts += coloured.shifts
    # 4,000 draws: the covariance of fb.resnet.torch's eigenvectors, with factors of variance 0.01
    values = 0.1 * torch.tensor([0.2175, 0.0188, 0.0045])
    vectors = torch.tensor([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    wanted = vectors @ (values**2).diag() @ vectors.T
    torch.testing.assert_close(torch.cat(shifts).T.cov(), wanted, rtol=0.1, atol=1e-6)


def test_test_images_are_centre_crops_in_order(streamed, root):
    dataset, batches = streamed()
    (images, labels), = dataset.test_batches(batches.mean)  # fmt: skip
    cut = v2.Compose([v2.Resize(37), v2.CenterCrop(32), v2.PILToTensor()])
    theirs = torch.stack([cut(image) for image, _ in ImageFolder(root / "val")])
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    torch.testing.assert_close(images, theirs / 255 - mean, rtol=0, atol=1.01 / 255)  # a level
    assert labels.equal(dataset.test_y)


def test_files_of_every_kind_are_read_as_pillow_turns_them_and_pastes_them_on_white(tmp_path, resolve):
    root = write_varied(tmp_path / "varied", train=4, test=6 * len(KINDS), classes=2)
    dataset = load(resolve("data=imagenet", f"data.root={root}", "data.size=32", "data.workers=0").data)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    images = torch.cat([images for images, _ in dataset.test_batches(mean[None])])
    turned = set()
    for image, file in zip((images + mean) * 255, dataset.test, strict=True):
        with Image.open(root / bytes(file).decode()) as read:
            turned.add(read.getexif().get(ExifTags.Base.Orientation))
            upright = ImageOps.exif_transpose(read).convert("RGBA" if read.has_transparency_data else "RGB")
        white = Image.new("RGB", upright.size, "white")
        white.paste(upright, mask=upright.getchannel("A") if upright.mode == "RGBA" else None)
        wanted = v2.Compose([v2.Resize(37), v2.CenterCrop(32), v2.PILToTensor()])(white)
        assert (image - wanted).abs().max() < 2.01, file  # a level of the scaling, and one of the transparency
    assert turned == {None, *range(1, 9)}


def test_ten_views_are_corners_and_centre_and_their_mirrors(streamed):
    (one, single), (ten, _) = streamed(), streamed("data.views=10")
    (centre, _), (views, _) = next(one.test_batches(single.mean)), next(ten.test_batches(single.mean))
    assert views.shape == (12, 10, 3, 32, 32)
    assert views[:, 4].equal(centre)
    assert views[:, 5:].equal(views[:, :5].flip(4))
    assert not views[:, 0].equal(views[:, 1])


def test_cores_read_unless_a_number_is_given(root, resolve, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "7")
    words = ("data=imagenet", f"data.root={root}")
    assert load(resolve(*words).data).workers == 7
    assert load(resolve(*words, "data.workers=3").data).workers == 3


def test_held_out_images_are_not_trained_on(streamed, root):
    dataset, _ = streamed("data.validation=6")
    whole, _ = streamed()
    kept, held = ({bytes(file) for file in files} for files in (dataset.train, dataset.test))
    assert (len(kept), len(held), dataset.evaluated_on) == (18, 6, "validation")
    assert kept | held == {bytes(file) for file in whole.train}
    folders = [bytes(file).decode().split("/")[1] for file in dataset.test]
    assert [dataset.classes[label] for label in dataset.test_y] == folders


@pytest.mark.parametrize("workers", [0, 1])
def test_damaged_file_is_named_in_one_sentence(workers, root, tmp_path, resolve):
    shutil.copytree(root, tmp_path / "copy")
    (damaged,) = (tmp_path / "copy/train/bee").glob("5.*")
    damaged.write_bytes(damaged.read_bytes()[:100])
    config = resolve(
        "data=imagenet", f"data.root={tmp_path / 'copy'}", "data.size=32", f"data.workers={workers}", "recipe.batch=24"
    )
    with pytest.raises(AblateError) as error:
        epoch(training_batches(load(config.data), config, CPU))
    assert str(error.value).startswith(f"{damaged} cannot be read as an image")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("name", [b"9\nAblateError: x.png", b"caf\xe9.png", b"ablate.base.errors.AblateError: .png"])
def test_any_name_of_a_damaged_file_is_in_one_sentence(name, workers, root, tmp_path, resolve):
    shutil.copytree(root, tmp_path / "copy")
    damaged = tmp_path / "copy/train/bee" / os.fsdecode(name)
    try:
        damaged.touch()
    except OSError:  # macOS
        pytest.skip("the file system takes UTF-8 only")
    config = resolve(
        "data=imagenet", f"data.root={tmp_path / 'copy'}", "data.size=32", f"data.workers={workers}", "recipe.batch=25"
    )
    with pytest.raises(AblateError) as error:
        epoch(training_batches(load(config.data), config, CPU))
    shown = str(damaged) if str(damaged).isprintable() else ascii(str(damaged))
    assert str(error.value).startswith(f"{shown} cannot be read as an image")
    assert str(error.value).isprintable()


def test_workers_go_on_when_a_signal_is_sent_to_every_process(streamed):
    """SLURM and service managers send SIGTERM to all processes of a run, which is to write a checkpoint then."""
    (_, alone), (_, helped) = streamed(), streamed("data.workers=2")
    helped.begin_epoch(0)
    found = [helped.next()]
    workers = [str(worker.pid) for worker in multiprocessing.active_children()]
    for number in SIGNALS:  # from another process: at its end, Python sends a SIGTERM to its workers, and waits
        subprocess.run(["/bin/kill", f"-{number}", *workers], check=True)
    assert same(epoch(alone), found + [helped.next() for _ in range(3)])
    for worker in multiprocessing.active_children():
        worker.terminate()
        worker.join(LIMIT)
        assert worker.exitcode == 0


def test_workers_end_with_their_batches(streamed):
    before = {*multiprocessing.active_children()}
    _, batches = streamed("data.workers=2")
    batches.begin_epoch(0)
    batches.next()
    workers = {*multiprocessing.active_children()} - before
    assert len(workers) == 2
    del batches  # which are in no cycle of references
    assert not workers & {*multiprocessing.active_children()}


def test_fingerprint_is_of_names_and_sizes(root, tmp_path, resolve):
    def fingerprint(folder):
        return resolve("data=imagenet", f"data.root={folder}").data.fingerprint

    for name in ("same", "renamed", "edited"):
        shutil.copytree(root, tmp_path / name)
    (tmp_path / "renamed/train/ant").rename(tmp_path / "renamed/train/aphid")
    (tmp_path / "renamed/val/ant").rename(tmp_path / "renamed/val/aphid")
    with open(next((tmp_path / "edited/val/bee").iterdir()), "ab") as file:
        file.write(b"more")
    assert fingerprint(tmp_path / "same") == fingerprint(root)
    assert len({fingerprint(folder) for folder in (root, tmp_path / "renamed", tmp_path / "edited")}) == 3


def test_imagenets_own_test_images_without_labels_are_not_read(root, tmp_path, resolve):
    shutil.copytree(root, tmp_path / "copy")
    (tmp_path / "copy/test").mkdir()
    (tmp_path / "copy/test/1.png").touch()
    assert len(load(resolve("data=imagenet", f"data.root={tmp_path / 'copy'}").data).test_y) == 12


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data=imagenet"], "data.root=null must be a folder with train/CLASS/file and val/CLASS/file in it"),
        (["data=imagenet", "data.views=5", "data.root=ROOT"], "data.views=5 is invalid: use 1 or 10"),
        (["data=imagenet", "data.size=4", "data.root=ROOT"], "data.size=4 is invalid: use 8 to 4096 pixels, or null"),
        (["data=imagenet", "data.workers=-1", "data.root=ROOT"], "data.workers=-1 is invalid: use 0 to 512, or null"),
        (["data=imagenet", "data.shift=4", "data.root=ROOT"], "data.shift=4 is invalid: data=imagenet crops at random"),
        (
            ["data=imagenet", "graph=true", "data.root=ROOT"],
            "graph=true needs images that are on the device",
        ),
        (["data.views=10"], "data.views is for data=imagenet, and data=digits has no such choice: leave it out"),
    ],
)
def test_wrong_choice_is_one_sentence(words, sentence, root, resolve):
    with pytest.raises(ConfigError) as error:
        resolve(*(word.replace("ROOT", str(root)) for word in words))
    assert str(error.value).startswith(sentence)


def test_batch_larger_than_the_dataset_is_refused(streamed):
    with pytest.raises(ConfigError, match=r"^recipe\.batch=25 is more than the 24 training images$"):
        streamed("recipe.batch=25")
