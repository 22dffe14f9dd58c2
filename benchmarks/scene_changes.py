"""How many changes of the scene are found in films made of photographs, and how many are found that are none.

usage: python benchmarks/scene_changes.py PHOTOS [--scenes N] [--seed N] [--every SECONDS] [--model NAME|FILE]

Makes a film in which each scene is a photograph of the folder PHOTOS over which the camera pans and zooms for 4 to 8
seconds, with noise; each second scene fades in over a second, the others are cuts. capcli looks at it as `capcli
caption` does. For thresholds from 0.1 to 0.9 prints, of cuts and of fades, the share of scenes that got a caption of
their own, and what is too much for each scene: further captions of the same scene, and captions of a frame in which
two scenes mix. The best threshold is `capcli.video.options.SCENE_CHANGE`. Choose by photographs that no model is
judged by.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from machine import describe
from photo_film import Scene, frames_of, plan, write_film

from capcli.arrays import Float32Array
from capcli.captioner import Captioner
from capcli.modelfile.shipped import find_model
from capcli.pictures.find import find_pictures
from capcli.video.film import Film
from capcli.video.scenes import Scenes
from capcli.video.viewer import EncodingViewer

RATE, SIZE = 10, (384, 216)
NOISE, FADE = 6.0, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, usage=argparse.SUPPRESS
    )
    parser.add_argument("photos", type=Path)
    parser.add_argument("--scenes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0, help="of the photographs, and of how long each is shown")
    parser.add_argument("--every", type=float, default=2.0)
    parser.add_argument("--model", default="base")
    options = parser.parse_args()

    print(f"machine: {describe()}")
    photos = find_pictures([options.photos]).pictures
    places = np.random.default_rng(options.seed).permutation(len(photos))[: options.scenes]
    scenes = plan([photos[place] for place in places], (4.0, 8.0), FADE, options.seed)
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, frames_of(scenes, SIZE, RATE, noise=NOISE), RATE)
        times, vectors = see(film, options.every, options.model)
    print(f"{len(scenes)} scenes in {scenes[-1].stop:.0f} s, {len(times)} looks, one in {options.every:g} s")
    print("threshold  cuts found  fades found  too much for a scene: same scene  mixed")
    for threshold in np.arange(0.1, 0.95, 0.1):
        begins = Scenes(threshold).find(vectors)
        found, same, mixed = judge(scenes, [time for time, begin in zip(times, begins, strict=True) if begin])
        cuts = np.mean([found[index] for index, scene in enumerate(scenes) if not scene.fade])
        fades = np.mean([found[index] for index, scene in enumerate(scenes) if scene.fade])
        print(f"{threshold:9.1f}  {cuts:10.3f}  {fades:11.3f}  {same / len(scenes):32.3f}  {mixed / len(scenes):5.3f}")


def see(film: Path, every: float, model: str) -> tuple[list[float], Float32Array]:
    """Times of the looks, and the vectors of what is seen."""
    captioner = Captioner.of_file(find_model(model))
    viewer = EncodingViewer(captioner, captioner.options)
    times: list[float] = []
    vectors: list[Float32Array] = []
    with Film(film) as opened:
        for sample in opened.samples(every):
            times.append(sample.time)
            vectors.append(viewer.look([viewer.prepare(sample.frame, opened.pixel)])[0])
    return times, np.stack(vectors)


def judge(scenes: list[Scene], captioned: list[float]) -> tuple[list[bool], int, int]:
    """Which scenes got a caption, and how many captions were one too many: of the same scene, and of a mixture."""
    found, same, mixed = [False] * len(scenes), 0, 0
    for time in captioned:
        index = next(
            index for index, scene in enumerate(scenes) if time < scene.stop - 1e-6 or index == len(scenes) - 1
        )
        if time < scenes[index].start + scenes[index].fade:
            mixed += 1
        elif found[index]:
            same += 1
        else:
            found[index] = True
    return found, same, mixed


if __name__ == "__main__":
    main()
