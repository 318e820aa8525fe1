"""Images a second from a folder: Triceras beside tf.data (as Keras uses it) and a torch DataLoader.

    python -m benchmarks.images                # the folders of TRICERAS_DATA, and larger JPEGs made here
    python -m benchmarks.images --cpu-time     # seconds of one core, on a machine that others use too

All decode, resize and batch the same files in one run and take turns, each in a fresh process; medians over
the rounds count, and the ratio of ours to each. The first epoch decodes; later ones may use what was kept.
The torch loader has two workers that decode with Pillow, scale and put channels first, as torchvision does.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

DATA = Path(os.environ.get("TRICERAS_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data")
EPOCHS = 3
BATCH = 32
Epoch = Callable[[], Iterator[Any]]


def triceras_epochs(folder: str, size: int) -> Epoch:
    """What training reads: batches ahead while files are decoded, then rows of the pixels in memory."""
    from triceras.training.feed import make_feed
    from triceras.utils import image_dataset_from_directory

    options = {"image_size": (size, size), "batch_size": BATCH, "seed": 1, "verbose": False}
    data = image_dataset_from_directory(folder, **options)
    feed, number = make_feed(data, shuffle=True), iter(range(EPOCHS))

    def epoch() -> Iterator[Any]:
        for x, _ in feed.epoch(next(number)):
            yield x.astype("float32")  # which a step does by itself

    return epoch


def keras_epochs(folder: str, size: int) -> Epoch:
    """The reference's own pipeline: decode, resize, batch and prefetch in tf.data."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras

    options = {"image_size": (size, size), "batch_size": BATCH, "seed": 1, "verbose": False}
    data = keras.utils.image_dataset_from_directory(folder, **options)
    return lambda: (x for x, _ in data)


def keras_cached_epochs(folder: str, size: int) -> Epoch:
    """The same with `cache()`, which keeps floats in memory."""
    os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    import keras

    options = {"image_size": (size, size), "batch_size": None, "seed": 1, "verbose": False, "shuffle": False}
    data = keras.utils.image_dataset_from_directory(folder, **options).cache()
    data = data.shuffle(BATCH * 8).batch(BATCH).prefetch(2)
    return lambda: (x for x, _ in data)


class TorchFolder:
    """A map-style torch data set of a folder of class folders, with transforms in Pillow and NumPy."""

    def __init__(self, folder: str, size: int) -> None:
        self.files = sorted(p for p in Path(folder).glob("*/*") if p.suffix in (".png", ".jpg", ".jpeg"))
        names = sorted({p.parent.name for p in self.files})
        self.labels, self.size = [names.index(p.parent.name) for p in self.files], (size, size)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Any:
        import torch
        from PIL import Image

        with open(self.files[index], "rb") as file:
            image = Image.open(file).convert("RGB").resize(self.size, Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()
        return pixels.float().div(255), self.labels[index]


def torch_epochs(folder: str, size: int) -> Epoch:
    """A loader with two workers that stay."""
    from torch.utils.data import DataLoader

    loader = DataLoader(
        TorchFolder(folder, size), batch_size=BATCH, shuffle=True, num_workers=2, persistent_workers=True
    )
    return lambda: (x for x, _ in loader)


COMPETITORS = {
    "triceras": triceras_epochs,
    "tf.data": keras_epochs,
    "tf.data, cache()": keras_cached_epochs,
    "torch, 2 workers": torch_epochs,
}


def cpu_seconds() -> float:
    """Of this process and its workers."""
    found = time.process_time()
    for worker in multiprocessing.active_children():
        fields = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
        found += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return found


def measure(who: str, folder: str, size: int, cpu: bool) -> list[float]:
    """Images a second in each epoch, in this process."""
    clock = cpu_seconds if cpu else time.perf_counter
    make = COMPETITORS[who](folder, size)
    found = []
    for _ in range(EPOCHS):
        began, count = clock(), 0
        for x in make():
            count += len(x)
        found.append(count / (clock() - began))
    return found


def made_folder(root: str, count: int = 300) -> str:
    """Larger JPEGs with the detail of photographs, in two class folders."""
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(count):
        place = Path(root) / ("a", "b")[i % 2]
        place.mkdir(exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        fine = np.asarray(coarse.resize((512, 512), Image.Resampling.BICUBIC), "int16")
        fine = fine + random.integers(-8, 9, fine.shape)
        Image.fromarray(fine.clip(0, 255).astype("uint8")).save(place / f"{i}.jpg", quality=88)
    return root


def main(
    rounds: Annotated[int, typer.Option(help="How often each competitor runs.")] = 3,
    cpu_time: Annotated[bool, typer.Option(help="Count seconds of a core instead of the clock's.")] = False,
) -> None:
    """Measure all, and print images a second and ratios."""
    title = f"Images a {'CPU ' if cpu_time else ''}second (ours / theirs)"
    table = Table("folder", "epoch", "triceras", *list(COMPETITORS)[1:], title=title)
    with tempfile.TemporaryDirectory() as root:
        folders = {
            "malaria, 64x64 PNG": (str(DATA / "malaria" / "train"), 64),
            "chest X-rays, 128x128 JPEG": (str(DATA / "chest_xray" / "train"), 128),
            "512x512 JPEG to 128x128": (made_folder(root), 128),
        }
        for name, (folder, size) in folders.items():
            if not os.path.isdir(folder):
                print(f"{name}: left out, there is no {folder}", file=sys.stderr)
                continue
            runs: dict[str, list[list[float]]] = {who: [] for who in COMPETITORS}
            for _ in range(rounds):
                for who in COMPETITORS:
                    task = ["--worker", who, folder, str(size), *(["cpu"] if cpu_time else [])]
                    command = [sys.executable, "-m", "benchmarks.images", *task]
                    done = subprocess.run(command, capture_output=True, text=True)
                    if done.returncode:
                        print(f"{who}: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
                        continue
                    runs[who].append(json.loads(done.stdout.strip().splitlines()[-1]))
            for label, pick in (("first", lambda r: r[0]), ("later", lambda r: statistics.median(r[1:]))):
                speeds = {who: statistics.median(map(pick, found)) for who, found in runs.items() if found}
                cells = [f"{speeds['triceras']:,.0f}"]
                for who in list(COMPETITORS)[1:]:
                    if who not in speeds:
                        cells.append("-")
                        continue
                    ratios = [pick(a) / pick(b) for a, b in zip(runs["triceras"], runs[who], strict=False)]
                    cells.append(f"{speeds[who]:,.0f} ({statistics.median(ratios):.2f})")
                table.add_row(name, label, *cells)
                print(name, label, *cells, sep="  ", file=sys.stderr)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        print(json.dumps(measure(sys.argv[2], sys.argv[3], int(sys.argv[4]), "cpu" in sys.argv[5:])))
    else:
        typer.run(main)
