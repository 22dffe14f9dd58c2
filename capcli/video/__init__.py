"""Moving pictures: films to captions with times, and cameras captioned while they run.

`captioning.caption_film` is the door for films, `live.Live` the one for cameras. PyAV (the extra `video`) decodes.
"""
