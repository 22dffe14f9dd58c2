"""Keywords of pictures: the words that a model's head knows, a user's own tree of words, and the choice among them."""
