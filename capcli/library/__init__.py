"""The library: one SQLite file of pictures with captions, vectors and the history of every change."""
