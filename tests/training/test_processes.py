"""Two processes on the CPU, started by torchrun, beside one."""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import preloaded_client
import pytest
import torch
from interruption import Interrupted, Interruption
from preloaded import COMMAND, ForkServer
from quick_readers import patch

import capcli.training.run_state
from capcli.datasets import read_dataset
from capcli.errors import UsageError
from capcli.model.network import CaptioningModel
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.corpus import Corpus
from capcli.training.loop import Trainer
from capcli.training.observer import Observer
from capcli.training.processes import Processes, joined
from capcli.training.recipe_reader import read_recipe

Write = Callable[..., Path]

# Nine pictures in batches of four: of the last batch the second process gets nothing.
CACHED = {"epochs": 2, "learning_rate": 1e-3, "views": 1}
PICTURES = {"epochs": 2, "learning_rate": 1e-3, "features": "pictures", "train_from": 11}
# Without words, and with a chance of each process's own; the rate keeps the weights where they are.
WORDLESS = {"objective": "autoencoder", "epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}


@pytest.fixture
def train_by_two(
    preloaded: ForkServer, readers: ForkServer, environment: dict[str, str], tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Runs `capcli train ARGUMENTS` in two processes on the CPU; returns exit code, stdout and stderr.

    torchrun and both processes are forked from one that has imported torch.
    """
    start = "from torch.distributed.run import main\nmain()"
    forked = [sys.executable, "-I", "-S", preloaded_client.__file__, preloaded.address]

    def run(*arguments: object) -> tuple[int, str, str]:
        launcher = ["torchrun", "--standalone", "--nproc-per-node", "2", "--no-python", "--"]
        asked = ["-c", patch(readers.address) + COMMAND, "train", *map(str, arguments), "--device", "cpu"]
        run = preloaded.start(start, [*launcher, *forked, *asked], tmp_path, environment)
        out, err = run.communicate()
        return run.wait(), out.decode(), err.decode()

    return run


def losses(run: Path) -> list[float]:
    with (run / "log.csv").open(newline="") as file:
        return [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]


def vector(model: CaptioningModel) -> torch.Tensor:
    return torch.cat([value.flatten() for value in model.state_dict().values()])


@pytest.mark.slow
def test_a_run_of_one_process_that_two_go_on_with_ends_as_it_would_have(
    photos: Path,
    write_recipe: Write,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    tiny_settings: Callable[..., dict[str, Any]],
    train_by_two: Callable[..., tuple[int, str, str]],
) -> None:
    tables = {
        "encoder": {"name": "mobilenet_v3_small", "size": 64, "weights": "none"},
        "decoder": tiny_settings("lstm", dropout=0.0, region_layers=1, region_heads=2, region_dropout=0.0),
    }
    recipe = write_recipe(CACHED, PICTURES, **tables)

    def trainer(run: Path, observer: Observer = Observer()) -> Trainer:
        chosen = read_recipe(recipe)
        corpus = Corpus.build([read_dataset(photos)], chosen.data)
        return Trainer(chosen, corpus, run, torch.device("cpu"), observer=observer)

    start = trainer(tmp_path / "one")
    before = vector(start.model)
    after = vector(start.run().model)

    with monkeypatch.context() as patch:
        patch.setattr(capcli.training.run_state, "SAVE_SECONDS", -1.0)
        with pytest.raises(Interrupted):
            trainer(tmp_path / "two", Interruption("step", 2)).run()
    shutil.rmtree(tmp_path / "two" / "cache")

    model = tmp_path / "model.safetensors"
    write_recipe(CACHED, PICTURES, WORDLESS, **tables)
    code, out, err = train_by_two(recipe, "--data", photos, "--run", tmp_path / "two", "-o", model)
    assert code == 0, err
    assert out == f"{model}\n"
    for epoch in (
        "stage 1/3 cross-entropy epoch 2:",
        "stage 2/3 cross-entropy epoch 2:",
        "stage 3/3 autoencoder epoch",
    ):
        assert err.count(epoch) == 1, err

    # The last digits differ by the order of sums, and where a processor has bfloat16 by more.
    *worded, wordless = losses(tmp_path / "two")
    assert worded == pytest.approx(losses(tmp_path / "one"), rel=1e-2)
    assert wordless > 0
    best = vector(Checkpoint.load(tmp_path / "two" / "best.safetensors").model)
    assert (best - after).norm() < 0.05 * (after - before).norm()
    assert Checkpoint.load(model).recipe["stage"][1]["features"] == "pictures"

    # And one goes on again with what two have left.
    assert torch.equal(vector(trainer(tmp_path / "two").run().model), best)


@pytest.mark.slow
def test_an_error_of_one_process_ends_all_and_is_told_once(
    photos: Path, write_recipe: Write, tmp_path: Path, train_by_two: Callable[..., tuple[int, str, str]]
) -> None:
    (photos / "3.png").write_bytes(b"no picture")
    recipe = write_recipe(PICTURES, encoder={"name": "mobilenet_v3_small", "size": 32, "weights": "none"})
    code, out, err = train_by_two(
        recipe, "--data", photos, "--run", tmp_path / "run", "-o", tmp_path / "model.safetensors"
    )
    assert code == 1
    errors = [line for line in err.splitlines() if line.startswith("capcli:")]
    assert len(errors) == 1, err
    assert errors[0].startswith(f"capcli: error: {photos / '3.png'}: ")
    assert "exitcode  : 1 " in err
    assert out == ""


class Spoken(Processes):
    """One of two processes, the other of which says what a test wants it to say."""

    other: Any

    def gather(self, value: Any) -> list[Any]:
        return [value, self.other]


def test_figures_are_means_weighted_by_the_shares() -> None:
    Spoken.other = ({"loss": 4.0}, 1)
    means, share = Spoken(rank=0, world=2).mean({"loss": 2.0}, 3)
    assert (means, share) == ({"loss": 2.5}, 0.75)
    Spoken.other = ({}, 0)
    assert Spoken(rank=0, world=2).mean({"loss": 2.0}, 3) == ({"loss": 2.0}, 1.0)


def test_every_picture_of_a_batch_is_in_one_share() -> None:
    batch = list(range(7))
    shares = [batch[Processes(rank, 3).share] for rank in range(3)]
    assert sorted(picture for share in shares for picture in share) == batch
    assert [len(share) for share in shares] == [3, 2, 2]
    assert batch[Processes().share] == batch


def test_devices_that_processes_cannot_share() -> None:
    for name in ("cuda:0", "mps", "tpu"):
        with pytest.raises(UsageError, match=f"{name}: several processes train on cpu or on a CUDA device each"):
            Processes(1, 2, 1).device(name)
    assert Processes(1, 2, 1).device("cpu") == torch.device("cpu")


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is 2, but RANK is not set; start it with torchrun"),
        (
            {"WORLD_SIZE": "2", "RANK": "x", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
            "must be numbers",
        ),
        *(
            (
                {"WORLD_SIZE": world, "RANK": rank, "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"},
                f"RANK {rank} and LOCAL_RANK 0 must be 0 to below WORLD_SIZE {world}",
            )
            for world, rank in (("2", "2"), ("2", "-1"), ("-1", "0"))
        ),
    ],
)
def test_an_environment_that_is_not_torchruns(
    variables: dict[str, str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message), joined():
        pass
