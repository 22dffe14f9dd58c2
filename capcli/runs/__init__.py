"""One run over many pictures: batches, going on with an earlier run, and an account of every picture."""
