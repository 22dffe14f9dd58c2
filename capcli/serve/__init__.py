"""Captions and heatmaps for other programs, over HTTP.

`server.serve` is the door. A request goes through `guard`, `admission`, `payload` and `wish` to `desk`, which has its
pictures read and asks the model about them through `batcher`; `captions`, `heatmaps` and `chat` tell the answers.
"""
