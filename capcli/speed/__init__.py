"""How fast this machine captions: pictures from memory and from disk, the first caption, and the encoder alone."""
