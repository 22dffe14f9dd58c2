"""A film captioned: its frames looked at, those that show something new captioned, equal captions made one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from capcli.video.cues import Cue, Shown, make_cues
from capcli.video.film import Film
from capcli.video.options import FilmOptions
from capcli.video.scenes import Scenes
from capcli.video.viewer import Viewer

TOGETHER = 8
"""Frames that the encoder gets at once: more are hardly faster, and a cue is not kept waiting for them."""


def caption_film(
    film: Film,
    viewer: Viewer,
    options: FilmOptions,
    *,
    looked: Callable[[int], None] = lambda count: None,
) -> Iterator[Cue]:
    """Captions a film, in memory that does not grow with its length.

    The search for a caption, which takes longest, is only made for frames that show something else than the frame that
    was captioned before.

    Args:
        film: not read yet.
        viewer: looks at its frames and captions them.
        options: which frames are looked at, and which of them are captioned.
        looked: hears how many more frames were looked at.

    Yields:
        cues in the order of their times, each once the next begins.

    Raises:
        UnreadableFilm: if not one frame can be decoded.
    """
    return make_cues(_captioned(film, viewer, options, looked), (film.end for _ in (None,)))


def _captioned(film: Film, viewer: Viewer, options: FilmOptions, looked: Callable[[int], None]) -> Iterator[Shown]:
    scenes, samples = Scenes(options.scene_change), film.samples(options.every)
    # A frame's pixels are made small at once: eight frames of a large film would fill the memory.
    small = ((sample.time, viewer.prepare(sample.frame, film.pixel)) for sample in samples)
    while batch := list(islice(small, TOGETHER)):
        new = np.flatnonzero(scenes.find(viewer.look([frame for _, frame in batch])))
        captions = viewer.caption(new.tolist()) if len(new) else []
        looked(len(batch))
        for index, caption in zip(new, captions, strict=True):
            yield Shown(batch[index][0], caption)
