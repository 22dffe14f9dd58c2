"""Words out of any decoder: beam search and sampling through the decoder contract alone."""
