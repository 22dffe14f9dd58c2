"""How much of a film is decoded for the frames that are looked at, and how fast and in how much memory it is captioned.

usage: python benchmarks/film_speed.py [--photos FOLDER] [--minutes M] [--model NAME|FILE]

Makes a film of 1280 x 720 pixels and 25 frames a second, with a keyframe each second as phones write it and each ten
seconds as x264 does by default. Prints the processor time, and not the wall time, so that other work disturbs it
less: of decoding every frame, and of the frames at each 2 and 10 seconds as capcli decodes them. Compares these
frames with those of the plain decoding. Then captions the film and prints how many times faster than real time that
is, and how much memory the last half of the film took more than the first.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
from machine import describe
from photo_film import frames_of, plan, write_film

from capcli.arrays import UInt8Array
from capcli.captioner import Captioner
from capcli.modelfile.shipped import find_model
from capcli.video.captioning import caption_film
from capcli.video.film import Film
from capcli.video.options import FilmOptions
from capcli.video.pixels import to_square
from capcli.video.viewer import EncodingViewer

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE, SIZE = 25, (1280, 720)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--photos", type=Path, default=EXAMPLES)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    photos = sorted(options.photos.glob("*.jpg"))
    scenes = plan([photos[n % len(photos)] for n in range(round(options.minutes * 10))], (6.0, 6.0), 0.0)
    with tempfile.TemporaryDirectory() as folder:
        for keyframes in (RATE, 10 * RATE):
            film = Path(folder) / f"{keyframes}.mp4"
            write_film(film, frames_of(scenes, SIZE, RATE), RATE, keyframes=keyframes)
            print(f"keyframe at least each {keyframes / RATE:g} s:")
            plain, before = seconds_of(decode(film))
            print(f"  every frame: {before:.1f} s of processor")
            for every in (2.0, 10.0):
                sampled, spent = seconds_of(sample(film, every))
                same = all(np.array_equal(pixels, plain[at]) for at, pixels in sampled.items())
                verdict = "equal" if same else "DIFFERENT"
                print(f"  each {every:g} s: {spent:.1f} s, {spent / before:.2f} of it; {verdict} frames")
        report(film, options.model, scenes[-1].stop)


def decode(film: Path) -> Iterator[tuple[float, UInt8Array]]:
    """Every frame; the pixels of those at whole seconds."""
    with av.open(str(film)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            if frame.pts * frame.time_base % 1 == 0:
                yield frame.time, to_square(frame, 64)


def sample(film: Path, every: float) -> Iterator[tuple[float, UInt8Array]]:
    """The frames that capcli looks at."""
    with Film(film) as opened:
        for sampled in opened.samples(every):
            yield sampled.time, to_square(sampled.frame, 64)


def seconds_of(frames: Iterator[tuple[float, UInt8Array]]) -> tuple[dict[float, UInt8Array], float]:
    """The frames by their times, and the seconds of processor that they took."""
    begun = time.process_time()
    return dict(frames), time.process_time() - begun


def report(path: Path, model: str, length: float) -> None:
    """Captions a film and tells how fast that was."""
    captioner = Captioner.of_file(find_model(model))
    viewer = EncodingViewer(captioner, captioner.options)
    peaks: list[int] = []

    def looked(count: int) -> None:
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

    begun, spent = time.monotonic(), time.process_time()
    with Film(path) as film:
        cues = list(caption_film(film, viewer, FilmOptions(), looked=looked))
    wall, spent = time.monotonic() - begun, time.process_time() - spent
    print(
        f"captioned {length:.0f} s with {len(cues)} scenes in {wall:.1f} s ({length / wall:.1f} x real time)", end=", "
    )
    print(f"{spent:.1f} s of processor; peak memory grew by {(peaks[-1] - peaks[len(peaks) // 2]) / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
