"""What pictures say of themselves in their files: read and written by exiftool, and proved to change nothing else."""
