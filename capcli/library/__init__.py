"""The library: one SQLite file of pictures with captions, vectors and the history of every change.

`keeping.LibraryFile` is what a run writes, `contents` tells what is in a library, `search` and `duplicates` find
pictures in it. `database` has the tables and opens the file for all of them.
"""
