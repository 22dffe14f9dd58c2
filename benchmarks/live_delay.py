"""How late `capcli live` says what it sees: from a frame to its sentence, and from a change of the scene to it.

usage: python benchmarks/live_delay.py [--photos FOLDER] [--scenes N] [--seconds S] [--model NAME|FILE]

Makes a film of 1280 x 720 pixels and 30 frames a second in which a photograph follows another each S seconds, plays
it in real time, and captions it as `capcli live` does. Prints the median and the 95th percentile of the delay from
the arrival of a frame to the sentence about it, which is what `capcli live` prints, and from the moment at which a
photograph appears to its sentence, which includes the wait for the next look; then the processor time that a look
and a caption take, which other programs disturb less. Drawing in a terminal adds a few milliseconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from threading import Event

import av
import numpy as np
import torch
from machine import describe
from photo_film import Scene, frames_of, plan, write_film
from PIL import Image

from capcli.captioner import Captioner
from capcli.modelfile.shipped import find_model
from capcli.video.camera import Source
from capcli.video.feed import Feed
from capcli.video.live import Sight, caption_live, warm_up
from capcli.video.options import LiveOptions
from capcli.video.viewer import EncodingViewer

EXAMPLES = Path(__file__).parents[1] / "examples"
RATE, SIZE = 30, (1280, 720)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("--photos", type=Path, default=EXAMPLES)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    photos = sorted(options.photos.glob("*.jpg"))
    scenes = plan([photos[n % len(photos)] for n in range(options.scenes)], (options.seconds,) * 2, 0.0)
    live = LiveOptions()
    captioner = Captioner.of_file(find_model(options.model))
    viewer = EncodingViewer(captioner, captioner.options)
    warm_up(viewer)
    clock = Clock(scenes)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, frames_of(scenes, SIZE, RATE, moves=False), RATE)
        with Feed(Source("film", str(film), film=True)) as feed:
            account = caption_live(
                feed,
                viewer,
                clock,
                every=live.every,
                scene_change=live.scene_change,
                leave=Event(),
            )
    print(f"{len(scenes)} scenes of {options.seconds:g} s; {account}; {account.dropped:,} frames dropped")
    print(f"frame to sentence: {describe_delays(list(account.delays))}")
    print(f"change of the scene to sentence: {describe_delays(clock.delays)}")
    print(f"scenes with a sentence: {len(clock.delays)} of {len(scenes)}")
    looks, captions = spent(viewer, photos)
    print(f"processor time on one thread: {1000 * looks:.0f} ms for a look, {1000 * captions:.0f} ms for a caption")


class Clock:
    """A display that notes how long after a scene's beginning the first sentence about it comes."""

    def __init__(self, scenes: list[Scene]) -> None:
        self._scenes = scenes
        self._told: set[int] = set()
        self.delays: list[float] = []

    def show(self, sight: Sight) -> None:
        shown = sight.arrival.time
        index = next(index for index, scene in enumerate(self._scenes) if shown < scene.stop + 1e-6)
        if sight.new and index not in self._told:
            self._told.add(index)
            late = shown - self._scenes[index].start  # of the frame behind the beginning of its scene
            self.delays.append(late + time.monotonic() - sight.arrival.at)


def spent(viewer: EncodingViewer, photos: list[Path]) -> tuple[float, float]:
    """Seconds of processor for a look, and for a caption after it: medians over photographs, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    looks, captions = [], []
    for photo in photos * 3:
        with Image.open(photo) as image:
            frame = av.VideoFrame.from_ndarray(np.asarray(image.convert("RGB").resize(SIZE)), "rgb24")
        begun = time.thread_time()
        viewer.look([viewer.prepare(frame, 1.0)])
        looked = time.thread_time()
        viewer.caption([0])
        looks.append(looked - begun)
        captions.append(time.thread_time() - looked)
    torch.set_num_threads(threads)
    return float(np.median(looks)), float(np.median(captions))


def describe_delays(delays: list[float]) -> str:
    """Median and 95th percentile in milliseconds."""
    median, high = 1000 * np.median(delays), 1000 * np.percentile(delays, 95)
    return f"median {median:.0f} ms, 95th percentile {high:.0f} ms of {len(delays)}"


if __name__ == "__main__":
    main()
