"""Image benchmarks: IDX files, batches of CIFAR-10, folders of images."""

import gzip
import pickle
import struct

import numpy as np
import pytest
import torch
from PIL import Image

from plstm_graph.datasets import CIFAR10, FashionMNIST, ImageFolder
from plstm_graph.datasets.images.idx import read_idx
from plstm_graph.datasets.images.sets import ImageArrays


def write_idx(path, array):
    header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def test_real_fashion_mnist(real_data):
    test = FashionMNIST(real_data / "vision" / "fashion_mnist", "test")
    assert len(test) == 10_000
    assert test.labels.bincount().tolist() == [1000] * 10
    image, label = test[0]
    assert image.shape == (1, 28, 28)
    assert image.dtype == torch.uint8
    assert test.classes[label] == "ankle boot"
    assert test.images.float().mean() / 255 == pytest.approx(0.2868, abs=1e-3)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_idx_round_trip(tmp_path, suffix):
    array = np.random.default_rng(0).integers(0, 256, (4, 3, 2), dtype=np.uint8)
    path = tmp_path / f"images{suffix}"
    write_idx(path, array)
    assert np.array_equal(read_idx(path).numpy(), array)


def test_bad_idx(tmp_path):
    path = tmp_path / "images.gz"
    write_idx(path, np.zeros((2, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(ValueError, match=r"images.gz is damaged"):
        read_idx(path)
    path.write_bytes(b"\0\0\x08\x02" + struct.pack(">II", 2, 3) + bytes(5))
    with pytest.raises(ValueError, match=r"shape of \[2, 3\], which takes 18 bytes, but it has 17"):
        read_idx(path)
    path.write_bytes(b"\x89PNG....")
    with pytest.raises(ValueError, match="begins with 89 50 4e 47, not 00 00 08"):
        read_idx(path)


def test_fashion_mnist_names_what_is_missing(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((2, 28, 28), dtype=np.uint8))
    with pytest.raises(FileNotFoundError, match=r"neither train-labels-idx1-ubyte.gz nor"):
        FashionMNIST(tmp_path)
    write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([3, 10], dtype=np.uint8))
    with pytest.raises(ValueError, match="image 1 has the label 10, but there are 10 classes"):
        FashionMNIST(tmp_path)
    with pytest.raises(ValueError, match="2 images do not go with 1 labels"):
        ImageArrays(torch.zeros(2, 1, 2, 2), torch.zeros(1), ("a",))


def write_cifar(folder, count=4):
    folder.mkdir()
    data = np.random.default_rng(0).integers(0, 256, (count, 3072), dtype=np.uint8)
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]:
        with (folder / name).open("wb") as file:
            pickle.dump({b"data": data, b"labels": list(range(count))}, file)
    return data


def test_cifar10(tmp_path):
    data = write_cifar(tmp_path / "cifar-10-batches-py")
    train, test = CIFAR10(tmp_path), CIFAR10(tmp_path / "cifar-10-batches-py", "test")
    assert (len(train), len(test)) == (20, 4)
    image, label = test[3]
    assert np.array_equal(image.numpy(), data[3].reshape(3, 32, 32))
    assert test.classes[label] == "cat"


def test_bad_cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-py"
    write_cifar(folder)
    (folder / "data_batch_3").write_bytes(pickle.dumps({b"data": np.zeros((2, 7), dtype=np.uint8), b"labels": [0, 1]}))
    with pytest.raises(ValueError, match="data_batch_3 is no batch of CIFAR-10"):
        CIFAR10(tmp_path)
    (folder / "data_batch_3").write_bytes(pickle.dumps(ImageFolder))
    with pytest.raises(ValueError, match=r"data_batch_3 is no whole pickle of arrays"):
        CIFAR10(tmp_path)
    (folder / "data_batch_3").unlink()
    with pytest.raises(FileNotFoundError, match="data_batch_3 is missing"):
        CIFAR10(tmp_path)


@pytest.fixture
def folder(tmp_path):
    for name, (width, height) in {"b/wide.png": (40, 20), "a/tall.jpg": (10, 30), "a/grey.png": (16, 16)}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (height, 1))
        Image.fromarray(ramp).save(path)
    (tmp_path / "a" / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder):
    images = ImageFolder(folder, image_size=16)
    assert images.classes == ("a", "b")
    assert [path.name for path in images.paths] == ["grey.png", "tall.jpg", "wide.png"]
    assert images.labels.tolist() == [0, 0, 1]
    for image, _ in images:
        assert image.shape == (3, 16, 16)
        assert image.dtype == torch.uint8
    # The middle of a ramp from left to right, of which half is cut off.
    wide = images[2][0][0].float().mean(dim=0)
    assert 50 < wide[0] < 80 and 175 < wide[-1] < 205


def test_classes_of_another_folder_decide_labels(folder):
    assert ImageFolder(folder, 8, classes=["b"]).labels.tolist() == [0]
    with pytest.raises(FileNotFoundError, match="no sub-folder 'c'"):
        ImageFolder(folder, 8, classes=["a", "c"])


def test_bad_image_folder(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        ImageFolder(folder / "missing")
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="has no image"):
        ImageFolder(folder / "empty")
    with pytest.raises(ValueError, match="from 1 to resize, got 32 and 16"):
        ImageFolder(folder, 32, resize=16)
    (folder / "b" / "wide.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"wide.png is no whole image"):
        ImageFolder(folder, 16)[2]
