"""What people get wrong and what fails under a run: one line that says so, and nothing good is lost."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from preloaded import ForkServer
from safetensors import safe_open
from safetensors.torch import save_file
from small_encoder import SMALL_ENCODER
from torchvision.models import get_model
from typer.testing import CliRunner

import capcli.model.encoder
import capcli.training.command
import capcli.training.features
import capcli.training.run_state
from capcli.cli import app
from capcli.datasets import read_dataset
from capcli.errors import CapcliError, UsageError
from capcli.files.csv import encode_record
from capcli.model.encoder import Encoder, EncoderConfig
from capcli.modelfile.checkpoint import Checkpoint
from capcli.training.features import FeatureCache
from capcli.training.loop import Trainer
from capcli.training.objectives.cross_entropy import CrossEntropy
from capcli.training.state import load_state

Write = Callable[..., Path]

STAGE = {"epochs": 1, "learning_rate": 1e-3}
DIVERGING = {"epochs": 1, "learning_rate": 1e38}


@pytest.fixture
def train(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str]]:
    """Runs `capcli train RECIPE` on the photos in `tmp_path`; gives the exit code and what it says of an error."""
    monkeypatch.chdir(tmp_path)

    def run(recipe: Path, *options: object, data: Path = photos) -> tuple[int, str]:
        defaults = {"--run": "run", "-o": "model.safetensors", "--device": "cpu"}
        left = [part for name, value in defaults.items() if name not in options for part in (name, value)]
        asked = ["train", recipe, "--data", data, *left, *options]
        done = CliRunner().invoke(app, [str(part) for part in asked])
        errors = [line for line in done.stderr.splitlines() if line.startswith("capcli: error: ")]
        assert len(errors) == (done.exit_code != 0), done.output
        return done.exit_code, errors[0].removeprefix("capcli: error: ") if errors else ""

    return run


def no_work(self: Trainer) -> Any:
    raise AssertionError("work was begun")


@pytest.mark.parametrize(
    ("stage", "tables", "message"),
    [
        ({"learning_rat": 1.0}, {}, "stage 1 has no option 'learning_rat'; near it: learning_rate"),
        (
            {"doubly_stochastic": 1.0},
            {"decoder": {"name": "inject"}},
            "stage 1: doubly_stochastic is a penalty on attention, and the decoder inject has none; leave it out",
        ),
        ({}, {"decoder": {"name": "merge", "attention": "dot"}}, "decoder merge has no option 'attention'"),
        ({}, {"decoder": {"name": "inject", "heads": 2}}, "decoder inject has no option 'heads'"),
        ({}, {"encoder": {"name": "vit_b_16", "size": 72}}, "vit_b_16 cannot see pictures of 72 pixels"),
        ({"features": "pictures", "train_from": 6}, {}, "stage 1: train_from must be below 6, the number of blocks"),
        ({"objective": "self-critical", "captions": 1}, {}, "at least 2 captions"),
        ({}, {"data": {"min_count": 1000}}, "no word occurs 1000 times in the captions; lower [data] min_count"),
        ({}, {"encoder": {"name": "mobilenet_v3_small", "weights": "none.safetensors"}}, "none.safetensors: cannot be"),
    ],
)
def test_recipes_that_cannot_be(
    stage: dict[str, Any],
    tables: dict[str, Any],
    message: str,
    write_recipe: Write,
    train: Callable[..., tuple[int, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Trainer, "run", no_work)
    code, error = train(write_recipe(stage, **tables))
    assert code == 2
    assert message in error


@pytest.mark.parametrize("name", ["log.csv", "best.safetensors"])
def test_a_folder_of_something_else_stays_as_it_is(
    name: str, write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / name).write_text("my own")
    assert train(write_recipe()) == (2, f"run: its {name} is of no run of capcli; choose another --run folder")
    assert [(file.name, file.read_text()) for file in (tmp_path / "run").iterdir()] == [(name, "my own")]


@pytest.mark.parametrize("option", ["--run", "-o", "--cache", "--unlabelled"])
def test_an_empty_name_is_no_path(option: str, write_recipe: Write, photos: Path) -> None:
    done = CliRunner().invoke(app, ["train", str(write_recipe()), "--data", str(photos), option, ""])
    assert done.exit_code == 2
    assert "an empty name is no path" in done.stderr


def test_too_little_memory(
    write_recipe: Write, train: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loss(*arguments: object) -> Any:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory")

    recipe = write_recipe()
    with monkeypatch.context() as patch:
        patch.setattr(CrossEntropy, "loss", loss)
        code, error = train(recipe)
    assert code == 1
    assert error.startswith("not enough memory to train; lower batch_size or captions in the recipe")
    assert train(recipe) == (0, "")


def test_a_model_that_came_to_be_meanwhile_is_not_replaced(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(*arguments: object) -> None:
        (tmp_path / "model.safetensors").write_text("precious")

    recipe = write_recipe()
    with monkeypatch.context() as patch:
        patch.setattr(capcli.training.command, "calibrate", meanwhile)
        assert train(recipe) == (2, "model.safetensors exists; --overwrite replaces it")
    assert (tmp_path / "model.safetensors").read_text() == "precious"
    assert train(recipe, "--overwrite") == (0, "")
    assert Checkpoint.load(tmp_path / "model.safetensors")


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="names of files are text there")
def test_names_that_are_no_text(
    write_recipe: Write, train: Callable[..., tuple[int, str]], photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = photos.with_name("caf\udce9")
    photos.rename(odd)
    recipe = write_recipe(STAGE | {"views": 1, "epochs": 2})
    assert train(recipe, data=odd) == (0, "")
    monkeypatch.setattr(Trainer, "run", no_work)
    for option, name in (("--run", "caf\udce9/run"), ("-o", "caf\udce9/m.safetensors")):
        code, error = train(recipe, "--overwrite", option, name, data=odd)
        assert code == 2
        assert error.endswith("is no UTF-8, and safetensors opens nothing else; choose another name")


def test_nobody_s_home(write_recipe: Write, train: Callable[..., tuple[int, str]]) -> None:
    code, error = train(write_recipe(), data=Path("~nobody-of-this-name/photos"))
    assert (code, error) == (2, "~nobody-of-this-name/photos: no such file or folder")


def test_encoder_weights_beside_a_model_that_has_its_own(train: Callable[..., tuple[int, str]]) -> None:
    code, error = train(Path("cross-entropy"), "--from", "base", "--encoder-weights", "missing.safetensors")
    assert (code, error) == (
        2,
        "--from brings an encoder of its own: leave --encoder-weights out, or give a stage an anchor, which holds the "
        "encoder to these weights, or restore, which mixes them in",
    )


def test_restoring_an_encoder_from_nothing(write_recipe: Write, train: Callable[..., tuple[int, str]]) -> None:
    code, error = train(write_recipe({"epochs": 1, "restore": 0.3}))
    assert (code, error) == (2, "restore mixes in what the encoder was trained from: give --encoder-weights")


def test_encoder_weights_that_are_no_numbers(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    state = get_model(SMALL_ENCODER).state_dict()
    next(iter(state.values()))[0] = torch.nan
    save_file(state, tmp_path / "broken.safetensors")
    code, error = train(write_recipe(), "--encoder-weights", "broken.safetensors")
    assert code == 2
    assert error.startswith("broken.safetensors: holds weights that are not finite numbers")


def test_the_download_of_weights_tells_nothing_on_stdout(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def downloaded(name: str, weights: str | None = None, **options: Any) -> Any:
        if weights:
            print("Downloading")
        return get_model(name, **options)

    monkeypatch.setattr(capcli.model.encoder, "get_model", downloaded)
    Encoder(EncoderConfig("mobilenet_v3_small", 32)).load_pretrained("imagenet")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "Downloading\n")


def test_a_run_by_other_captions_is_another_run(
    write_recipe: Write, train: Callable[..., tuple[int, str]], photos: Path
) -> None:
    recipe = write_recipe()
    assert train(recipe) == (0, "")
    table = photos / "captions.csv"
    table.write_text(table.read_text().replace("9.png,a thing", "9.png,another thing"))
    code, error = train(recipe, "--overwrite")
    assert code == 2
    assert error.startswith("run: holds a run of another recipe or data")


@pytest.mark.slow
def test_a_run_that_lost_its_best_weights(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    recipe = write_recipe()
    assert train(recipe) == (0, "")
    (tmp_path / "run" / "best.safetensors").unlink()
    code, error = train(recipe, "--overwrite")
    assert code == 2
    assert error.startswith("run: lacks its best.safetensors; delete state.safetensors to start anew")
    (tmp_path / "run" / "state.safetensors").unlink()
    assert train(recipe, "--overwrite") == (0, "")


@pytest.mark.parametrize("change", ["position", "tensors"])
def test_a_state_of_something_else(
    change: str, write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    recipe, file = write_recipe(), tmp_path / "run" / "state.safetensors"
    assert train(recipe) == (0, "")
    with safe_open(file, framework="pt") as state:
        metadata, tensors = state.metadata(), {name: state.get_tensor(name) for name in state.keys()}  # noqa: SIM118 - no mapping
    if change == "position":
        metadata["position"] = metadata["position"].replace('"stage": 0', '"stage": "a"')
    else:
        del tensors[next(name for name in tensors if name.startswith("weights."))]
    save_file(tensors, file, metadata)
    code, error = train(recipe, "--overwrite")
    assert code == 2
    assert error.startswith("run/state.safetensors: not the state of ")
    assert "delete it to start anew" in error


def test_words_of_a_prefix_that_the_model_will_not_know(
    write_recipe: Write, train: Callable[..., tuple[int, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "run", no_work)
    code, error = train(write_recipe(decoding={"max_length": 7, "prefix": "zebra"}))
    assert (code, error) == (2, "the model does not know the word 'zebra' of the prefix; choose others")


def test_encoder_weights_of_another_architecture(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    save_file(get_model("squeezenet1_1").state_dict(), tmp_path / "other.safetensors")
    code, error = train(write_recipe(), "--encoder-weights", "other.safetensors")
    assert code == 2
    assert error.startswith(f"other.safetensors: not weights of {SMALL_ENCODER}; ")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("image,caption,split\n0.png,,train\n9.png,,dev\n", "{photos}: has no captions"),
        (
            "image,caption\n0.png,a thing\nx.png,a thing\ny.png,a thing\n",
            "2 of 3 images are missing on disk, first {photos}/x.png",
        ),
        ("image,caption,split\n0.png,a thing,train\n", "no picture is left to judge by; add a dev split"),
        ("image,caption,split\n0.png,a thing,test\n", "the data sets hold no picture to train on"),
    ],
)
def test_data_that_cannot_be_trained_on(
    table: str, message: str, write_recipe: Write, train: Callable[..., tuple[int, str]], photos: Path
) -> None:
    (photos / "captions.csv").write_text(table)
    code, error = train(write_recipe(data={"min_count": 1, "hold_out": 0.0}))
    assert code == 2
    assert message.format(photos=photos) in error


def test_pictures_that_are_all_kept_out_to_judge_by(
    write_recipe: Write, train: Callable[..., tuple[int, str]], photos: Path
) -> None:
    (photos / "captions.csv").write_text("image,caption\n0.png,a thing\n9.png,a thing\n")
    code, error = train(write_recipe(data={"min_count": 1, "hold_out": 0.999}))
    assert (code, error) == (
        2,
        "no picture is left to train on: 2 pictures kept out to judge by; add more, or lower [data] hold_out",
    )


def test_a_picture_that_cannot_be_read(
    write_recipe: Write, train: Callable[..., tuple[int, str]], photos: Path
) -> None:
    (photos / "10.png").write_bytes(b"no picture")
    assert train(write_recipe()) == (1, f"{photos / '10.png'}: is not a picture capcli can read")


def test_places_where_nothing_can_be_written(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, error = train(write_recipe(), "-o", "missing/model.safetensors")
    assert (code, error) == (2, "-o missing/model.safetensors: its folder does not exist; make it first")
    code, error = train(write_recipe(), "-o", "model.bin")
    assert (code, error) == (2, "-o model.bin is to be a model; let its name end in .safetensors")
    (tmp_path / "file").touch()
    code, error = train(write_recipe(), "--run", "file")
    assert (code, error) == (2, "file: no checkpoints can be written there (file exists)")
    code, error = train(write_recipe(), "--cache", "file")
    assert code == 1
    assert error.startswith("file/")
    assert error.endswith("or give another --cache folder")


def test_two_runs_in_one_folder(write_recipe: Write, train: Callable[..., tuple[int, str]]) -> None:
    other = (
        "from capcli.training.run_folder import lock_run_folder; from pathlib import Path\n"
        "with lock_run_folder(Path('run')): print(); input()"
    )
    with subprocess.Popen([sys.executable, "-c", other], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        refused = "run: another run is at work there; wait for it to end or choose another --run folder"
        assert train(write_recipe()) == (2, refused)
        process.communicate(b"\n")
    assert train(write_recipe()) == (0, "")


def finite(file: Path) -> bool:
    _, _, tensors = load_state(file)
    return all(bool(tensor.isfinite().all()) for group in tensors.values() for tensor in group.values())


@pytest.mark.slow
def test_a_loss_that_explodes_leaves_what_was_good(
    write_recipe: Write,
    train: Callable[..., tuple[int, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(capcli.training.run_state, "SAVE_SECONDS", -1.0)
    for _ in range(2):  # it goes on from the last state, and ends again
        code, error = train(write_recipe(STAGE, DIVERGING))
        assert code == 1
        assert " in stage 2, epoch 1, step " in error
        assert error.endswith(
            "; lower learning_rate or clip and train in another --run folder and "
            f"--from {Path('run/best.safetensors')}, its best weights so far"
        )
        assert finite(tmp_path / "run" / "state.safetensors")
        Checkpoint.load(tmp_path / "run" / "best.safetensors")
    assert not (tmp_path / "model.safetensors").exists()
    assert train(write_recipe(STAGE), "--run", "other", "--from", "run/best.safetensors") == (0, "")


def test_weights_that_explode_in_the_last_step_are_not_kept(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    stage = DIVERGING | {"batch_size": 16, "learning_rate": 1e39, "average": 0.0}  # beyond float32
    code, error = train(write_recipe(stage))
    assert code == 1
    assert error.startswith("the weights became infinite in stage 1, epoch 1, step 1; lower learning_rate or clip")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["cache", "lock", "log.csv"]


# The command on a disk that is full as soon as one state is saved.
FULL_DISK = """
import resource, sys
from capcli.training import run_state

run_state.SAVE_SECONDS = -1.0
save, saved = run_state.save_state, []

def limited(*arguments):
    if saved:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, -1))
    saved.append(True)
    save(*arguments)

run_state.save_state = limited
from capcli.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="has no such limits")
def test_a_disk_that_fills_during_a_checkpoint(
    write_recipe: Write,
    train: Callable[..., tuple[int, str]],
    photos: Path,
    tmp_path: Path,
    preloaded: ForkServer,
    environment: dict[str, str],
) -> None:
    encoder = {"name": "mobilenet_v3_small", "size": 32, "weights": "none"}
    recipe = write_recipe(STAGE, encoder=encoder)
    asked = ["train", recipe, "--data", photos, "--run", "run", "-o", "model.safetensors", "--device", "cpu"]
    run = preloaded.start(FULL_DISK, ["capcli", *map(str, asked)], tmp_path, environment)
    stderr = run.communicate()[1].decode()
    assert run.wait() == 1, stderr
    assert stderr.splitlines()[-1].startswith("capcli: error: run/state.safetensors: cannot be written (")
    assert finite(tmp_path / "run" / "state.safetensors")
    assert load_state(tmp_path / "run" / "state.safetensors")[0].step == 1
    assert not list((tmp_path / "run").glob(".*"))
    assert train(recipe) == (0, "")


def full_disk(*_: object) -> Any:
    raise OSError(28, "No space left on device")


def test_a_disk_that_fills_during_the_log(
    write_recipe: Write, train: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode_until_full(cells: Iterable[object]) -> bytes:
        record = encode_record(cells)
        return full_disk() if b"photos" in record else record

    with monkeypatch.context() as patch:
        patch.setattr("capcli.training.log.encode_record", encode_until_full)
        assert train(write_recipe()) == (1, "run/log.csv: cannot be written (no space left on device)")
    assert train(write_recipe()) == (0, "")


class Killed(BaseException):
    """Ends a computation between two batches, after which nothing of it runs."""


@pytest.fixture
def encoder() -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(SMALL_ENCODER, 32)).eval()


@pytest.fixture
def pictures(photos: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    monkeypatch.setattr(capcli.training.features, "BATCH", 2)
    monkeypatch.setattr(capcli.training.features, "SYNC_BATCHES", 2)
    return [item.image for item in read_dataset(photos).items]


def stop_after(batches: int, how: BaseException) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done >= 2 * batches:
            raise how

    return report


@pytest.mark.parametrize("batches", [1, 2, 3, 5])
def test_regions_whose_computation_was_killed(
    batches: int, encoder: Encoder, pictures: list[Path], tmp_path: Path
) -> None:
    whole = FeatureCache(encoder, pictures, tmp_path / "one").rows(pictures)
    with pytest.raises(Killed):
        FeatureCache(encoder, pictures, tmp_path / "other", report=stop_after(batches, Killed()))
    computed: list[int] = []
    resumed = FeatureCache(encoder, pictures, tmp_path / "other", report=lambda done, _: computed.append(done))
    assert computed[0] == 2 * (batches - batches % 2) + 2
    assert torch.equal(resumed.rows(pictures), whole)
    again = FeatureCache(encoder, pictures, tmp_path / "other", report=stop_after(0, AssertionError("computed again")))
    assert torch.equal(again.rows(pictures), whole)


@pytest.mark.parametrize("harm", ["deleted", "cut", "told nonsense", "told too much"])
def test_half_a_cache_is_never_taken_for_a_whole_one(
    harm: str, encoder: Encoder, pictures: list[Path], tmp_path: Path
) -> None:
    whole = FeatureCache(encoder, pictures, tmp_path).rows(pictures)
    (data,), (progress,) = tmp_path.glob("*.npy"), tmp_path.glob("*.done")
    if harm == "deleted":
        data.unlink()
        with pytest.raises(Killed):  # before it has told how far it is
            FeatureCache(encoder, pictures, tmp_path, report=stop_after(1, Killed()))
    elif harm == "cut":
        data.write_bytes(data.read_bytes()[:-1])
    else:
        progress.write_text("eleven" if harm == "told nonsense" else "12")
    assert torch.equal(FeatureCache(encoder, pictures, tmp_path).rows(pictures), whole)


def test_a_disk_that_fills_during_the_cache(
    encoder: Encoder, pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = FeatureCache(encoder, pictures, tmp_path / "one").rows(pictures)
    write, calls = capcli.training.features.write_whole, []

    def write_until_full(file: Any, content: bytes) -> None:
        calls.append(content)
        if len(calls) > 4:
            write(file, content[:100])
            full_disk()
        write(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(capcli.training.features, "write_whole", write_until_full)
        with pytest.raises(CapcliError, match=r"\.npy: cannot be written \(no space left on device\); make room or"):
            FeatureCache(encoder, pictures, tmp_path / "other")
    assert torch.equal(FeatureCache(encoder, pictures, tmp_path / "other").rows(pictures), whole)


def test_regions_that_another_run_is_computing(encoder: Encoder, pictures: list[Path], tmp_path: Path) -> None:
    def second(done: int, total: int) -> None:
        if done == total:
            return
        with pytest.raises(UsageError, match="another run is computing these regions; wait for it or give another"):
            FeatureCache(encoder, pictures, tmp_path)

    assert FeatureCache(encoder, pictures, tmp_path, report=second).rows(pictures).isfinite().all()
