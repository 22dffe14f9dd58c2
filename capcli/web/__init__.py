"""The page on which people review a library, and the server that has it.

`serving.serve` is the door. `application` answers requests, `guard` lets only those of the page itself through,
`thumbnails` makes the pictures.
"""
