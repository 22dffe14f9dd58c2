"""What computes a model: torch, or ONNX Runtime from graphs that torch made once."""
