"""What a model file says of itself, and whether it is sound. Only the checks of its weights need torch."""
