"""What people say of captions: questions in a blind order, and the file of their answers.

`questions` makes the questions of one rater, `record` is the file, `session` is one rater at work. A judgement is about
the text of a caption, and so holds for every system that said it.
"""
