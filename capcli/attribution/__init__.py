"""What a word of a caption owes to each region of the picture, measured in three ways."""
