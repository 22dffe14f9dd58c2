"""From paths to pixels: everything that can go wrong with a file is settled here."""
