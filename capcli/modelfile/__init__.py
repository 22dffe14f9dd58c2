"""Model files: what is in them, how they are read and written, how they get smaller, and which ship with capcli."""
